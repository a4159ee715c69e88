"""Check LMDBs of images in BasicSR's form: `data.mdb` with the images by key, and `meta_info.txt` with their shapes."""

import io
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from asid_plugin.images import UNREADABLE
from asid_plugin.images.readers.png import is_damaged
from asid_plugin.images.readers.quiet import quiet

from .decoding import SampleError, decode
from .meta_info import LMDBError, Shape, read_checksums
from .opening import open_shared, try_reading

READ_WHOLE = 2**32
"""Largest LMDB in bytes that is read completely before a run. Of larger ones the beginning and end of every value are
read; damage in between is found at the first use of the image."""
_PNG = b'\x89PNG\r\n\x1a\n'
_PNG_END = b'IEND\xaeB`\x82'
RAW_SUFFIX = '_raw'
"""Suffix of the name of an LMDB of raw pixels, beside the LMDB of the same images as PNG files."""
NOT_THERE = 'listed in meta_info.txt, but missing'


def beside(root: Path) -> Path:
    """The expected LMDB of raw pixels for an LMDB of PNG files; an LMDB of raw pixels is returned unchanged.

    >>> beside(Path('datasets/DIV2K/DIV2K_train_HR_sub.lmdb')).name
    'DIV2K_train_HR_sub_raw.lmdb'
    """
    return root if root.stem.endswith(RAW_SUFFIX) else root.with_name(f'{root.stem}{RAW_SUFFIX}{root.suffix}')


def raw_lmdb(root: Path) -> Path:
    """The LMDB of raw pixels: the one beside `root`, or `root` if only it exists."""
    return root if root.is_dir() and not beside(root).is_dir() else beside(root)


def check_whole(root: Path, shapes: Mapping[str, Shape], again: str, keys: Sequence[str] | None = None) -> None:
    """Check that an LMDB is readable and not truncated, and has as many images as are listed.

    Args:
        root: Its folder.
        shapes: The listed shapes.
        again: The remedy, in words such as 'asid prepare div2k makes it'.
        keys: The images to read; None for all.

    Raises:
        LMDBError: The check fails.
    """
    entries = try_reading(root, shapes if keys is None else keys, again)
    if entries != len(shapes) or not shapes:
        raise LMDBError(f'{root} holds {entries} images, but its meta_info.txt lists {len(shapes)}; {again} anew')


def find_faults(root: Path, shapes: Mapping[str, Shape], keys: Iterable[str], raw: bool) -> dict[str, str]:
    """The reason for each unusable image; PNG files with right checksums are not decoded.

    Args:
        root: The folder of the LMDB, after `check_whole`.
        shapes: Shapes by key.
        keys: The images to check.
        raw: The values are pixels, not PNG files.

    Raises:
        LMDBError: The checksums of raw pixels cannot be read.
    """
    faults: dict[str, str] = {}
    thorough = (root / 'data.mdb').stat().st_size <= READ_WHOLE
    checksums = read_checksums(root, shapes) if raw else {}
    environment = open_shared(root, readonly=True, lock=False)
    with environment.begin(buffers=True) as transaction:
        bar = tqdm(keys, desc=f'checking {root.name}', unit='image', leave=False, delay=2, disable=None)
        for key in bar:
            value = transaction.get(key.encode())
            if value is None:
                fault: str | None = NOT_THERE
            elif raw:
                fault = raw_fault(value, shapes[key], checksums.get(key) if thorough else None)
            else:
                fault = _file_fault(value, shapes[key], thorough)
            if fault:
                faults[key] = fault
    return faults


def raw_fault(value: bytes | memoryview, shape: Shape, crc32: int | None) -> str | None:
    """The reason why raw pixels are unusable, if any; their checksum is verified if it is known."""
    length = math.prod(shape)
    if len(value) != length:
        return f'{len(value)} bytes instead of {length} for {shape[1]}x{shape[0]} pixels'
    if crc32 is not None and zlib.crc32(value) != crc32:
        return 'damaged: the checksum of its pixels is wrong'
    return None


def compute_checksums(root: Path, keys: Iterable[str]) -> dict[str, int]:
    """The CRC-32 of each value, by key.

    Raises:
        lmdb.Error: The LMDB cannot be read.
    """
    environment = open_shared(root, readonly=True, lock=False)
    with environment.begin(buffers=True) as transaction:
        return {key: zlib.crc32(transaction.get(key.encode(), b'')) for key in keys}


def _file_fault(value: memoryview, shape: Shape, thorough: bool) -> str | None:
    begin = bytes(value[:24])
    is_png = begin[:8] == _PNG
    if is_png and thorough and is_damaged(io.BytesIO(value)):
        return UNREADABLE
    if is_png and (thorough or bytes(value[-len(_PNG_END) :]) == _PNG_END):
        size = int.from_bytes(begin[20:24], 'big'), int.from_bytes(begin[16:20], 'big')
    else:
        try:
            with quiet():
                height, width, _ = decode(value, '').shape
        except SampleError as error:
            return str(error).removeprefix(': ')
        size = height, width
    return None if size == shape[:2] else f'{size[1]}x{size[0]} pixels, but meta_info.txt has {shape[1]}x{shape[0]}'
