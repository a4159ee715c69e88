"""A picture in memory, as a whole or as a sequence of strips."""

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
    """All data of a picture file besides the pixels.

    Attributes:
        profile: ICC profile of the colours.
        exif: EXIF block, a TIFF stream without a leading `Exif`; its orientation is 1, because the picture is upright.
        xmp: XMP packet.
        iptc: IPTC records, in the form of TIFF's tag 33723.
        dpi: Pixels per inch, across and down.
        text: Texts by keyword, as in PNG; 'Comment' is the comment of JPEG and GIF.
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
        """Whether the picture has no colour (and must get none)."""
        return self.channels < 3

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is opacity."""
        return self.channels in (2, 4)

    @property
    def top(self) -> int:
        """The value of white and of opaque pixels: 255 or 65535."""
        return 2**self.bits - 1


@dataclass(frozen=True)
class Image(_Layout):
    """A picture from a file.

    Attributes:
        pixels: (height, width, channels), uint8 or uint16; see `Pixels`.
        metadata: The other data of the file.
        duration: Duration of a frame of an animation in milliseconds; 0 for a still picture.
        notes: Losses in reading, one phrase each.
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
        """Colour, (height, width, 3) in [0, 1], a new array; three equal planes if the picture is grey."""
        colour = self.pixels[..., :3] if not self.grey else np.repeat(self.pixels[..., :1], 3, axis=2)
        return np.divide(colour, self.top, dtype=np.float32)

    @property
    def alpha(self) -> NDArray[np.float32] | None:
        """Opacity, (height, width) in [0, 1], a new array; None if there is no alpha."""
        return np.divide(self.pixels[..., -1], self.top, dtype=np.float32) if self.has_alpha else None

    @property
    def rgb8(self) -> NDArray[np.uint8]:
        """Colour in 8 bits, (height, width, 3); 16-bit values v become round(v / 257).

        A view of the pixels if possible.
        """
        colour = self.pixels[..., :3] if not self.grey else np.repeat(self.pixels[..., :1], 3, axis=2)
        return to_bits(colour, 8).astype(np.uint8, copy=False)

    def strips(self) -> 'Strips':
        """The same picture as one strip."""
        return Strips(self.height, self.width, self.channels, self.bits, [self.pixels], self.metadata, self.duration)


@dataclass(frozen=True)
class Strips(_Layout):
    """A picture as a sequence of strips, so that it need not be in memory as a whole.

    Attributes:
        height: Rows.
        width: Columns.
        channels: 1 to 4; see `Pixels`.
        bits: Bits per channel, 8 or 16.
        rows: The strips from top to bottom, (any number of rows, width, channels); can be iterated once.
        metadata: Metadata for the written file.
        duration: Duration of a frame of an animation in milliseconds; 0 for a still picture.
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
        """The assembled picture."""
        pixels = np.empty((self.height, self.width, self.channels), np.uint8 if self.bits == 8 else np.uint16)
        start = 0
        for strip in self.rows:
            pixels[start : start + len(strip)] = strip
            start += len(strip)
        return Image(pixels, self.metadata, self.duration)


def to_bits(pixels: Pixels, bits: int) -> Pixels:
    """Pixels with 8 or 16 bits per channel: a 16-bit v becomes round(v / 257), an 8-bit v becomes 257 v."""
    if 8 * pixels.itemsize == bits:
        return pixels
    if bits == 16:
        return pixels.astype(np.uint16) * 257
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
