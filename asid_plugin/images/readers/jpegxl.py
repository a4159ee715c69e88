"""Read the header of a JPEG XL stream: size, orientation, depth (ISO/IEC 18181-1, annexes D and E)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

_STREAM = b'\xff\x0a'
_HEAD = 2**16
_SIDE_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(frozen=True)
class JpegXlHeader:
    """The header of a stream.

    Attributes:
        width: Width of the stored pixels.
        height: Height of the stored pixels.
        orientation: Orientation of the stored pixels, 1 to 8.
        bits: Bits per channel.
        floating: The samples are in floating point.
        animated: There are several frames.
    """

    width: int
    height: int
    orientation: int = 1
    bits: int = 8
    floating: bool = False
    animated: bool = False


class _Bits:
    """The bits of a stream, the least significant ones of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, 'little')

    def take(self, count: int) -> int:
        value = self._bits & ((1 << count) - 1)
        self._bits >>= count
        return value

    def choose(self, *options: tuple[int, int]) -> int:
        """A value coded by one of four options, each an offset and a number of bits."""
        offset, count = options[self.take(2)]
        return offset + self.take(count)


def read_jpegxl_header(file: IO[bytes]) -> JpegXlHeader:
    """Read the header of a JPEG XL file."""
    file.seek(0)
    stream = _stream(file)
    if not stream.startswith(_STREAM):
        raise ValueError('no JPEG XL stream')
    bits = _Bits(stream[2:][:128])
    width, height = _size(bits)
    if bits.take(1):  # all defaults
        return JpegXlHeader(width, height)
    orientation, animated = 1, False
    if bits.take(1):  # extra fields
        orientation = bits.take(3) + 1
        if bits.take(1):
            _size(bits)  # the intended display size
        if bits.take(1):
            _skip_preview(bits)
        animated = bool(bits.take(1))
        if animated:
            _skip_animation(bits)
    floating = bool(bits.take(1))
    depth = (
        bits.choose((32, 0), (16, 0), (24, 0), (1, 6)) if floating else bits.choose((8, 0), (10, 0), (12, 0), (1, 6))
    )
    return JpegXlHeader(width, height, orientation, depth, floating, animated)


def _size(bits: _Bits) -> tuple[int, int]:
    """Width and height."""
    small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if small else bits.choose(*((1, count) for count in _SIDE_BITS))

    height = side()
    ratio = bits.take(3)
    if ratio == 0:
        return side(), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _skip_preview(bits: _Bits) -> None:
    small = bits.take(1)

    def side() -> int:
        if small:
            return 8 * bits.choose((16, 0), (32, 0), (1, 5), (33, 9))
        return bits.choose((1, 6), (65, 8), (321, 10), (1345, 12))

    side()
    if bits.take(3) == 0:
        side()


def _skip_animation(bits: _Bits) -> None:
    bits.choose((100, 0), (1000, 0), (1, 10), (1, 30))  # ticks per second
    bits.choose((1, 0), (1001, 0), (1, 8), (1, 10))
    bits.choose((0, 0), (0, 3), (0, 16), (0, 32))  # loops
    bits.take(1)  # time codes


def _stream(file: IO[bytes]) -> bytes:
    """The start of the stream, which may lie in boxes."""
    data = file.read(_HEAD)
    if data.startswith(_STREAM):
        return data
    for kind, at in _boxes(file):
        if kind in (b'jxlc', b'jxlp'):
            file.seek(at + (4 if kind == b'jxlp' else 0))
            return file.read(_HEAD)
    return b''


def _boxes(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Kind and place of each box."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = int.from_bytes(head[:4], 'big'), head[4:8]
        start = 8
        if size == 1:
            size, start = int.from_bytes(head[8:16], 'big'), 16
        yield kind, at + start
        if size < start:  # 0: to the end of the file
            return
        at += size
