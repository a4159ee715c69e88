"""JPEG by Pillow, with a check for missing data, which libjpeg fills with invented pixels without an error."""

import io
import re
import struct
import zlib
from dataclasses import replace
from typing import IO, Any, NamedTuple

import PIL.Image

from ..directories import read_directory, read_pointer
from ..image import Image
from ..xmp import without
from .jpeg_quality import estimate_quality
from .metadata import Described, decoded, describe_info
from .pillow import PillowReader
from .refusal import unsupported

_LOSSLESS = (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF)
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA, *_LOSSLESS)
_JPEG_LS, _SCAN, _END = 0xF7, 0xDA, 0xD9
# Markers, except those among the coded coefficients.
_MARKER = re.compile(rb'\xff[^\x00\xff\x01\xd0-\xd7]')
_RESTART = re.compile(rb'\xff([\xd0-\xd7])')
_HUFFMAN = (0xC0, 0xC1, 0xC2)
_BLOCK = 8
_LAST = 16
"""Bytes at the end of a scan that certainly include those of the last block."""
_LEAST, _MOST = 256, 4
"""Fewest bytes of a scan, and most scans, for a test with other bytes at the end; each test is a decoding."""
_NUM_PICTURES = 0xB001
_EXTENDED_XMP = b'http://ns.adobe.com/xmp/extension/\0'
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
        """See `PillowReader.describe`; Pillow returns the last of several comments, and the main part of XMP."""
        segments: list[tuple[str, bytes]] = getattr(picture, 'applist', [])
        comments = [decoded(data) for kind, data in segments if kind == 'COM']
        info: dict[Any, Any] = picture.info | ({'comment': '\n'.join(comments)} if comments else {})
        notes: tuple[str, ...] = ()
        if any(kind == 'APP1' and data.startswith(_EXTENDED_XMP) for kind, data in segments):
            notes = ('the extended part of XMP',)
        if isinstance(xmp := info.get('xmp'), bytes):
            info['xmp'] = without(xmp, b'xmpNote:HasExtendedXMP')
        described = describe_info(info)
        return replace(described, notes=(*described.notes, *notes))

    def quality(self, picture: PIL.Image.Image) -> int:
        """See `PillowReader.quality`."""
        tables: dict[int, list[int]] = getattr(picture, 'quantization', {})
        return estimate_quality(tables[min(tables)]) if tables else 0

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
    """Refuse the kinds of JPEG that Pillow reports as damaged."""
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
    """Raise a ValueError if the coded data of a JPEG have an end, but fewer or more blocks than the picture.

    JPEG has no checksums, and libjpeg fills gaps. A gap in the data desynchronises the decoder, so that it usually
    reaches the last block too late or too early:

    - Bytes inserted before the end of a scan, and before a restart, do not change a complete picture. In a picture that
    lacks data there, they are decoded. If the last block has details, the second decoding is not needed, because blocks
    without data are flat. This does not hold for several scans, which lack details only.
    - Other bytes in the place of the last bytes of a scan change a complete picture. If the blocks ended before, they
    are not read. Cameras write zeros there, which are not a fault.
    """
    file.seek(0)
    data = file.read()
    coded = _find_coded(data)
    restarts = [[found[1][0] - 0xD0 for found in _RESTART.finditer(data, *scan)] for scan in coded.scans]
    if any(kind != index % 8 for kinds in restarts for index, kind in enumerate(kinds)):
        raise ValueError('restarts are missing')
    if (any(restarts) or len(restarts) > 1 or _ends_flat(picture)) and not _is_same(
        picture, _padded(data, coded.scans)
    ):
        raise ValueError('the coded data end early')
    if coded.frame in _HUFFMAN and any(_has_more(picture, data, scan) for scan in _large(coded.scans)):
        raise ValueError('there are more coded data than blocks')


def _has_more(picture: PIL.Image.Image, data: bytes, scan: tuple[int, int]) -> bool:
    """Whether the last bytes of a scan can change without a change of the picture, but not those in its middle."""
    begin, end = scan
    last = max(begin, end - _padding_length(data, begin, end) - _LAST)
    while data[last - 1] == 0xFF:
        last -= 1
    return all(
        _is_same(picture, data[:last] + other + data[end:])
        and not _is_same(picture, data[: (begin + last) // 2] + other + data[end:])
        for other in (_PADDING, _PADDING[::-1])
    )


def _large(scans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The few scans that are large enough for a test with other bytes, which may hardly change a flat picture."""
    lengths = [end - begin for begin, end in scans]
    least = max(_LEAST, sum(lengths) // 20)
    large = sorted(zip(lengths, scans, strict=True), reverse=True)[:_MOST]
    return [scan for length, scan in large if length >= least]


class _Coded(NamedTuple):
    """The coded data of a JPEG: the marker of its frame, and the start and end of each scan."""

    frame: int
    scans: list[tuple[int, int]]


def _find_coded(data: bytes) -> _Coded:
    at, frame, begin = 2, 0, 0
    scans: list[tuple[int, int]] = []
    while found := _MARKER.search(data, at):
        kind = data[found.start() + 1]
        if begin:
            scans.append((begin, found.start()))
        if kind == _END:
            return _Coded(frame, scans)
        if kind in _FRAMES:
            frame = kind
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], 'big')
        begin = at if kind == _SCAN else 0
    raise ValueError('no end marker')


def _padded(data: bytes, scans: list[tuple[int, int]]) -> bytes:
    """The data with other bytes before each restart and at the end of each scan."""
    parts, at = [], 0
    for begin, end in scans:
        parts += [data[at:begin], _RESTART.sub(lambda found: _PADDING + found[0], data[begin:end]), _PADDING]
        at = end
    return b''.join([*parts, data[at:]])


def _padding_length(data: bytes, begin: int, end: int) -> int:
    """The zeros, or ones, at the end of a scan."""
    last = data[end - 1 : end]
    return end - begin - len(data[begin:end].rstrip(last)) if last in (b'\0', b'\xff') else 0


def _is_same(picture: PIL.Image.Image, data: bytes) -> bool:
    try:
        with PIL.Image.open(io.BytesIO(data), formats=('JPEG',)) as other:
            return _digest(other) == _digest(picture)
    except OSError:  # it cannot be decoded
        return False


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
