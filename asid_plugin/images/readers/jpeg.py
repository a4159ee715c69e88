"""JPEG by Pillow, and a check that it is whole: where data are missing, libjpeg makes up pixels without an error."""

import io
import re
import struct
import zlib
from dataclasses import replace
from typing import IO, Any

import PIL.Image

from ..directories import read_directory, read_pointer
from ..image import Image
from .metadata import Described, decoded, describe_info
from .pillow import PillowReader
from .refusal import unsupported

_LOSSLESS = (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF)
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA, *_LOSSLESS)
_JPEG_LS, _SCAN, _END = 0xF7, 0xDA, 0xD9
# Markers but for those that stand among the coded coefficients.
_MARKER = re.compile(rb'\xff[^\x00\xff\x01\xd0-\xd7]')
_BLOCK = 8
_NUM_PICTURES = 0xB001
_EXTENDED_XMP = b'http://ns.adobe.com/xmp/extension/\0'
_HAS_EXTENDED_XMP = re.compile(
    rb'\s*xmpNote:HasExtendedXMP\s*=\s*("[^"]*"|\'[^\']*\')|<xmpNote:HasExtendedXMP>.*?</xmpNote:HasExtendedXMP>',
    re.DOTALL,
)
_PADDING = bytes(range(16, 144))  # anything that decodes to coefficients


class JpegReader(PillowReader):
    """Reads JPEG; of the pictures of an MPO the first."""

    def __init__(self) -> None:
        super().__init__('JPEG')

    def open(self, file: IO[bytes]) -> PIL.Image.Image:
        """See `PillowReader.open`."""
        _check_kind(file)
        return super().open(file)

    def describe(self, picture: PIL.Image.Image, file: IO[bytes]) -> Described:
        """See `PillowReader.describe`; Pillow hands out the last of several comments, and the main part of XMP."""
        segments: list[tuple[str, bytes]] = getattr(picture, 'applist', [])
        comments = [decoded(data) for kind, data in segments if kind == 'COM']
        info: dict[Any, Any] = picture.info | ({'comment': '\n'.join(comments)} if comments else {})
        notes: tuple[str, ...] = ()
        if any(kind == 'APP1' and data.startswith(_EXTENDED_XMP) for kind, data in segments):
            notes = ('the extended part of XMP',)
        if isinstance(xmp := info.get('xmp'), bytes):
            info['xmp'] = _HAS_EXTENDED_XMP.sub(b'', xmp)
        described = describe_info(info)
        return replace(described, notes=(*described.notes, *notes))

    def notes(self, picture: PIL.Image.Image, file: IO[bytes]) -> tuple[str, ...]:
        """See `PillowReader.notes`."""
        count = _num_pictures(picture.info.get('mp', b''))
        return (f'only the first of the {count} pictures of the MPO',) if count > 1 else ()

    def image(self, picture: PIL.Image.Image, file: IO[bytes], described: Described, animated: bool = False) -> Image:
        """See `PillowReader.image`."""
        _check_whole(picture, file)
        return super().image(picture, file, described, animated)


def _num_pictures(index: bytes) -> int:
    """The number of pictures in the index of an MPO; 1 if it is damaged.

    Source: Multi-Picture Format, CIPA DC-007.
    """
    order = {b'II': '<', b'MM': '>'}.get(index[:2])
    if order is None or len(index) < 8:
        return 1
    try:
        entries, _ = read_directory(index, int(struct.unpack_from(f'{order}I', index, 4)[0]), order)
        return max((read_pointer(index, entry, order) for entry in entries if entry.code == _NUM_PICTURES), default=1)
    except (ValueError, struct.error):
        return 1


def _check_kind(file: IO[bytes]) -> None:
    """Refuse the kinds of JPEG that Pillow calls damaged."""
    at = 2
    while True:
        file.seek(at)
        head = file.read(5)
        if len(head) < 5 or head[0] != 0xFF or head[1] == _SCAN:
            return
        if head[1] == _JPEG_LS:
            raise unsupported('JPEG-LS')
        if head[1] in _LOSSLESS:
            raise unsupported('lossless and hierarchical JPEG')
        if head[1] in _FRAMES and head[4] != 8:
            raise unsupported(f'JPEG of {head[4]} bits')
        at += 1 if head[1] == 0xFF else 2 + int.from_bytes(head[2:4], 'big')


def _check_whole(picture: PIL.Image.Image, file: IO[bytes]) -> None:
    """Raise a ValueError if the coded data of a JPEG stop before its last block, though it has an end.

    Bytes put in before the end change nothing in a whole picture; in one that lacks data, they are taken for these.
    Decoding twice is spared where the last block has details, as blocks without data are flat; not so in a picture
    of several scans, which lacks details only.
    """
    file.seek(0)
    data = file.read()
    end, num_scans = _end(data)
    if num_scans == 1 and not _ends_flat(picture):
        return
    with PIL.Image.open(io.BytesIO(data[:end] + _PADDING + data[end:]), formats=('JPEG',)) as padded:
        if _digest(padded) != _digest(picture):
            raise ValueError('the coded data end early')


def _end(data: bytes) -> tuple[int, int]:
    """The offset of the end marker, and the number of scans."""
    at, num_scans = 2, 0
    while found := _MARKER.search(data, at):
        kind = data[found.start() + 1]
        if kind == _END:
            return found.start(), num_scans
        num_scans += kind == _SCAN
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], 'big')
    raise ValueError('no end marker')


def _ends_flat(picture: PIL.Image.Image) -> bool:
    left, upper = (side - 1 - (side - 1) % _BLOCK for side in picture.size)
    ranges = picture.crop((left, upper, *picture.size)).getextrema()
    return all(low == high for low, high in (ranges if isinstance(ranges[0], tuple) else [ranges]))


def _digest(picture: PIL.Image.Image) -> int:
    digest = 0
    for upper in range(0, picture.height, 64):
        strip = picture.crop((0, upper, picture.width, min(upper + 64, picture.height)))
        digest = zlib.crc32(strip.tobytes(), digest)
    return digest
