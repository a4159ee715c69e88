"""Adapt EXIF blocks to an upright picture and its size, and split them for TIFF.

A block is patched, not rewritten, because makers' notes refer to offsets in it.
"""

import struct
from collections.abc import Iterator

from .directories import (
    LONG,
    LONG8,
    SHORT,
    Block,
    Directory,
    Entry,
    Tag,
    pack_directory,
    read_directory,
    read_pointer,
    swap,
)

_POINTERS = (34665, 34853, 40965)  # pointers to the directories of EXIF, of GPS and, inside EXIF's, of interoperability
_WIDTHS, _HEIGHTS, _ORIENTATION, _RESOLUTION = (256, 0xA002), (257, 0xA003), 274, 282
_SUBJECT = (0x9214, 0xA214)  # its area and its location, in pixels of the stored picture
_THUMBNAIL, _THUMBNAIL_BYTES = 513, 514


def upright_exif(exif: bytes) -> tuple[bytes | None, int | None]:
    """Remove the orientation and the thumbnail from an EXIF block.

    Args:
        exif: A TIFF stream, with or without the leading `Exif` of JPEG.

    Returns:
        The TIFF stream for an upright picture, None if it is damaged; and the previous orientation, 1 to 8, if any.
    """
    while exif.startswith(b'Exif\0\0'):
        exif = exif[6:]
    try:
        order, start = _header(exif)
        orientation = _orientation(exif, start, order)
    except ValueError:
        return None, None
    try:
        return adapt_exif(exif), orientation
    except ValueError:
        return None, orientation


def adapt_exif(exif: bytes, size: tuple[int, int] | None = None) -> bytes:
    """Adapt an EXIF block to an upright picture, with this height and width if given, and remove the thumbnail.

    Raises:
        ValueError: The block is damaged.
    """
    order, start = _header(exif)
    block = bytearray(exif)
    used = [(0, 8)]
    for offset, entries, end in _directories(block, start, order):
        used += [(offset, end + 4), *((entry.start, entry.end) for entry in entries)]
        for entry in entries:
            if entry.code == _ORIENTATION:
                _set(block, entry, order, 1)
            elif size and entry.code in _HEIGHTS:
                _set(block, entry, order, size[0])
            elif size and entry.code in _WIDTHS:
                _set(block, entry, order, size[1])
    _, end = read_directory(block, start, order)
    following = _number(block, end, order) if end + 4 <= len(block) else 0  # some cameras omit it
    if following:
        struct.pack_into(f'{order}I', block, end, 0)
        kept = [(first, block[first:last]) for first, last in used]
        _wipe_thumbnail(block, following, order)
        for first, data in kept:
            block[first : first + len(data)] = data
    last = max(last for _, last in used)
    return bytes(block[:last]) + bytes(block[last:]).rstrip(b'\0')


def without_subject(exif: bytes) -> bytes:
    """Remove the location of the subject from an EXIF block, because it refers to the original picture.

    Raises:
        ValueError: The block is damaged.
    """
    order, start = _header(exif)
    block = bytearray(exif)
    for offset, entries, end in _directories(exif, start, order):
        found = [entry for entry in entries if entry.code in _SUBJECT]
        for entry in reversed(found):  # the entries after it move up, and all values stay in place
            behind = block[entry.at + 12 : end + 4]
            block[entry.at : entry.at + 12 + len(behind)] = behind + bytes(12)
        if found:
            (number,) = struct.unpack_from(f'{order}H', exif, offset)
            struct.pack_into(f'{order}H', block, offset, number - len(found))
    return bytes(block)


def _orientation(exif: bytes, start: int, order: str) -> int | None:
    """The orientation, 1 to 8; a directory that is truncated after it is accepted."""
    for entry in read_directory(exif, start, order, whole=False)[0]:
        if entry.code == _ORIENTATION:
            form = 'I' if entry.type == LONG else 'H'
            (orientation,) = struct.unpack_from(order + form, exif, entry.start)
            return orientation if orientation in range(1, 9) else None
    return None


def has_resolution(exif: bytes) -> bool:
    """Whether an undamaged block has the resolution."""
    order, start = _header(exif)
    return any(entry.code == _RESOLUTION for entry in read_directory(exif, start, order)[0])


def byte_order(exif: bytes) -> str:
    """The byte order of an undamaged block, '<' or '>'."""
    return _header(exif)[0]


def exif_tags(exif: bytes, order: str) -> Directory:
    """The main directory of an undamaged block with nested ones, in the byte order `order`."""
    own, start = _header(exif)
    return read_tags(exif, start, own, order)


def read_tags(block: Block, offset: int, own: str, order: str, big: bool = False, depth: int = 2) -> Directory:
    """Read a directory with nested ones.

    Args:
        block: The block of bytes.
        offset: Where it starts.
        own: Its byte order, '<' or '>'.
        order: The byte order of the returned values.
        big: It has the form of BigTIFF; values that an EXIF block cannot hold are dropped.
        depth: Most levels of nested directories.

    Raises:
        ValueError: A directory does not lie in the block.
    """
    tags: list[Tag] = []
    for entry in read_directory(block, offset, own, big=big)[0]:
        value = bytes(block[entry.start : entry.end])
        if entry.code in _POINTERS:
            if depth:
                inner = read_tags(block, read_pointer(block, entry, own), own, order, big, depth - 1)
                tags.append(Tag(entry.code, LONG, inner))
        elif not (big and entry.type >= LONG8):
            tags.append(Tag(entry.code, entry.type, value if own == order else swap(value, entry.type)))
    return tags


def pack_exif(tags: Directory, order: str) -> bytes:
    """Build a block from a main directory in this byte order."""
    head = (b'II' if order == '<' else b'MM') + struct.pack(f'{order}HI', 42, 8)
    return head + pack_directory(tags, 8, order)


def _header(exif: bytes) -> tuple[str, int]:
    """The byte order, and the start of the main directory."""
    order = {b'II*\0': '<', b'MM\0*': '>'}.get(exif[:4])
    if order is None or len(exif) < 8:
        raise ValueError('an EXIF block starts with the header of a TIFF')
    return order, _number(exif, 4, order)


def _number(block: bytes | bytearray, offset: int, order: str) -> int:
    (number,) = struct.unpack_from(f'{order}I', block, offset)
    return int(number)


def _directories(
    block: bytes | bytearray, offset: int, order: str, depth: int = 2
) -> Iterator[tuple[int, list[Entry], int]]:
    """The starts, entries and ends of entries of the main directory and the nested ones."""
    entries, end = read_directory(block, offset, order)
    yield offset, entries, end
    for entry in entries if depth else ():
        if entry.code in _POINTERS:
            yield from _directories(block, _number(block, entry.start, order), order, depth - 1)


def _set(block: bytearray, entry: Entry, order: str, value: int) -> None:
    """Overwrite the values of an entry by a whole number."""
    if entry.type == SHORT and value < 2**16:
        struct.pack_into(f'{order}HIHH', block, entry.at + 2, SHORT, 1, value, 0)
    else:
        struct.pack_into(f'{order}HII', block, entry.at + 2, LONG, 1, value)


def _wipe_thumbnail(block: bytearray, offset: int, order: str) -> None:
    """Overwrite the directory of the thumbnail and its picture, as far as they can be found."""
    try:
        entries, end = read_directory(block, offset, order)
    except ValueError:
        return
    numbers = {entry.code: _number(block, entry.start, order) for entry in entries if entry.type == LONG}
    start = numbers.get(_THUMBNAIL, 0)
    spans = [(start, start + numbers.get(_THUMBNAIL_BYTES, 0)), (offset, end + 4)]
    for first, last in [*spans, *((entry.start, entry.end) for entry in entries)]:
        block[first:last] = bytes(len(block[first:last]))
