"""Read directories of tags (IFDs) of TIFF and EXIF, and lay them out for a place in a file."""

import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, Union

import numpy as np

SHORT, LONG, LONG8 = 3, 4, 16
_SMALL = {1: 1, 2: 1, SHORT: 2, LONG: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
SIZES = {**_SMALL, LONG8: 8, 17: 8, 18: 8}
"""Size of one value in bytes, by the number of its type."""
_WORDS = {5: 4, 10: 4}  # a rational is two words of 4 bytes


@dataclass(frozen=True)
class Tag:
    """A tag and its values.

    Attributes:
        code: Its number.
        type: The number of the values' type, a key of `SIZES`.
        value: The values, in the byte order of the directory, or the nested directory.
    """

    code: int
    type: int
    value: Union[bytes, 'Directory']


Directory = Sequence[Tag]
Block: TypeAlias = bytes | bytearray | mmap.mmap


@dataclass(frozen=True)
class Entry:
    """A tag at its place in a block of bytes.

    Attributes:
        code: The tag's number.
        type: The number of the values' type.
        at: Where the entry starts.
        start: Where the values start.
        end: Where they end.
    """

    code: int
    type: int
    at: int
    start: int
    end: int


def read_directory(
    block: Block, offset: int, order: str, whole: bool = True, big: bool = False
) -> tuple[list[Entry], int]:
    """Read the entries of a directory.

    Args:
        block: The block of bytes.
        offset: Where it starts.
        order: '<' or '>'.
        whole: Refuse a truncated directory; else read its entries up to the end.
        big: It has the form of BigTIFF.

    Returns:
        The entries, without those of unknown type or with values outside the block; and the end of the entries, where
        the offset of the next directory is stored.

    Raises:
        ValueError: The directory does not lie in the block.
    """
    head, width = (8, 20) if big else (2, 12)
    if not 0 <= offset <= len(block) - head:
        raise ValueError(f'no directory at {offset} of {len(block)} bytes')
    (number,) = struct.unpack_from(order + ('Q' if big else 'H'), block, offset)
    start = offset + head
    end = start + width * number
    if end > len(block) and not whole:
        end = start + (len(block) - start) // width * width
    if end > len(block):
        raise ValueError(f'the directory at {offset} of {len(block)} bytes is cut short')
    return list(_entries(block, range(start, end, width), order + ('Q' if big else 'I'))), end


def read_pointer(block: Block, entry: Entry, order: str) -> int:
    """Read the offset in an entry."""
    form = 'Q' if SIZES[entry.type] == 8 else 'I'
    return int(struct.unpack_from(order + form, block, entry.start)[0])


def _entries(block: Block, places: range, word: str) -> Iterator[Entry]:
    """Entries at these places; `word` is the format of a count and an offset."""
    order, width = word[0], struct.calcsize(word)
    for at in places:
        code, kind, count = struct.unpack_from(f'{order}HH{word[1]}', block, at)
        size = SIZES.get(kind, 0) * count
        inside = at + 4 + width
        start = inside if size <= width else struct.unpack_from(word, block, inside)[0]
        if kind in SIZES and start + size <= len(block):
            yield Entry(code, kind, at, start, start + size)


def swap(value: bytes, kind: int) -> bytes:
    """Values of a type in the other byte order."""
    return np.frombuffer(value, f'<u{_WORDS.get(kind, SIZES[kind])}').byteswap().tobytes()


def pack_directory(tags: Directory, offset: int, order: str, big: bool = False, following: int = 0) -> bytes:
    """Lay out a directory with its values and nested directories.

    Args:
        tags: Its tags, in any order.
        offset: Its start in the file; even.
        order: '<' or '>'.
        big: Use the form of BigTIFF.
        following: Start of the next directory, 0 for none.
    """
    word, width, pointer = ('Q', 8, LONG8) if big else ('I', 4, LONG)
    head = struct.pack(order + ('Q' if big else 'H'), len(tags))
    behind = offset + len(head) + len(tags) * (4 + 2 * width) + width
    entries, values = bytearray(), bytearray()
    for tag in sorted(tags, key=lambda tag: tag.code):
        kind, value = tag.type, tag.value
        if not isinstance(value, bytes):
            inner = behind + len(values)
            values += pack_directory(value, inner, order, big)
            kind, value = pointer, struct.pack(order + word, inner)
        entries += struct.pack(f'{order}HH{word}', tag.code, kind, len(value) // SIZES[kind])
        if len(value) <= width:
            entries += value.ljust(width, b'\0')
        else:
            entries += struct.pack(order + word, behind + len(values))
            values += value + bytes(len(value) % 2)
    return head + bytes(entries) + struct.pack(order + word, following) + bytes(values)
