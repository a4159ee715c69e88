"""Write PNG strip by strip: 8 and 16 bits, metadata, animation.

Pillow writes no 16-bit colours, OpenCV no metadata, and neither writes strips. Source of the format: Portable Network
Graphics (PNG) Specification (Third Edition), W3C.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from ..image import Metadata, Strips
from .deflate import deflate
from .photoshop import hexadecimal

Bytes = NDArray[np.uint8]

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_LONG_TEXT = 1024
_HUGE_TEXT = 2**20
"""Most bytes of a compressed text; Pillow refuses files with more."""
_AT_ONCE = 2**16  # bytes; their differences fit into the cache of the processor
_INCH = 0.0254
_XMP = 'XML:com.adobe.xmp'


def write_png(file: BinaryIO, strips: Strips) -> None:
    """Write a picture."""
    _write_head(file, strips)
    for data in _compressed(strips):
        _write_chunk(file, b'IDAT', data)
    _write_chunk(file, b'IEND')


def write_animated_png(file: BinaryIO, frames: Iterator[Strips], loop: int) -> None:
    """Write frames of one size and layout as an animation that is shown `loop` times, 0 for ever."""
    number = sequence = place = 0
    for frame in frames:
        if not number:
            _write_head(file, frame)
            place = file.tell()
            _write_chunk(file, b'acTL', struct.pack('>II', 0, loop))
        size, delay = (frame.width, frame.height), _delay(frame.duration)
        _write_chunk(file, b'fcTL', struct.pack('>5I2H2B', sequence, *size, 0, 0, *delay, 0, 0))
        sequence += 1
        for data in _compressed(frame):
            if number:
                _write_chunk(file, b'fdAT', struct.pack('>I', sequence) + data)
                sequence += 1
            else:
                _write_chunk(file, b'IDAT', data)
        number += 1
    _write_chunk(file, b'IEND')
    file.seek(place)
    _write_chunk(file, b'acTL', struct.pack('>II', number, loop))


def _delay(duration: int) -> tuple[int, int]:
    """Milliseconds as a fraction of a second with parts below 65536."""
    return (duration, 1000) if duration < 2**16 else (min(duration // 10, 2**16 - 1), 100)


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes = b'') -> None:
    file.write(struct.pack('>I', len(data)) + kind)
    file.write(data)
    file.write(struct.pack('>I', zlib.crc32(data, zlib.crc32(kind))))


def _write_head(file: BinaryIO, strips: Strips) -> None:
    """Write everything before the pixels."""
    file.write(b'\x89PNG\r\n\x1a\n')
    layout = (strips.bits, _COLOUR_TYPES[strips.channels], 0, 0, 0)
    _write_chunk(file, b'IHDR', struct.pack('>II5B', strips.width, strips.height, *layout))
    metadata = strips.metadata
    if metadata.profile is not None:
        _write_chunk(file, b'iCCP', b'ICC profile\0\0' + zlib.compress(metadata.profile))
    if metadata.dpi is not None:
        per_metre = (round(number / _INCH) for number in metadata.dpi)
        _write_chunk(file, b'pHYs', struct.pack('>IIB', *per_metre, 1))
    if metadata.exif is not None:
        _write_chunk(file, b'eXIf', metadata.exif)
    for kind, data in _texts(metadata):
        _write_chunk(file, kind, data)


def _texts(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of texts, and of IPTC and XMP, which are texts too."""
    for keyword, text in metadata.text.items():
        if keyword == _XMP:
            continue
        name, text = keyword.encode('latin-1'), text.replace('\0', '')
        try:
            data = text.encode('latin-1')
        except UnicodeEncodeError:
            data = text.encode('utf-8', 'replace')
            yield b'iTXt', _international(name, data, _LONG_TEXT < len(data) <= _HUGE_TEXT)
        else:
            yield _latin(name, data, _LONG_TEXT)
    if metadata.iptc is not None:
        yield _latin(b'Raw profile type iptc', hexadecimal(metadata.iptc), 0)
    if metadata.xmp is not None:
        yield b'iTXt', _international(_XMP.encode(), metadata.xmp, False)  # readers look for XMP that is not compressed


def _latin(name: bytes, text: bytes, most: int) -> tuple[bytes, bytes]:
    """A chunk of a text in Latin-1, compressed if it has more than `most` bytes."""
    if most < len(text) <= _HUGE_TEXT:
        return b'zTXt', name + b'\0\0' + zlib.compress(text)
    return b'tEXt', name + b'\0' + text


def _international(name: bytes, text: bytes, compress: bool) -> bytes:
    return name + bytes([0, compress, 0, 0, 0]) + (zlib.compress(text) if compress else text)


def _compressed(strips: Strips) -> Iterator[bytes]:
    """The zlib stream of a picture, in pieces."""
    pixel = strips.channels * strips.bits // 8
    above: Bytes = np.zeros(strips.width * pixel, np.uint8)
    at_once = max(1, _AT_ONCE // len(above))
    check, head = 1, b'\x78\x01'
    for strip in strips:
        rows = strip.astype('>u2' if strips.bits == 16 else 'u1', copy=False).view(np.uint8).reshape(len(strip), -1)
        pieces = []
        for start in range(0, len(rows), at_once):
            pieces.append(filtered(above, rows[start : start + at_once], pixel).tobytes())
            above = rows[start : start + at_once][-1]
        data = b''.join(pieces)
        check = zlib.adler32(data, check)
        yield head + deflate(data, last=False, raw=True)
        head = b''
    yield deflate(b'', raw=True) + struct.pack('>I', check)


def filtered(above: Bytes, rows: Bytes, pixel: int) -> Bytes:
    """Rows of bytes, each with the filter of the smallest sum of differences, after the number of the filter."""
    candidates = list(filters(above, rows, pixel))
    # a difference is a number from -128 to 127
    sums = [cv2.reduce(cv2.min(left, 0 - left), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0] for left in candidates]
    best = np.argmin(sums, axis=0)
    result = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    result[:, 0] = best
    for number, left in enumerate(candidates):
        chosen = best == number
        result[chosen, 1:] = left[chosen]
    return result


def filters(above: Bytes, rows: Bytes, pixel: int) -> Iterator[Bytes]:
    """Rows of bytes after each of PNG's filters: none, left, up, mean of both, Paeth's; `pixel` bytes are a pixel."""
    padded = np.zeros((len(rows) + 1, pixel + rows.shape[1]), np.uint8)
    padded[0, pixel:], padded[1:, pixel:] = above, rows
    now, left, up, corner = padded[1:, pixel:], padded[1:, :-pixel], padded[:-1, pixel:], padded[:-1, :-pixel]
    yield now
    yield now - left
    yield now - up
    yield now - ((left & up) + ((left ^ up) >> 1))
    # Paeth: of the three the nearest to left + up - corner. All in bytes: the distance of the corner matters only if it
    # lies between the other two; elsewhere it is the farthest.
    to_left, to_up = cv2.absdiff(up, corner), cv2.absdiff(left, corner)
    between = cv2.compare(left, corner, cv2.CMP_LT) ^ cv2.compare(up, corner, cv2.CMP_LT)
    to_corner = cv2.absdiff(to_left, to_up) | ~between
    nearest = _choose(cv2.compare(to_up, to_corner, cv2.CMP_LE), up, corner)
    nearest = _choose(cv2.compare(to_left, cv2.min(to_up, to_corner), cv2.CMP_LE), left, nearest)
    yield now - nearest


def _choose(mask: Bytes, yes: Bytes, no: Bytes) -> Bytes:
    """`yes` where the mask is 255, `no` where it is 0."""
    return no ^ ((no ^ yes) & mask)
