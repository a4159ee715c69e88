"""SwinIR-light, part of BasicSR, for comparisons of time and memory with ASID."""

import warnings
from collections.abc import Callable

from basicsr.archs.swinir_arch import SwinIR
from torch import Tensor
from torch.nn import functional as F


class SwinIRLight(SwinIR):
    """SwinIR in the lightweight size of its authors, padded like in BasicSR's `SwinIRModel`.

    Args:
        upscale: Scale k.
    """

    def __init__(self, upscale: int) -> None:
        size = {'embed_dim': 60, 'depths': [6] * 4, 'num_heads': [6] * 4, 'window_size': 8, 'mlp_ratio': 2}
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'torch.meshgrid')  # BasicSR relies on its default indexing
            super().__init__(upscale=upscale, upsampler='pixelshuffledirect', **size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 3, kH, kW)."""
        return pad_to_windows(super().forward, 8, self.upscale, x)


def pad_to_windows(net: Callable[[Tensor], Tensor], window: int, upscale: int, x: Tensor) -> Tensor:
    """Run a network on (B, C, H, W) of any size, mirrored to multiples of its window, like BasicSR's SwinIRModel."""
    height, width = x.shape[2:]
    padded = F.pad(x, (0, -width % window, 0, -height % window), 'reflect')
    return net(padded)[..., : height * upscale, : width * upscale]
