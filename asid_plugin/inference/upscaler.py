"""Enlarge images with a trained ASID, by tiles or as a whole."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asid_plugin.checkpoints import load_asid
from asid_plugin.errors import UsageError
from asid_plugin.images import Image, ImageError, Pixels, Strips
from asid_plugin.images.alpha import enlarge_alpha, fill_hidden
from asid_plugin.tiles import BORDERS, OVERLAP, TILE

from .devices import choose_device, choose_dtype, enough_memory
from .runtimes import load_onnx
from .tiling import Windows, spans, tiled_rows, tiles_at_once


@dataclass(frozen=True)
class Upscaler:
    """A network with its settings for images.

    Attributes:
        net: Maps (B, 3, H, W) in [0, 1] to (B, 3, scale * H, scale * W), both float32 on the CPU.
        scale: The network's scale.
        tile: Tile size in pixels of the input, 0 for the whole image.
        overlap: Overlap of neighbouring tiles in pixels of the input.
        windows: The windows of the network for the tiles; None if it has none, or pads with zeros.
    """

    net: Callable[[Tensor], Tensor]
    scale: int
    tile: int = TILE
    overlap: int = OVERLAP
    windows: Windows | None = None

    def __call__(self, image: Image, progress: Callable[[int, int], None] | None = None) -> Image:
        """Enlarge an image as a whole; arguments and errors as in `strips`."""
        return self.strips(image, progress).whole()

    def strips(self, image: Image, progress: Callable[[int, int], None] | None = None) -> Strips:
        """Enlarge an image strip by strip on demand.

        Alpha is enlarged by bicubic interpolation.

        Args:
            image: The image.
            progress: Called with (tiles done, tiles in all).

        Returns:
            An image with the same channels and bits. Its iteration raises a FloatingPointError if the network's output
            is not finite.
        """
        height, width = (self.scale * side for side in image.pixels.shape[:2])
        rows = self._rows(image, progress)
        return Strips(height, width, image.channels, image.bits, rows, image.metadata, image.duration)

    def work(self, height: int, width: int) -> tuple[int, int]:
        """The number of tiles for an image of this size, and of their pixels in all."""
        rows, columns = (spans(side, self.tile or None, self.overlap, self.windows) for side in (height, width))
        return len(rows) * len(columns), sum(length for _, length in rows) * sum(length for _, length in columns)

    @torch.inference_mode()
    def _rows(self, image: Image, progress: Callable[[int, int], None] | None) -> Iterator[Pixels]:
        image = fill_hidden(image)
        # PyTorch supports few operations on uint16
        colour = image.pixels[..., : 1 if image.grey else 3].astype(
            np.uint8 if image.bits == 8 else np.int32, copy=False
        )
        lq = torch.from_numpy(colour).permute(2, 0, 1)[None]
        alpha = enlarge_alpha(image, self.scale) if image.has_alpha else None
        tile, batch = (self.tile, tiles_at_once(self.tile)) if self.tile else (None, 1)

        def net(piece: Tensor) -> Tensor:
            return self.net((piece.float() / image.top).expand(-1, 3, -1, -1))

        top = 0
        for sr in tiled_rows(net, lq, self.scale, tile, self.overlap, batch, True, self.windows, progress):
            if not sr.isfinite().all():
                raise FloatingPointError(
                    "the network's output is not finite (damaged weights, or too little precision with --half)"
                )
            planes = _luma(sr) if image.grey else sr
            rows = (planes.clamp(0, 1) * image.top).round()[0].permute(1, 2, 0).numpy().astype(image.pixels.dtype)
            yield rows if alpha is None else np.dstack([rows, alpha[top : top + len(rows)]])
            top += len(rows)


def _luma(sr: Tensor) -> Tensor:
    """Grey of (B, 3, H, W), with the weights of OpenCV and JPEG."""
    return (sr * sr.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)


def load_upscaler(
    weights: str | Path,
    scale: int | None = None,
    tile: int = TILE,
    overlap: int = OVERLAP,
    backend: str = 'torch',
    device: str = 'auto',
    half: bool = False,
    borders: str = 'flush',
) -> Upscaler:
    """Load a network for enlarging images.

    Args:
        weights: A checkpoint of ASID, `packaged:xK`, or, for ONNX Runtime, an exported .onnx file.
        scale: The required scale of the network; None for any.
        tile: As `Upscaler.tile`.
        overlap: As `Upscaler.overlap`.
        backend: One of `BACKENDS`.
        device: 'cpu', 'cuda', or 'auto', which is CUDA if available.
        half: Compute in float16 on CUDA, in bfloat16 on a CPU.
        borders: One of `BORDERS`; 'zeros' is the paper's protocol.

    Raises:
        UsageError: Weights of another scale, a missing device, or invalid tiles.
        CheckpointError: The file cannot be read or is not an ASID.
        BackendError: The backend is not installed, or does not support this device.
    """
    if tile < 0:
        raise UsageError(f'--tile {tile}: should be a number of pixels, or 0 for the whole image')
    if tile and not 0 <= overlap < tile:
        raise UsageError(f'--tile {tile} --tile-overlap {overlap}: the overlap must be smaller than the tile')
    weights = Path(weights)
    if backend not in BACKENDS:
        raise UsageError(f'--backend {backend}: should be {" or ".join(BACKENDS)}')
    if borders not in BORDERS:
        raise UsageError(f'--borders {borders}: should be {" or ".join(BORDERS)}')
    net, own_scale, num_in_ch, window_size = BACKENDS[backend](weights, device, half)
    if scale not in (None, own_scale):
        raise UsageError(f'--scale {scale}: {weights} holds a network of scale {own_scale}')
    if num_in_ch != 3:
        raise UsageError(f'{weights}: the network takes {num_in_ch} channels, but images have 3')
    return Upscaler(net, own_scale, tile, overlap, Windows(window_size) if borders == 'flush' else None)


Loaded = tuple[Callable[[Tensor], Tensor], int, int, int]
"""A network as `Upscaler.net`, its scale, its input channels, and its window size."""


def _load_torch(weights: Path, device: str, half: bool) -> Loaded:
    if weights.suffix == '.onnx':
        raise UsageError(f'{weights}: an .onnx file needs --backend onnxruntime')
    device = choose_device(device)
    dtype = choose_dtype(device, half)
    network = load_asid(weights)
    with enough_memory(UsageError, '--device', 'while loading the network; --device cpu does not use the GPU'):
        network = network.to(device, dtype)

    def run(lq: Tensor) -> Tensor:
        return network(lq.to(device, dtype)).to('cpu', torch.float32)

    return run, network.upscale, network.conv_first.in_channels, network.window_size


def _load_onnxruntime(weights: Path, device: str, half: bool) -> Loaded:
    if weights.suffix != '.onnx':
        raise UsageError(
            f'{weights}: --backend onnxruntime needs an .onnx file; asid export {weights} OUT.onnx writes one'
        )
    if half:
        raise UsageError('--half: an .onnx file is in half precision if it was exported with --half')
    exported = load_onnx(weights, device)
    return exported.run, exported.upscale, exported.num_in_ch, exported.window_size


BACKENDS: Mapping[str, Callable[[Path, str, bool], Loaded]] = {'torch': _load_torch, 'onnxruntime': _load_onnxruntime}
"""Functions that load a network, by the name of the runtime."""


@contextmanager
def image_failures(source: Path, image: Image, tile: int) -> Iterator[None]:
    """Convert failures on this image, from `source` and with tiles of `tile`, to ImageErrors that name it."""
    hint = f'a --tile below {tile}' if tile else '--tile 64'
    with enough_memory(ImageError, str(source), f'at {image.width}x{image.height} pixels; try {hint}'):
        try:
            yield
        except FloatingPointError as error:
            raise ImageError(f'{source}: {error}') from error
