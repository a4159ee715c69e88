"""A file of the corpus and its truth."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.unsignedinteger]
"""(height, width, channels), as `asid_plugin.images.Pixels`."""


@dataclass(frozen=True)
class Case:
    """A file that must be read.

    Attributes:
        name: Of the file.
        format: For the summary.
        encode: Makes the bytes of the file.
        pixels: How the picture must come out, upright; colours are compared where alpha is not 0.
        second: A reader that is not ours: takes the path, gives pixels as above. None if none reads this kind right.
        most: How far a value may be from `pixels`, in levels of the truth's depth; 0 of most lossless files.
        mean: How far the values may be on average.
        near: How far a value may be from that of the second reader.
        profile: The ICC profile that must come out.
        later: The frames or pages after the first.
        may: Latitude: 'rgb': grey may come out as RGB; '8 bits': 16 bits may come out as 8 with a note;
            'lose profile': with a note; 'refuse': a message that says "not supported" will do;
            'srgb': a profile of sRGB, or of grey with its curve, may come out where the file has none;
            'linear': a profile must come out that says so;
            'opaque alpha': may be added, as to all frames of an animation.
    """

    name: str
    format: str
    encode: Callable[[], bytes]
    pixels: Pixels
    second: Callable[[Path], Pixels] | None
    most: int = 0
    mean: float = 0.0
    near: int = 0
    profile: bytes | None = None
    later: tuple[Pixels, ...] = ()
    may: frozenset[str] = field(default_factory=frozenset)

    @property
    def exact(self) -> bool:
        """Whether every value must come out as it is."""
        return self.most == 0


@dataclass(frozen=True)
class Refused:
    """A file that must not be read.

    Attributes:
        name: Of the file.
        format: For the summary.
        encode: Makes the bytes of the file.
        words: The message must contain one of them.
    """

    name: str
    format: str
    encode: Callable[[], bytes]
    words: tuple[str, ...]


def planes(pixels: NDArray) -> Pixels:
    """Pixels with a channel axis."""
    return np.ascontiguousarray(np.atleast_3d(pixels))


def in_depth(pixels: Pixels, bits: int) -> Pixels:
    """Pixels of 8 or 16 bits in 8 or 16 bits, rounded, by plain arithmetic."""
    if pixels.dtype == (np.uint8, np.uint16)[bits == 16]:
        return pixels
    top = np.iinfo(pixels.dtype).max
    return np.rint(pixels / top * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def difference(got: Pixels, want: Pixels) -> tuple[int, float]:
    """The largest and the mean difference, in colours only where `want` is not wholly transparent.

    Raises:
        AssertionError: Size, channels or depth differ.
    """
    assert (got.shape, got.dtype) == (want.shape, want.dtype), f'{got.shape} {got.dtype}, not {want.shape} {want.dtype}'
    apart = np.abs(got.astype(np.int64) - want.astype(np.int64))
    if want.shape[2] in (2, 4):
        apart[want[..., -1] == 0, :-1] = 0
    return int(apart.max()), float(apart.mean())


def compare(pixels: Pixels, want: Pixels, case: Case) -> tuple[float, float]:
    """The largest and the mean difference in units of the truth's depth, with the latitude that the case gives.

    Raises:
        AssertionError: Size, channels or depth differ, or grey came out as colours.
    """
    unit = 1
    if '8 bits' in case.may and want.itemsize == 2 and pixels.itemsize == 1:
        want, unit = in_depth(want, 8), 257
    if 'opaque alpha' in case.may and pixels.shape[2] == want.shape[2] + 1 and (pixels[..., -1] == 255).all():
        pixels = pixels[..., :-1]
    if 'rgb' in case.may and want.shape[2] < 3 and pixels.shape[2] == want.shape[2] + 2:
        assert np.ptp(pixels[..., :3].astype(int), axis=2).max() <= case.most, 'grey came out as colours'
        pixels = pixels[..., [0] if want.shape[2] == 1 else [0, 3]]
    most, mean = difference(pixels, want)
    # 8 bits of 16 may be rounded, or cut off
    return (most - 1) * unit if unit > 1 else most, (mean - 1) * unit if unit > 1 else mean
