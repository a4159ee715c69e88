"""Enlarge a picture for the page: by a network, and by bicubic interpolation for comparison."""

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from asid_plugin.images import (
    Header,
    Image,
    ImageError,
    Pixels,
    Strips,
    check_size,
    read_header,
    read_image,
    write_image,
)
from asid_plugin.images.alpha import enlarge_alpha, fill_hidden
from asid_plugin.inference.upscaler import Upscaler, image_failures

_ROWS, _REACH = 256, 2
"""Input rows of a strip of the bicubic enlargement, and the further rows above and below that it needs."""


@dataclass(frozen=True)
class Enlarged:
    """The enlargements of a picture.

    Attributes:
        height: Rows of the picture itself.
        width: Columns.
        before: PNG file of the bicubic enlargement.
        after: PNG file of the network's enlargement.
        notes: A phrase on each loss, such as metadata or frames.
    """

    height: int
    width: int
    before: Path
    after: Path
    notes: tuple[str, ...]


def enlarge(
    path: Path, upscaler: Upscaler, max_pixels: int, progress: Callable[[int, int], None] | None = None
) -> Enlarged:
    """Enlarge an image file, into a new folder beside it.

    Args:
        path: The file. Only the first frame or page is enlarged.
        upscaler: The network.
        max_pixels: Larger images are refused before they are decoded.
        progress: Called with (tiles done, tiles in all).

    Raises:
        ImageError: The image cannot be read, is too large or cannot be enlarged.
    """
    header = read_picture_header(path, upscaler.scale, max_pixels)
    image = read_image(path)
    folder = Path(tempfile.mkdtemp(dir=path.parent))
    before, after = folder / f'{path.stem}_bicubic.png', _target(path, upscaler.scale, folder)
    try:
        with image_failures(path, image, upscaler.tile):
            lost = write_image(upscaler.strips(image, progress), after)
            write_image(bicubic(image, upscaler.scale), before)
    except BaseException:  # such as the exception with which the page stops it
        shutil.rmtree(folder)
        raise
    notes = dict.fromkeys([*left_out(header), *image.notes, *lost])
    return Enlarged(image.height, image.width, before, after, tuple(notes))


def read_picture_header(path: Path, scale: int, max_pixels: int) -> Header:
    """Read the header of a picture's file.

    Raises:
        ImageError: The file is not an image, the picture has more than `max_pixels`, or the result is too large for a
            PNG.
    """
    header = read_header(path)
    if header.width * header.height > max_pixels:
        raise ImageError(f'{path}: {header.width}x{header.height} is too large; {limit(max_pixels)}')
    check_size(_target(path, scale), header.height * scale, header.width * scale)
    return header


def left_out(header: Header) -> list[str]:
    """A phrase on frames or pages that are not enlarged, if any."""
    kind = 'frames' if header.animated else 'pages'
    return [f'only the first of {header.num_frames} {kind} is enlarged'] if header.num_frames > 1 else []


def limit(max_pixels: int) -> str:
    """The largest size of a picture, in words."""
    width = math.isqrt(max_pixels * 3 // 2)
    return f'pictures of up to {megapixels(max_pixels)} are accepted, such as {width}x{max_pixels // width}'


def megapixels(pixels: int, digits: int = 3) -> str:
    """A number of pixels in words, rounded to `digits` digits: '0.307 megapixels'."""
    number = np.format_float_positional(pixels / 1e6, precision=digits, fractional=False, trim='-')
    return f'{number} megapixel{"s" * (number != "1")}'


def longest_upload(max_pixels: int) -> int:
    """Most bytes of an accepted file: RGBA of 16 bits without compression, and a margin."""
    return 8 * max_pixels + 2**20


def written(pixels: int, scale: int) -> int:
    """Most bytes of the two enlargements of a picture with `pixels` pixels."""
    return 2 * longest_upload(pixels * scale**2)


def bicubic(image: Image, scale: int) -> Strips:
    """Enlarge an image by bicubic interpolation, one strip at a time on demand."""
    height, width = (scale * side for side in image.pixels.shape[:2])
    return Strips(height, width, image.channels, image.bits, _bicubic_rows(image, scale), image.metadata)


def _bicubic_rows(image: Image, scale: int) -> Iterator[Pixels]:
    image = fill_hidden(image)
    alpha = enlarge_alpha(image, scale) if image.has_alpha else None
    for start in range(0, image.height, _ROWS):
        end = min(start + _ROWS, image.height)
        first = max(start - _REACH, 0)
        colour = image.pixels[first : end + _REACH, :, : 1 if image.grey else 3].astype(np.float32)
        lq = torch.from_numpy(colour).permute(2, 0, 1)[None]
        # antialias selects MATLAB's cubic, a = -0.5, and has no other effect when enlarging
        sr = F.interpolate(lq, scale_factor=scale, mode='bicubic', antialias=True)
        sr = sr[0, :, scale * (start - first) : scale * (end - first)].clamp(0, image.top).round()
        rows = sr.permute(1, 2, 0).numpy().astype(image.pixels.dtype)
        yield rows if alpha is None else np.dstack([rows, alpha[scale * start : scale * end]])


def _target(path: Path, scale: int, folder: Path = Path()) -> Path:
    return folder / f'{path.stem}_x{scale}.png'
