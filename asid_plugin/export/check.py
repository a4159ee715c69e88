"""Compare the output of an exported file with PyTorch."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .subject import CHECKED_SIZES, ExportError, Sizes, Subject

TOLERANCE, TOLERANCE_HALF = 1e-4, 1e-2
"""Largest tolerated difference of values in [0, 1]; float16 has 11 significant bits."""


def pictures(num_in_ch: int, sizes: Sizes) -> Iterator[tuple[str, Tensor]]:
    """Pictures by name, each (B, num_in_ch, H, W) in [0, 1]: noise of every size; black and white of the largest."""
    generator = torch.Generator().manual_seed(0)
    for batch, *size in sizes:
        yield 'noise', torch.rand(batch, num_in_ch, *size, generator=generator)
    largest = max(sizes, key=lambda size: size[1] * size[2])
    for name, value in (('a black picture', 0.0), ('a white picture', 1.0)):
        yield name, torch.full((1, num_in_ch, *largest[1:]), value)


@torch.inference_mode()
def check(run: Callable[[Tensor], Tensor], subject: Subject, sizes: Sizes = CHECKED_SIZES) -> float:
    """Compare an exported file with PyTorch in float32, on `pictures`.

    Args:
        run: Runs the file; maps (B, num_in_ch, H, W) to (B, num_out_ch, kH, kW), both float32 on the CPU.
        subject: The exported network.
        sizes: (batch, height, width) of the pictures, if the file takes any size.

    Returns:
        The largest difference.

    Raises:
        ExportError: A result is not finite, or differs by more than the tolerance.
    """
    differences = []
    if subject.size:
        sizes = ((1, *subject.size),)
    for name, x in pictures(subject.net.conv_first.in_channels, sizes):
        got = run(x)
        bad = got.numel() - int(got.isfinite().sum())
        if bad:
            precision = 'float16' if subject.half else 'float32'
            raise ExportError(f'{bad} of {got.numel()} output values are not finite, for {name} in {precision}')
        differences.append((got - subject.net(x)).abs().max())
    difference = torch.stack(differences).max().item()
    tolerance = TOLERANCE_HALF if subject.half else TOLERANCE
    if not difference <= tolerance:
        raise ExportError(f'it differs from PyTorch by {difference:.1e}, more than {tolerance:.0e}')
    return difference
