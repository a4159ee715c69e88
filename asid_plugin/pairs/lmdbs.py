"""LMDBs of images, of BasicSR's kind: `data.mdb` with the images by key, and `meta_info.txt` with their shapes."""

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
"""Bytes: LMDBs up to this size are read whole before a run. Of larger ones every value is looked at by its beginning
and its end; a damage between them is found when the image is first used."""
_PNG = b'\x89PNG\r\n\x1a\n'
_PNG_END = b'IEND\xaeB`\x82'
RAW_SUFFIX = '_raw'
"""With it ends the name of an LMDB of raw pixels, which lies beside that of the same images as PNG files."""
NOT_THERE = 'listed in meta_info.txt, but it is not there'


def beside(root: Path) -> Path:
    """Where the raw pixels of an LMDB of PNG files are looked for; an LMDB of raw pixels itself.

    >>> beside(Path('datasets/DIV2K/DIV2K_train_HR_sub.lmdb')).name
    'DIV2K_train_HR_sub_raw.lmdb'
    """
    return root if root.stem.endswith(RAW_SUFFIX) else root.with_name(f'{root.stem}{RAW_SUFFIX}{root.suffix}')


def raw_lmdb(root: Path) -> Path:
    """The LMDB to read raw pixels from: that beside `root`, or `root` where it alone is there."""
    return root if root.is_dir() and not beside(root).is_dir() else beside(root)


def check_whole(root: Path, shapes: Mapping[str, Shape], again: str, keys: Sequence[str] | None = None) -> None:
    """Check that an LMDB can be read, is not cut short, and has as many images as are listed.

    Args:
        root: Its folder.
        shapes: Those listed.
        again: The remedy, in words such as 'asid prepare div2k makes it'.
        keys: Which images to read; None for all.

    Raises:
        LMDBError: It is not so.
    """
    entries = try_reading(root, shapes if keys is None else keys, again)
    if entries != len(shapes) or not shapes:
        raise LMDBError(f'{root} holds {entries} images, its meta_info.txt lists {len(shapes)}; {again} anew')


def find_faults(root: Path, shapes: Mapping[str, Shape], keys: Iterable[str], raw: bool) -> dict[str, str]:
    """Say of each image that cannot be used why, without decoding PNG files whose checksums are right.

    Args:
        root: The LMDB's folder, which `check_whole` has found to be whole.
        shapes: By key.
        keys: Which images to look at.
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
    """Say why raw pixels cannot be used; their checksum is compared if it is known."""
    length = math.prod(shape)
    if len(value) != length:
        return f'{len(value)} bytes, where {shape[1]}x{shape[0]} pixels have {length}'
    if crc32 is not None and zlib.crc32(value) != crc32:
        return 'damaged: its pixels have another checksum than when they were written'
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
