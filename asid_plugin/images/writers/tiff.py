"""Write TIFF strip by strip: 8 and 16 bits, metadata, pages.

The directories come last, when the size of the file is known; above 4 GB they have the form of BigTIFF. Tifffile must
know the size before, and writes no EXIF. Sources of the format: TIFF, Revision 6.0, Adobe; the BigTIFF file format
proposal; Exif 2.32, CIPA DC-008.
"""

import struct
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from ..directories import LONG, LONG8, SHORT, Directory, Tag, pack_directory
from ..exif import byte_order, exif_tags
from ..image import Metadata, Pixels, Strips
from .deflate import deflate

_TOP = 2**32 - 1
_HEADER = 16  # reserved bytes, the size of BigTIFF's header
_ASCII, _BYTE, _RATIONAL, _UNDEFINED = 2, 1, 5, 7
_INCH, _DEFLATE, _DIFFERENCES, _UNASSOCIATED = 2, 8, 2, 2
# Tags of EXIF's main directory that describe the picture, not its storage: names, times, makers, programs, resolution,
# rights, ratings, Windows' texts, and the directories of EXIF and GPS.
_DESCRIPTIONS = frozenset([*range(269, 273), 282, 283, 285, 296, 305, 306, 315, 316, 18246, 18249, 33432, 34665, 34853])
_DESCRIPTIONS |= frozenset(range(40091, 40096))
_TEXTS = {'Title': 269, 'Description': 270, 'Comment': 270, 'Author': 315, 'Copyright': 33432, 'Software': 305}


def write_tiff(file: BinaryIO, pages: Iterator[Strips]) -> list[str]:
    """Write pictures as pages.

    Args:
        file: The file, empty.
        pages: The pictures. All strips of a page except the last have the same number of rows.

    Returns:
        The losses, one phrase each.
    """
    order = ''
    directories: list[Directory] = []
    notes: list[str] = []
    file.write(bytes(_HEADER))
    for page in pages:
        order = order or (byte_order(page.metadata.exif) if page.metadata.exif is not None else '<')
        tags, lost = _descriptions(page.metadata, order)
        directories.append([*tags, *_write_pixels(file, page, order)])
        notes += [f'TIFF is written without the text {keyword}: EXIF has another text for it' for keyword in lost]
    _write_directories(file, directories, order)
    return notes


def _write_directories(file: BinaryIO, directories: list[Directory], order: str) -> None:
    start = file.tell()
    big = start + sum(len(pack_directory(tags, 0, order)) for tags in directories) > _TOP
    for number, tags in enumerate(directories, start=1):
        place = file.tell()
        following = place + len(pack_directory(tags, place, order, big))
        file.write(pack_directory(tags, place, order, big, following if number < len(directories) else 0))
    file.seek(0)
    file.write(b'II' if order == '<' else b'MM')
    file.write(struct.pack(f'{order}HHHQ', 43, 8, 0, start) if big else struct.pack(f'{order}HI', 42, start))


def _write_pixels(file: BinaryIO, page: Strips, order: str) -> list[Tag]:
    """Write the strips, and make the tags that describe their storage."""
    offsets, counts, rows = [], [], 1
    for strip in page:
        data = deflate(_differences(strip).astype(f'{order}u{strip.itemsize}', copy=False).tobytes())
        offsets.append(file.tell())
        counts.append(len(data))
        rows = max(rows, len(strip))
        file.write(data + bytes(len(data) % 2))
    colours = 1 if page.grey else 2  # black is 0; RGB
    tags = {
        256: [page.width],
        257: [page.height],
        258: [page.bits] * page.channels,
        259: [_DEFLATE],
        262: [colours],
        273: offsets,
        277: [page.channels],
        278: [rows],
        279: counts,
        284: [1],
        317: [_DIFFERENCES],
    }
    if page.has_alpha:
        tags[338] = [_UNASSOCIATED]
    return [_numbers(code, values, order) for code, values in tags.items()]


def _numbers(code: int, values: list[int], order: str) -> Tag:
    top = max(values)
    kind, letter = (SHORT, 'H') if top < 2**16 else (LONG, 'I') if top <= _TOP else (LONG8, 'Q')
    return Tag(code, kind, struct.pack(f'{order}{len(values)}{letter}', *values))


def _differences(strip: Pixels) -> Pixels:
    """Each pixel minus its left neighbour."""
    result = strip.copy()
    np.subtract(strip[:, 1:], strip[:, :-1], out=result[:, 1:])
    return result


def _descriptions(metadata: Metadata, order: str) -> tuple[list[Tag], list[str]]:
    """Tags of metadata, and the keywords of dropped texts."""
    exif = exif_tags(metadata.exif, order) if metadata.exif is not None else ()
    tags = {tag.code: tag for tag in exif if tag.code in _DESCRIPTIONS}
    lost = _add_texts(tags, metadata.text)
    for code, kind, value in ((34675, _UNDEFINED, metadata.profile), (700, _BYTE, metadata.xmp)):
        if value is not None:
            tags[code] = Tag(code, kind, value)
    if metadata.iptc is not None:
        tags[33723] = Tag(33723, _UNDEFINED, metadata.iptc)
    if metadata.dpi is not None:
        for code, number in zip((282, 283), metadata.dpi, strict=True):
            ratio = Fraction(number).limit_denominator(2**16)
            tags[code] = Tag(code, _RATIONAL, struct.pack(f'{order}II', ratio.numerator, ratio.denominator))
        tags[296] = _numbers(296, [_INCH], order)
    return list(tags.values()), lost


def _add_texts(tags: dict[int, Tag], texts: Mapping[str, str]) -> list[str]:
    """Add texts whose tags are free, and return the keywords of texts whose tags have other values."""
    lost = []
    for keyword, code in _TEXTS.items():
        if keyword in texts:
            value = texts[keyword].encode('utf-8', 'replace').rstrip(b'\0') + b'\0'
            if tags.setdefault(code, Tag(code, _ASCII, value)).value != value:
                lost.append(keyword)
    return lost
