"""Write files that appear complete or not at all."""

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
"""Errors of a full disk, which have no file name."""
_temporary: dict[Path, list[Path]] = {}
"""For each temporary folder of this process, the folders created for it, the deepest first."""


def remove_unfinished(folder: str | Path) -> None:
    """Remove the files that a kill during `staging` left in a folder; no other process may write there now."""
    for path in Path(folder).glob(f'{PREFIX}*'):
        shutil.rmtree(path)


def remove_abandoned(folder: str | Path) -> None:
    """Remove the files that ended processes of this machine left in a folder during `staging`."""
    for path in Path(folder).glob(f'{PREFIX}{HOST}_*_*'):
        process = path.name.removeprefix(f'{PREFIX}{HOST}_').partition('_')[0]
        if process.isdecimal() and not is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)  # another process may also remove it


def is_running(process: int) -> bool:
    """Whether a process of this machine is running, as far as the system reports."""
    if os.name != 'posix':
        return True  # os.kill is not a harmless query there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OverflowError, PermissionError):  # not the number of a process; a process of another user
        return True
    return True


@contextmanager
def staging(folder: str | Path) -> Iterator[Path]:
    """Collect files before they become visible.

    Args:
        folder: The final folder; created if missing, and removed again if it gets no file.

    Yields:
        A temporary folder inside it. At the end of the block every file and folder in it moves to `folder`, and
        replaces one of the same kind and name; after an exception they are removed. An `OSError` names the final path
        of its file.
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
    """Add the name of this file to the `OSError` of a full disk without a name."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in FULL:
            error.filename = str(path)
        raise


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write one file through `staging`: yields the temporary path, with the same name and extension.

    Raises:
        OSError: The file cannot be written; it has the name of the file. A pipe or device is never replaced.
    """
    path = Path(path)
    refuse_special(path)
    with naming(path), staging(path.parent) as folder:
        yield folder / path.name


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Write one folder through a temporary one beside it: yields the temporary path, with the same name.

    Raises:
        OSError: The folder cannot be written, or its path exists and is not an empty folder, or is the current folder;
            it has the name of the folder.
    """
    path = Path(path)
    free = not path.exists() or (path.is_dir() and not any(path.iterdir()) and path.resolve() != Path.cwd())
    if path.is_symlink() or not free:
        raise FileExistsError(errno.EEXIST, 'already exists; choose a new folder, or remove it', str(path))
    with naming(path), temporary(path.parent) as staged:
        made = staged / path.name
        made.mkdir()
        try:
            yield made
            _write_out(made)
            if path.is_dir():
                path.rmdir()  # Windows cannot rename to an existing name
            made.rename(path)
        except OSError as error:
            _name_final_path(error, staged)
            raise


@contextmanager
def temporary(folder: str | Path, prefix: str = PREFIX) -> Iterator[Path]:
    """Create a folder in another, which is created if missing; both are removed at the end, the outer one if empty."""
    folder = Path(folder)
    made = folder / f'{prefix}{HOST}_{os.getpid()}_{os.urandom(4).hex()}'
    _temporary[made] = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        made.mkdir(0o700, parents=True)
        yield made
    finally:
        _clear(made)


def remove_temporary() -> None:
    """Remove all temporary folders of this process, after an interruption."""
    for made in list(_temporary):
        _clear(made)


def is_special(path: str | Path) -> bool:
    """Whether a path is neither a file nor a folder: a pipe, a socket or a device."""
    path = Path(path)
    return path.exists() and not (path.is_file() or path.is_dir())


def refuse_special(path: Path) -> None:
    """Raise a `FileExistsError` for a pipe, a socket or a device, which a file must not replace."""
    if is_special(path):
        raise FileExistsError(errno.EEXIST, 'exists and is not a regular file', str(path))


def _write_out(path: Path) -> None:
    """Flush a file, or all files of a folder, to the disk."""
    for file in [file for file in sorted(path.rglob('*')) if file.is_file()] if path.is_dir() else [path]:
        with file.open('r+b') as written:  # Windows flushes only files that are open for writing
            os.fsync(written.fileno())


def _take_place(path: Path, target: Path) -> None:
    """Move a file or folder, and replace an existing one of the same kind."""
    if not (path.is_dir() and target.is_dir()):
        path.replace(target)
        return
    old = path.with_name(f'{path.name}.old')  # a rename cannot replace a folder that is not empty
    target.rename(old)
    try:
        path.rename(target)
    except OSError:
        old.rename(target)
        raise


def _clear(made: Path) -> None:
    """Remove a temporary folder, and the folders above that were created for it, if they are empty."""
    shutil.rmtree(made, ignore_errors=True)
    for parent in _temporary.pop(made, []):
        with suppress(OSError):
            parent.rmdir()


def _name_final_path(error: OSError, staged: Path) -> None:
    """Let an error about a temporary file name the final file."""
    if isinstance(error.filename, str | os.PathLike) and Path(error.filename).is_relative_to(staged):
        error.filename = str(staged.parent / Path(error.filename).relative_to(staged))
        error.filename2 = None
