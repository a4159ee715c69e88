"""Locks that let one process at a time write to a folder; a lock ends with its process."""

import atexit
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import ASIDError
from .files import HOST, is_running

PATIENCE = 10.0
"""Seconds to wait for the lock of an ended process, until its workers, which share the lock, end."""


class LockedError(ASIDError):
    """Another process writes to the folder."""


def lock_inside(folder: str | Path) -> Path:
    """The lock file of a folder that is not renamed."""
    return Path(folder, '.lock')


def lock_beside(folder: str | Path) -> Path:
    """The lock file of a folder that its writer may rename."""
    folder = Path(folder).resolve()
    return folder.with_name(f'.{folder.name}.lock')


def hold(file: Path, folder: str | Path, instead: str) -> bool:
    """Take a lock until the end of this process or of the block of `released_after`.

    Args:
        file: The lock, by `lock_inside` or `lock_beside`; its folder is created if it is missing.
        folder: The locked folder, for the message.
        instead: Advice for the second process.

    Returns:
        False if this process has the lock already.

    Raises:
        LockedError: Another process has it.
        OSError: The file cannot be written, or its disk has no locks; it has the name of the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # a forked process has a copy of its parent's list of locks, but does not hold them
    key = (os.getpid(), file.resolve())
    if key in _HELD:
        return False
    lock = FileLock(key[1], thread_local=False)
    try:
        lock.acquire(timeout=0 if _has_holder(key[1]) else PATIENCE)
    except Timeout:
        raise LockedError(f'{folder}: {_holder(key[1])} writes there; {instead}') from None
    except OSError as error:
        raise _named(error, key[1]) from None
    _HELD[key] = lock
    known = {'process': os.getpid(), 'host': HOST, 'since': f'{datetime.now():%Y-%m-%d %H:%M}'}
    _note(key[1]).write_text(json.dumps(known))
    return True


def is_held(file: Path) -> bool:
    """Whether any process has a lock now; nothing is written."""
    if not _note(file).is_file():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a read-only disk, or one without locks
        return _has_holder(file)
    lock.release()
    return False


@contextmanager
def locked(file: Path, folder: str | Path, instead: str) -> Iterator[None]:
    """`hold` a lock within the context; the same process may take it again inside."""
    with released_after():
        hold(file, folder, instead)
        yield


@contextmanager
def in_turn(file: Path) -> Iterator[None]:
    """Let processes pass through the context one at a time; the folder must exist.

    Raises:
        OSError: The file cannot be written, or its disk has no locks; it has the name of the file.
    """
    lock = FileLock(file)
    try:
        lock.acquire()
    except OSError as error:
        raise _named(error, file) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def released_after() -> Iterator[None]:
    """Release, at the end of the context, the locks that were taken in it."""
    before = set(_HELD)
    try:
        yield
    finally:
        _release(_HELD.keys() - before)


def _release(keys: set[tuple[int, Path]]) -> None:
    for key in keys:
        if key[0] == os.getpid():  # a forked process keeps its parent's locks, because deleting one unlocks it
            _note(key[1]).unlink(missing_ok=True)
            _HELD.pop(key).release()  # the file stays, because another process may be about to lock it


def _named(error: OSError, file: Path) -> OSError:
    """An error about a file with its name, which flock omits."""
    error.filename = error.filename or str(file)
    return error


def _note(file: Path) -> Path:
    """The file that names the holder of a lock.

    It is separate, because on Windows other processes cannot read the lock.
    """
    return file.with_name(f'{file.name}.holder')


def _read_note(file: Path) -> dict[str, object]:
    try:
        known = json.loads(_note(file).read_text())
        return {'process': int(known['process']), 'host': str(known['host']), 'since': str(known['since'])}
    except (KeyError, OSError, TypeError, ValueError):  # not written yet, or written by another program
        return {}


def _has_holder(file: Path) -> bool:
    """Whether the process that took a lock last may be running."""
    known = _read_note(file)
    process = known.get('process')
    return known.get('host') != HOST or not isinstance(process, int) or is_running(process)


def _holder(file: Path) -> str:
    known = _read_note(file)
    return 'process {process} on {host}, since {since},'.format(**known) if known else 'another process'


_HELD: dict[tuple[int, Path], FileLock] = {}
atexit.register(lambda: _release(set(_HELD)))
