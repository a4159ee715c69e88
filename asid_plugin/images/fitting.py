"""Convert pictures to the bits and channels of a format, strip by strip."""

from collections.abc import Iterator

import numpy as np

from .alpha import over_white
from .formats import ImageFormat
from .image import Pixels, Strips, to_bits
from .metadata import fit_metadata

_STRIP = 2**19
"""Size of a strip in bytes."""


class Fitted:
    """A picture converted to the bits and channels of a format, strip by strip.

    Args:
        picture: The picture.
        target: The format.
        layout: Channels and bits, if they differ from the best match of the format.

    Attributes:
        strips: The converted picture with its metadata. Its strips have about 500 kB and the same number of rows,
            except for the last.
    """

    def __init__(self, picture: Strips, target: ImageFormat, layout: tuple[int, int] | None = None) -> None:
        self._picture, self._target = picture, target
        channels, bits = layout or _layout(picture, target)
        height, width = picture.height, picture.width
        metadata, self._lost = fit_metadata(picture.metadata, target, height, width, channels)
        self.strips = Strips(height, width, channels, bits, self._rows(channels, bits), metadata, picture.duration)
        self._translucent = False

    @property
    def notes(self) -> list[str]:
        """The losses, one phrase each; complete after the last strip."""
        notes = list(self._lost)
        if self._translucent:
            notes.insert(0, f'{self._target.name} is written without alpha: composited over white')
        if self._picture.bits > self.strips.bits:
            notes.insert(0, f'{self._target.name} holds {self.strips.bits} bits per channel, not {self._picture.bits}')
        return notes

    def _rows(self, channels: int, bits: int) -> Iterator[Pixels]:
        for strip in _even(self._picture, max(1, _STRIP // (self._picture.width * channels * bits // 8))):
            pixels = to_bits(strip, bits)
            if self._picture.has_alpha and channels in (1, 3):
                self._translucent |= bool(pixels[..., -1].min() < 2**bits - 1)
                pixels = over_white(pixels)
            yield _with_channels(pixels, channels)


def _layout(picture: Strips, target: ImageFormat) -> tuple[int, int]:
    """Channels and bits of a picture in a format."""
    channels = (1 if picture.grey and target.grey else 3) + (picture.has_alpha and target.alpha)
    return channels, min(picture.bits, target.bits)


def _even(picture: Strips, count: int) -> Iterator[Pixels]:
    """The rows of a picture in strips of `count` rows; the last may have fewer."""
    dtype = np.uint8 if picture.bits == 8 else np.uint16
    shape = (count, picture.width, picture.channels)
    block, filled, total = np.empty(shape, dtype), 0, 0
    for strip in picture:
        start = 0
        while start < len(strip):
            piece = strip[start : start + count - filled]
            block[filled : filled + len(piece)] = piece
            start, filled = start + len(piece), filled + len(piece)
            if filled == count:
                yield block
                block, filled = np.empty(shape, dtype), 0
        total += len(strip)
    if total != picture.height:
        raise ValueError(f'strips of {total} rows in all, for a picture of {picture.height}')
    if filled:
        yield block[:filled]


def _with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Add missing channels: grey becomes RGB, and pixels without alpha become opaque."""
    has = pixels.shape[2]
    if has == channels:
        return pixels
    colour = pixels[..., :3] if has > 2 else np.repeat(pixels[..., :1], 3 if channels > 2 else 1, axis=2)
    if channels in (1, 3):
        return colour
    alpha = pixels[..., -1:] if has in (2, 4) else np.full_like(pixels[..., :1], np.iinfo(pixels.dtype).max)
    return np.concatenate([colour, alpha], axis=2)
