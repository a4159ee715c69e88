"""A trained ASID that enlarges images, by tiles or whole."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from asid_plugin.checkpoints import load_asid
from asid_plugin.errors import UsageError
from asid_plugin.tiles import OVERLAP, TILE

from .devices import choose_device, choose_dtype, is_out_of_memory
from .images import Image, ImageError
from .runtimes import load_onnx
from .tiling import tiled, tiles_at_once


@dataclass(frozen=True)
class Upscaler:
    """A network and how it is run on an image.

    Attributes:
        net: Maps (B, 3, H, W) in [0, 1] to (B, 3, scale * H, scale * W), both float32 on the CPU.
        scale: The network's scale.
        tile: Tile size in pixels of the input, 0 for the whole image at once.
        overlap: How far neighbouring tiles overlap, in pixels of the input.
    """

    net: Callable[[Tensor], Tensor]
    scale: int
    tile: int = TILE
    overlap: int = OVERLAP

    @torch.inference_mode()
    def __call__(self, image: Image, progress: Callable[[int, int], None] | None = None) -> Image:
        """Enlarge an image, its alpha by bicubic interpolation; `progress` gets the tiles done and their number.

        Raises:
            FloatingPointError: The network's output is not finite.
        """
        lq = torch.from_numpy(image.rgb).permute(2, 0, 1)[None]
        if self.tile:
            batch = tiles_at_once(self.tile)
            sr = tiled(self.net, lq, self.scale, self.tile, self.overlap, batch, feather=True, progress=progress)
        else:
            sr = self.net(lq)
        if not sr.isfinite().all():
            raise FloatingPointError("the network's output is not finite (damaged weights, or --half too coarse)")
        rgb = sr[0].clamp_(0, 1).permute(1, 2, 0).contiguous().numpy()
        alpha = image.alpha
        if alpha is not None:
            alpha = np.clip(cv2.resize(alpha, rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC), 0, 1)
        return replace(image, rgb=rgb, alpha=alpha)


def load_upscaler(
    weights: str | Path,
    scale: int | None = None,
    tile: int = TILE,
    overlap: int = OVERLAP,
    backend: str = 'torch',
    device: str = 'auto',
    half: bool = False,
) -> Upscaler:
    """Load a network to enlarge images with.

    Args:
        weights: A checkpoint of ASID, `packaged:xK`, or, for ONNX Runtime, an exported .onnx file.
        scale: The scale that the network must have; None for any.
        tile: As `Upscaler.tile`.
        overlap: As `Upscaler.overlap`.
        backend: One of `BACKENDS`.
        device: 'cpu', 'cuda', or 'auto', which is CUDA if there is any.
        half: Compute in float16 on CUDA, in bfloat16 on a CPU.

    Raises:
        UsageError: Weights of another scale, a device that is not there, or tiles that make no sense.
        CheckpointError: The file cannot be read or is not an ASID's.
        BackendError: The backend is not installed, or not for this device.
    """
    if tile < 0 or (tile and not 0 <= overlap < tile):
        raise UsageError(f'--tile {tile} --tile-overlap {overlap}: the overlap must be smaller')
    weights = Path(weights)
    if backend not in BACKENDS:
        raise UsageError(f'--backend {backend}: should be {" or ".join(BACKENDS)}')
    net, own_scale, num_in_ch = BACKENDS[backend](weights, device, half)
    if scale not in (None, own_scale):
        raise UsageError(f'--scale {scale}: {weights} holds a network of scale {own_scale}')
    if num_in_ch != 3:
        raise UsageError(f'{weights}: a network for {num_in_ch} channels; images here have 3')
    return Upscaler(net, own_scale, tile, overlap)


Loaded = tuple[Callable[[Tensor], Tensor], int, int]
"""A network as `Upscaler.net`, its scale, and its input channels."""


def _load_torch(weights: Path, device: str, half: bool) -> Loaded:
    if weights.suffix == '.onnx':
        raise UsageError(f'{weights}: an .onnx file needs --backend onnxruntime')
    device = choose_device(device)
    dtype = choose_dtype(device, half)
    network = load_asid(weights)
    try:
        network = network.to(device, dtype)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UsageError('--device: the GPU has no memory left; --device cpu goes without it') from error

    def run(lq: Tensor) -> Tensor:
        return network(lq.to(device, dtype)).to('cpu', torch.float32)

    return run, network.upscale, network.conv_first.in_channels


def _load_onnxruntime(weights: Path, device: str, half: bool) -> Loaded:
    if weights.suffix != '.onnx':
        raise UsageError(
            f'{weights}: --backend onnxruntime needs an .onnx file; asid export {weights} OUT.onnx makes one'
        )
    if half:
        raise UsageError('--half: an .onnx file is in half precision if asid export --half wrote it')
    exported = load_onnx(weights, device)
    return exported.run, exported.upscale, exported.num_in_ch


BACKENDS: Mapping[str, Callable[[Path, str, bool], Loaded]] = {'torch': _load_torch, 'onnxruntime': _load_onnxruntime}
"""By the name of a runtime, the function that loads a network for it."""


@contextmanager
def image_failures(source: Path, image: Image, tile: int) -> Iterator[None]:
    """Make the failures of this image, read from `source` and run by tiles of `tile`, ImageErrors that name it."""
    try:
        yield
    except FloatingPointError as error:
        raise ImageError(f'{source}: {error}') from error
    except (RuntimeError, MemoryError, cv2.error) as error:
        if not is_out_of_memory(error):
            raise
        height, width = image.rgb.shape[:2]
        hint = f'a --tile below {tile}' if tile else '--tile 64'
        raise ImageError(f'{source}: out of memory at {width}x{height} pixels; try {hint}') from error
