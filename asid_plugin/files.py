"""Files that appear whole or not at all."""

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = '.unfinished_'
HOST = socket.gethostname()
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a disk that takes no more, which come without the name of a file."""
_temporary: dict[Path, list[Path]] = {}
"""By temporary folder of this process, the folders that were made for it, the deepest first."""


def remove_unfinished(folder: str | Path) -> None:
    """Remove the files that a kill in the middle of `staging` has left in a folder; nobody may be writing there now."""
    for path in Path(folder).glob(f'{PREFIX}*'):
        shutil.rmtree(path)


def remove_abandoned(folder: str | Path) -> None:
    """Remove the files that ended processes of this machine have left in the middle of `staging` in a folder."""
    for path in Path(folder).glob(f'{PREFIX}{HOST}_*_*'):
        process = path.name.removeprefix(f'{PREFIX}{HOST}_').partition('_')[0]
        if process.isdecimal() and not is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)  # another process may be removing it as well


def is_running(process: int) -> bool:
    """Whether a process of this machine is running, as far as the system tells."""
    if os.name != 'posix':
        return True  # elsewhere asking is not so harmless
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OverflowError, PermissionError):  # no number of a process; a process of somebody else
        return True
    return True


@contextmanager
def staging(folder: str | Path) -> Iterator[Path]:
    """Collect files before they are seen.

    Args:
        folder: Where the files shall be; created if need be, and removed again if no file comes into it.

    Yields:
        A temporary folder inside it. Leaving the block normally moves every file and folder in it to `folder`, each in
        the place of one of the same kind and name; leaving it by an exception removes them. An `OSError` names the
        final path of the file that it is about.
    """
    with temporary(folder) as staged:
        try:
            yield staged
            paths = sorted(staged.iterdir())
            for path in paths:
                _write_out(path)
            for path in paths:
                _take_place(path, staged.parent / path.name)
        except OSError as error:
            _name_final_path(error, staged)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give the `OSError` of a full disk, where it names no file, the name of this one."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in FULL:
            error.filename = str(path)
        raise


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write one file by way of `staging`: yields the temporary path, which has the same name and extension.

    Raises:
        OSError: The file cannot be written; it has the name of the file. A pipe or device is never replaced.
    """
    path = Path(path)
    refuse_special(path)
    with naming(path), staging(path.parent) as folder:
        yield folder / path.name


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Write one folder by way of a temporary one beside it: yields the temporary path, which has the same name.

    Raises:
        OSError: The folder cannot be written, or something of its name is there that is no empty folder, or is the
            current folder; it has the name of the folder.
    """
    path = Path(path)
    free = not path.exists() or (path.is_dir() and not any(path.iterdir()) and path.resolve() != Path.cwd())
    if path.is_symlink() or not free:
        raise FileExistsError(errno.EEXIST, 'is there already; name a new folder, or remove it', str(path))
    with naming(path), temporary(path.parent) as staged:
        made = staged / path.name
        made.mkdir()
        try:
            yield made
            _write_out(made)
            if path.is_dir():
                path.rmdir()  # on Windows nothing is renamed to an existing name
            made.rename(path)
        except OSError as error:
            _name_final_path(error, staged)
            raise


@contextmanager
def temporary(folder: str | Path, prefix: str = PREFIX) -> Iterator[Path]:
    """Make a folder inside another, which is made if need be; both are removed at the end, the other if it is empty."""
    folder = Path(folder)
    made = folder / f'{prefix}{HOST}_{os.getpid()}_{os.urandom(4).hex()}'
    _temporary[made] = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        made.mkdir(0o700, parents=True)
        yield made
    finally:
        _clear(made)


def remove_temporary() -> None:
    """Remove the temporary folders of this process that are there, as nothing comes after an interruption."""
    for made in list(_temporary):
        _clear(made)


def is_special(path: str | Path) -> bool:
    """Whether there is something that is neither a file nor a folder: a pipe, a socket or a device."""
    path = Path(path)
    return path.exists() and not (path.is_file() or path.is_dir())


def refuse_special(path: Path) -> None:
    """Raise a `FileExistsError` for a pipe, a socket or a device, which a file shall not replace."""
    if is_special(path):
        raise FileExistsError(errno.EEXIST, 'is there and is no regular file', str(path))


def _write_out(path: Path) -> None:
    """Have a file, or all of a folder, on the disk."""
    for file in [file for file in sorted(path.rglob('*')) if file.is_file()] if path.is_dir() else [path]:
        with file.open('r+b') as written:  # Windows writes out only files that are open for writing
            os.fsync(written.fileno())


def _take_place(path: Path, target: Path) -> None:
    """Move a file or folder to where one of its kind may be, which goes."""
    if not (path.is_dir() and target.is_dir()):
        path.replace(target)
        return
    old = path.with_name(f'{path.name}.old')  # nothing is renamed to a folder with something in it
    target.rename(old)
    try:
        path.rename(target)
    except OSError:
        old.rename(target)
        raise


def _clear(made: Path) -> None:
    """Remove a temporary folder, and those above it that were made for it, as far as they are empty."""
    shutil.rmtree(made, ignore_errors=True)
    for parent in _temporary.pop(made, []):
        with suppress(OSError):
            parent.rmdir()


def _name_final_path(error: OSError, staged: Path) -> None:
    """Let an error about a temporary file name the file that it was to become."""
    if isinstance(error.filename, str | os.PathLike) and Path(error.filename).is_relative_to(staged):
        error.filename = str(staged.parent / Path(error.filename).relative_to(staged))
        error.filename2 = None
