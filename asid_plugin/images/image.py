"""A picture in memory: whole, or as strips that come one after the other."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asid_plugin.errors import ASIDError

Pixels = NDArray[np.unsignedinteger[Any]]
"""(height, width, channels), uint8 or uint16: 1 channel is grey, 2 are grey and alpha, 3 are RGB, 4 are RGBA.

Colours are not multiplied by alpha.
"""


class ImageError(ASIDError):
    """An image file that cannot be read or written; the message names the file and the reason."""


@dataclass(frozen=True)
class Metadata:
    """All that a file says of its picture besides the pixels.

    Attributes:
        profile: ICC profile of the colours.
        exif: EXIF block, a TIFF stream without a leading `Exif`; its orientation is 1, as the picture is upright.
        xmp: XMP packet.
        iptc: IPTC records, as they stand in TIFF's tag 33723.
        dpi: Pixels per inch, across and down.
        text: Texts by keyword, as PNG has them; 'Comment' is JPEG's and GIF's comment.
    """

    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)


class _Layout:
    """The properties of `Image` and `Strips` that follow from `channels` and `bits`."""

    channels: int
    bits: int

    @property
    def grey(self) -> bool:
        """Whether there is no colour (and shall be none)."""
        return self.channels < 3

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is opacity."""
        return self.channels in (2, 4)

    @property
    def top(self) -> int:
        """The value of white, and of opaque: 255 or 65535."""
        return 2**self.bits - 1


@dataclass(frozen=True)
class Image(_Layout):
    """A picture, as its file has it.

    Attributes:
        pixels: (height, width, channels), uint8 or uint16; see `Pixels`.
        metadata: The file's other data on it.
        duration: Of a frame of an animation, milliseconds; 0 for a picture that stands.
        notes: The losses in reading, one phrase each.
    """

    pixels: Pixels
    metadata: Metadata = field(default_factory=Metadata)
    duration: int = 0
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """Rows."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.pixels.shape[1]

    @property
    def channels(self) -> int:  # type: ignore[override]
        """1 to 4; see `Pixels`."""
        return self.pixels.shape[2]

    @property
    def bits(self) -> int:  # type: ignore[override]
        """Bits per channel, 8 or 16."""
        return 8 * self.pixels.itemsize

    @property
    def rgb(self) -> NDArray[np.float32]:
        """Colour, (height, width, 3) in [0, 1], made anew; three equal planes when the picture is grey."""
        colour = self.pixels[..., :3] if not self.grey else np.repeat(self.pixels[..., :1], 3, axis=2)
        return np.divide(colour, self.top, dtype=np.float32)

    @property
    def alpha(self) -> NDArray[np.float32] | None:
        """Opacity, (height, width) in [0, 1], made anew; None if there is no alpha."""
        return np.divide(self.pixels[..., -1], self.top, dtype=np.float32) if self.has_alpha else None

    @property
    def rgb8(self) -> NDArray[np.uint8]:
        """Colour in 8 bits, (height, width, 3); of 16 bits v, round(v / 257). A view of the pixels where it can be."""
        colour = self.pixels[..., :3] if not self.grey else np.repeat(self.pixels[..., :1], 3, axis=2)
        return to_bits(colour, 8).astype(np.uint8, copy=False)

    def strips(self) -> 'Strips':
        """The same as one strip."""
        return Strips(self.height, self.width, self.channels, self.bits, [self.pixels], self.metadata, self.duration)


@dataclass(frozen=True)
class Strips(_Layout):
    """A picture whose rows come one strip after the other, so that it never need be in memory as a whole.

    Attributes:
        height: Rows.
        width: Columns.
        channels: 1 to 4; see `Pixels`.
        bits: Bits per channel, 8 or 16.
        rows: The strips from top to bottom, (any number of rows, width, channels); can be gone through once.
        metadata: Of the file that is written.
        duration: Of a frame of an animation, milliseconds; 0 for a picture that stands.
    """

    height: int
    width: int
    channels: int
    bits: int
    rows: Iterable[Pixels]
    metadata: Metadata = field(default_factory=Metadata)
    duration: int = 0

    def __iter__(self) -> Iterator[Pixels]:
        return iter(self.rows)

    def whole(self) -> Image:
        """The picture put together."""
        pixels = np.empty((self.height, self.width, self.channels), np.uint8 if self.bits == 8 else np.uint16)
        start = 0
        for strip in self.rows:
            pixels[start : start + len(strip)] = strip
            start += len(strip)
        return Image(pixels, self.metadata, self.duration)


def to_bits(pixels: Pixels, bits: int) -> Pixels:
    """Pixels with 8 or 16 bits per channel: v of 16 becomes round(v / 257), v of 8 becomes 257 v."""
    if 8 * pixels.itemsize == bits:
        return pixels
    if bits == 16:
        return pixels.astype(np.uint16) * 257
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
