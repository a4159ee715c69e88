"""LMDBs of images, of BasicSR's kind: `data.mdb` with the images by key, and `meta_info.txt` with their shapes."""

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
from tqdm import tqdm

from asid_plugin.errors import ASIDError

from .decoding import PNG_END, SampleError, decode

Shape = tuple[int, int, int]
"""Height, width, channels."""

_LINE = re.compile(r'(?P<key>[^.]+)\..*\((?P<height>\d+), ?(?P<width>\d+), ?(?P<channels>\d+)\)')
_PNG = b'\x89PNG\r\n\x1a\n'


class LMDBError(ASIDError):
    """An LMDB that cannot be read; the message says why."""


def read_shapes(root: Path) -> tuple[dict[str, Shape], bool]:
    """Read the `meta_info.txt` of an LMDB.

    Returns:
        The shapes of its images by key, and whether they are raw pixels.

    Raises:
        LMDBError: A line is not as BasicSR writes it.
    """
    shapes: dict[str, Shape] = {}
    raw = False
    for number, line in enumerate((root / 'meta_info.txt').read_text().splitlines(), 1):
        match = _LINE.match(line)
        if match is None:
            where = f'{root / "meta_info.txt"}, line {number}'
            raise LMDBError(f"{where}: {line!r} should be like '0001_s001.png (480,480,3) 1'")
        shapes[match['key']] = int(match['height']), int(match['width']), int(match['channels'])
        raw = raw or line.endswith(' raw')
    return shapes, raw


def check_whole(root: Path, shapes: dict[str, Shape], again: str) -> None:
    """Check that an LMDB can be opened, is not cut short, and has as many images as are listed.

    Args:
        root: Its folder.
        shapes: Those listed.
        again: The remedy, in words such as 'asid prepare div2k makes it'.

    Raises:
        LMDBError: It is not so.
    """
    try:
        with _reading(root) as env:
            if env is None:
                return
            stat, last_page = env.stat(), env.info()['last_pgno']
    except lmdb.Error as error:
        raise LMDBError(f'{root} cannot be read as an LMDB ({error}); {again} anew') from error
    if (root / 'data.mdb').stat().st_size < (last_page + 1) * stat['psize']:  # reading it would be a bus error
        raise LMDBError(f'{root} is cut short: copy it again, or {again} anew')
    if stat['entries'] != len(shapes) or not shapes:
        raise LMDBError(f'{root} holds {stat["entries"]} images, its meta_info.txt lists {len(shapes)}; {again} anew')


def find_faults(root: Path, shapes: dict[str, Shape], keys: Iterable[str], raw: bool) -> dict[str, str]:
    """Say of each image that cannot be used why, without decoding those that look whole.

    Args:
        root: The LMDB's folder.
        shapes: By key.
        keys: Which images to look at.
        raw: The values are pixels, not PNG files.
    """
    faults: dict[str, str] = {}
    with _reading(root) as env:
        if env is None:
            return faults
        transaction = env.begin(buffers=True)
        bar = tqdm(keys, desc=f'checking {root.name}', unit='image', leave=False, delay=2, disable=None)
        for key in bar:
            value = transaction.get(key.encode())
            if fault := _raw_fault(value, shapes[key]) if raw else _file_fault(value, shapes[key]):
                faults[key] = fault
    return faults


@contextmanager
def _reading(root: Path) -> Iterator[lmdb.Environment | None]:
    """Open an LMDB; None if a data set of this process has it open, which lmdb allows once, and so has checked it."""
    try:
        env = lmdb.open(str(root), readonly=True, lock=False)
    except lmdb.Error as error:
        if 'already open' not in str(error):
            raise
        yield None
        return
    with env:
        yield env


def _raw_fault(value: memoryview | None, shape: Shape) -> str | None:
    if value is None:
        return 'listed in meta_info.txt, but it is not there'
    length = math.prod(shape)
    return None if len(value) == length else f'{len(value)} bytes, where {shape[1]}x{shape[0]} pixels have {length}'


def _file_fault(value: memoryview | None, shape: Shape) -> str | None:
    if value is None:
        return 'listed in meta_info.txt, but it is not there'
    begin = bytes(value[:24])
    if begin[:8] == _PNG and bytes(value[-len(PNG_END) :]) == PNG_END:
        size = int.from_bytes(begin[20:24], 'big'), int.from_bytes(begin[16:20], 'big')
    else:
        try:
            height, width, _ = decode(value, '').shape
        except SampleError as error:
            return str(error).removeprefix(': ')
        size = height, width
    return None if size == shape[:2] else f'{size[1]}x{size[0]} pixels, but meta_info.txt has {shape[1]}x{shape[0]}'
