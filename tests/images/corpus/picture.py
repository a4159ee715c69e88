"""The picture that all files of the corpus show, in every depth and layout, and orientations."""

import struct

import numpy as np
import skimage.data

from .case import Pixels

HEIGHT, WIDTH = 40, 56
RGB = np.ascontiguousarray(skimage.data.astronaut()[344:384, 64:120])
"""(40, 56, 3) uint8: swapped channels are 70 levels away."""
_noise = np.random.default_rng(13)
RGB16 = (RGB.astype(np.uint16) << 8) | _noise.integers(0, 256, RGB.shape, dtype=np.uint16)
"""(40, 56, 3) uint16 whose low bytes count."""
GREY = np.rint(RGB @ [0.299, 0.587, 0.114]).astype(np.uint8)
GREY16 = (GREY.astype(np.uint16) << 8) | _noise.integers(0, 256, GREY.shape, dtype=np.uint16)
_rows, _columns = np.mgrid[:HEIGHT, :WIDTH]
DISC = np.where((_rows - 20) ** 2 + (_columns - 30) ** 2 < 250, 255, 0).astype(np.uint8)
"""Binary alpha."""
ALPHA = np.clip(6 * _columns - 20, 0, 255).astype(np.uint8)
"""Smooth alpha, from 0 to 255 across."""
ALPHA16 = np.clip(1500 * _columns - 5000, 0, 65535).astype(np.uint16)
RGBA = np.dstack([RGB, ALPHA])
RGBA16 = np.dstack([RGB16, ALPHA16])
GREY_ALPHA = np.dstack([GREY, ALPHA])
GREY_ALPHA16 = np.dstack([GREY16, ALPHA16])
SMOOTH = np.stack(
    [
        np.clip(40 + 4 * _rows, 0, 255),
        np.clip(20 + 4 * _columns, 0, 255),
        np.clip(220 - 2 * _rows - 2 * _columns, 0, 255),
    ],
    axis=2,
).astype(np.uint8)
"""(40, 56, 3) uint8 ramps, which lossy formats change little."""

INK = np.dstack([SMOOTH, np.clip(3 * _rows + _columns - 40, 0, 200).astype(np.uint8)])
"""(40, 56, 4) uint8 ramps of cyan, magenta, yellow and black."""

_CUBE = np.array(
    [(r, g, b) for r in (0, 90, 170, 255) for g in (0, 90, 170, 255) for b in (20, 90, 160, 240)], np.uint8
)


def palette_of(size: int) -> np.ndarray:
    """(size, 3) uint8: colours that lie apart, none of them grey, up to 256."""
    more = np.random.default_rng(size).integers(0, 256, (256, 3), dtype=np.uint8)
    more[:, 0] |= 1
    more[:, 2] &= 254
    chosen = _CUBE[:: 64 // size] if size <= 64 else np.vstack([_CUBE, more])
    return chosen[:size]


def indices(size: int) -> np.ndarray:
    """(40, 56) uint8: the nearest colours of `palette_of(size)`."""
    apart = RGB[:, :, None].astype(int) - palette_of(size).astype(int)
    return (apart**2).sum(3).argmin(2).astype(np.uint8)


def levels(bits: int) -> np.ndarray:
    """(40, 56): the grey picture in 1 to 8 bits, or in 16."""
    return GREY16 if bits == 16 else (GREY16 >> (16 - bits)).astype(np.uint8)


def stretched(values: np.ndarray, top: int) -> Pixels:
    """Samples from 0 to `top` in 8 bits, or in 16 where 8 are too few, rounded."""
    full, dtype = (255, np.uint8) if top <= 255 else (65535, np.uint16)
    return np.rint(values.astype(np.float64) * full / top).astype(dtype)


def unturned(upright: Pixels, orientation: int) -> Pixels:
    """The pixels as a file holds them whose EXIF orientation turns them upright.

    The orientation names the sides of the picture where row 0 and column 0 of the file are.
    """
    stored = {
        1: lambda p: p,  # top, left
        2: lambda p: p[:, ::-1],  # top, right
        3: lambda p: p[::-1, ::-1],  # bottom, right
        4: lambda p: p[::-1],  # bottom, left
        5: lambda p: p.swapaxes(0, 1),  # left, top
        6: lambda p: p[:, ::-1].swapaxes(0, 1),  # right, top
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),  # right, bottom
        8: lambda p: p[::-1].swapaxes(0, 1),  # left, bottom
    }
    return np.ascontiguousarray(stored[orientation](upright))


def exif(orientation: int, order: str = '<') -> bytes:
    """An EXIF block (a TIFF stream) that says an orientation and no more."""
    entry = struct.pack(f'{order}HHIHH', 0x112, 3, 1, orientation, 0)
    return (b'II' if order == '<' else b'MM') + struct.pack(f'{order}HIH', 42, 8, 1) + entry + bytes(4)
