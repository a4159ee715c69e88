"""The file formats for reading and writing, and the limits of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .image import ImageError


@dataclass(frozen=True)
class ImageFormat:
    """A file format for writing.

    Attributes:
        name: Its usual name.
        bits: Most bits per channel, 8 or 16.
        alpha: Whether it supports alpha.
        max_side: The largest width or height.
        frames: Its support for several pictures: 'animation', 'pages', or none.
        grey: Whether it supports grey pictures; else they become RGB.
        metadata: The supported attributes of `Metadata`, each with its maximum length in bytes, 0 for any. For `text`
            it is the length of each text; the keywords are in `texts`.
        texts: The supported keywords of texts; None for any.
    """

    name: str
    bits: int
    alpha: bool
    max_side: int
    frames: str = ''
    grey: bool = True
    metadata: Mapping[str, int] = field(default_factory=dict)
    texts: tuple[str, ...] | None = ()


_PNG = ImageFormat(
    'PNG',
    bits=16,
    alpha=True,
    max_side=1_000_000,
    frames='animation',
    metadata={'profile': 0, 'exif': 0, 'xmp': 0, 'iptc': 0, 'dpi': 0},
    texts=None,
)
# Each kind of metadata has one segment of 65533 bytes including its name; a profile may have 255 segments.
_JPEG = ImageFormat(
    'JPEG',
    bits=8,
    alpha=False,
    max_side=65_500,
    metadata={'profile': 255 * 65_519, 'exif': 65_527, 'xmp': 65_504, 'iptc': 65_506, 'dpi': 0, 'text': 65_533},
    texts=('Comment',),
)
_WEBP = ImageFormat(
    'WebP',
    bits=8,
    alpha=True,
    max_side=16_383,
    frames='animation',
    grey=False,
    metadata={'profile': 0, 'exif': 0, 'xmp': 0},
)
_TIFF = ImageFormat(
    'TIFF',
    bits=16,
    alpha=True,
    max_side=2**20,
    frames='pages',
    metadata={'profile': 0, 'exif': 0, 'xmp': 0, 'iptc': 0, 'dpi': 0},
    texts=('Title', 'Description', 'Comment', 'Author', 'Copyright', 'Software'),
)
# A BMP can have alpha, but few programs look for it.
_BMP = ImageFormat('BMP', bits=8, alpha=False, max_side=2**20, metadata={'dpi': 0})
FORMATS = {'.png': _PNG, '.jpg': _JPEG, '.jpeg': _JPEG, '.webp': _WEBP, '.tif': _TIFF, '.tiff': _TIFF, '.bmp': _BMP}
"""Formats for writing, by suffix."""
READ_ONLY = (
    '.apng',
    '.avif',
    '.gif',
    '.heic',
    '.heif',
    '.hif',
    '.j2k',
    '.jfif',
    '.jp2',
    '.jpe',
    '.jpf',
    '.jpx',
    '.jxl',
    '.mpo',
    '.pbm',
    '.pgm',
    '.pnm',
    '.ppm',
    '.tga',
)
READABLE = (*FORMATS, *READ_ONLY)
"""Suffixes of images in folders; for a named file the content decides."""
UNREADABLE = 'damaged, cut short, or not an image in a supported format'
MAX_PIXELS = 2**30
"""Larger images are refused before they are decoded."""


def check_size(path: str | Path, height: int, width: int) -> None:
    """Raise an ImageError if the format of `path` is unknown or cannot hold an image of this size."""
    target = FORMATS.get(Path(path).suffix.lower())
    if target is None:
        raise ImageError(f'{path}: the name must end in one of {", ".join(FORMATS)}')
    if max(height, width) > target.max_side:
        raise ImageError(f'{path}: {width}x{height} is too large: {target.name} allows {target.max_side} pixels a side')
