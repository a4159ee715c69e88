"""Read lists of images: BasicSR's `meta_info.txt` of an LMDB or a folder, and our checksums."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from asid_plugin.errors import ASIDError
from asid_plugin.files import whole_file

Shape = tuple[int, int, int]
"""Height, width, channels."""

META_INFO = 'meta_info.txt'
CHECKSUMS = 'checksums.txt'
"""File beside the `meta_info.txt` of raw pixels, separate because BasicSR has no checksums."""

_LINE = re.compile(r'(?P<key>[^.]+)\..*\((?P<height>\d{1,6}), ?(?P<width>\d{1,6}), ?(?P<channels>[1-4])\)')
_CHECKSUM = re.compile(r'(?P<key>[^.]+) (?P<crc32>[0-9a-f]{8})')
_BOM = '\ufeff'


class LMDBError(ASIDError):
    """An unreadable LMDB or list of images; the message has the reason."""


def read_lines(path: Path) -> list[str]:
    """Read a list with one line for each image, like BasicSR.

    Raises:
        LMDBError: It cannot be read, is not text, begins with a byte order mark, or has a blank line; BasicSR treats
            both as part of a name.
    """
    try:
        with path.open(encoding='utf-8') as file:
            lines = [line.removesuffix('\n') for line in file]
    except UnicodeDecodeError as error:
        raise LMDBError(
            f'{path} is not text in UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x})'
        ) from error
    except OSError as error:
        raise LMDBError(f'{path}: {error.strerror}') from error
    if lines and lines[0].startswith(_BOM):
        raise LMDBError(
            f'{path} begins with a byte order mark, which BasicSR treats as part of a name; save it without the mark'
        )
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise LMDBError(f'{path}, line {number} is blank, which BasicSR treats as a name; remove it')
        if '\0' in line:
            raise LMDBError(f'{path}, line {number} has a NUL byte, so it is not text')
    return lines


def read_shapes(root: Path) -> tuple[dict[str, Shape], bool]:
    """Read the `meta_info.txt` of an LMDB.

    Returns:
        The shapes of its images by key, and whether they are raw pixels.

    Raises:
        LMDBError: A line is malformed, or an image is listed twice.
    """
    path = root / META_INFO
    shapes: dict[str, Shape] = {}
    raw = set()
    for number, line in enumerate(read_lines(path), 1):
        where = f'{path}, line {number}'
        match = _LINE.match(line)
        if match is None:
            raise LMDBError(f"{where}: {_short(line)} should be like '0001_s001.png (480,480,3) 1'")
        key = match['key']
        shape = int(match['height']), int(match['width']), int(match['channels'])
        if not all(shape):
            raise LMDBError(f'{where}: {_short(line)} has a side of 0 pixels')
        if not key.isascii():
            raise LMDBError(f'{where}: {key!r} is not ASCII, but BasicSR and MMEngine need ASCII keys')
        if key in shapes:
            raise LMDBError(f'{where}: {key} is listed twice')
        shapes[key] = shape
        raw.add(line.endswith(' raw'))
    if len(raw) > 1:
        raise LMDBError(f"{path} has lines that end in 'raw' and others that do not")
    return shapes, True in raw


def read_checksums(root: Path, keys: Iterable[str]) -> dict[str, int]:
    """Read the checksums of an LMDB of raw pixels, by key; empty if it has none, as before 0.2.

    Raises:
        LMDBError: They do not belong to the listed images.
    """
    path = root / CHECKSUMS
    if not path.exists():
        return {}
    checksums = {}
    for number, line in enumerate(read_lines(path), 1):
        match = _CHECKSUM.fullmatch(line)
        if match is None:
            raise LMDBError(f"{path}, line {number}: {_short(line)} should be like '0001_s001 0123abcd'")
        checksums[match['key']] = int(match['crc32'], 16)
    if strange := sorted(checksums.keys() ^ set(keys)):
        raise LMDBError(f'{path} and {META_INFO} list different images, such as {strange[0]}')
    return checksums


def write_checksums(root: Path, checksums: Mapping[str, int]) -> None:
    """Write the checksums of an LMDB: the CRC-32 of each value."""
    with whole_file(root / CHECKSUMS) as unfinished:
        unfinished.write_text(''.join(f'{key} {crc32:08x}\n' for key, crc32 in checksums.items()))


def _short(line: str) -> str:
    return repr(line if len(line) <= 80 else f'{line[:77]}...')
