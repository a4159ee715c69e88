"""Open LMDBs for reading: tested by another process, and opened once in this process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import lmdb

from .meta_info import LMDBError

_PROBE = Path(__file__).with_name('probe.py')
_open = lmdb.open
_opened: 'WeakValueDictionary[tuple[int, int], lmdb.Environment]' = WeakValueDictionary()
_one_at_a_time = Lock()


def open_shared(path: str | os.PathLike[str], **settings: Any) -> lmdb.Environment:
    """Open an LMDB like `lmdb.open`, or return the one that is already open, because lmdb refuses to open it again.

    Only LMDBs that are read without locks are shared. They are identified by file, not by path: two spellings or links
    mean the same LMDB, and a rewritten one is different. It is closed when it is no longer used.
    """
    if not settings.get('readonly') or settings.get('lock', True):
        return _open(os.fspath(path), **settings)
    file = Path(path, 'data.mdb') if Path(path).is_dir() else Path(path)
    with _one_at_a_time:
        stat = file.stat()
        key = stat.st_dev, stat.st_ino
        environment = _opened.get(key)
        if environment is None:
            _opened[key] = environment = _open(os.fspath(path), **settings)
        return environment


def try_reading(root: Path, keys: Iterable[str], again: str) -> int:
    """Let another process open an LMDB and read values, because damaged pages can kill the process that reads them.

    Args:
        root: Its folder.
        keys: Of the values.
        again: The remedy, in words such as 'asid prepare div2k makes it'.

    Returns:
        The number of values in it.

    Raises:
        LMDBError: It cannot be opened, is truncated, or the process did not finish.
    """
    names = list(keys)
    done = subprocess.run(
        [sys.executable, str(_PROBE), str(root)],
        input=''.join(f'{name}\n' for name in names).encode(),
        capture_output=True,
    )
    extent, _, dots = done.stdout.partition(b'\n')
    if not extent:
        raise LMDBError(f'{root} cannot be read as an LMDB ({_reason(done)}); {again} anew')
    size_of_page, entries, last_page = map(int, extent.split())
    if (root / 'data.mdb').stat().st_size < (last_page + 1) * size_of_page:
        raise LMDBError(f'{root} is cut short: copy it again, or {again} anew')
    if done.returncode:
        where = [*names, 'its end'][len(dots)]
        raise LMDBError(f'{root} is damaged: reading {where} fails ({_reason(done)}); copy it again, or {again} anew')
    return entries


def _reason(done: 'subprocess.CompletedProcess[bytes]') -> str:
    if done.returncode < 0:
        return signal.Signals(-done.returncode).name
    lines = done.stderr.decode(errors='replace').strip().splitlines()
    return lines[-1] if lines else f'exit status {done.returncode}'
