"""Files that appear whole or not at all."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = '.unfinished_'
_HOST = socket.gethostname()


def remove_unfinished(folder: str | Path) -> None:
    """Remove what a kill in the middle of `staging` has left in a folder; nobody may be writing there now."""
    for path in Path(folder).glob(f'{PREFIX}*'):
        shutil.rmtree(path)


def remove_abandoned(folder: str | Path) -> None:
    """Remove what processes of this machine that are gone have left in the middle of `staging` in a folder."""
    for path in Path(folder).glob(f'{PREFIX}{_HOST}_*_*'):
        process = path.name.removeprefix(f'{PREFIX}{_HOST}_').partition('_')[0]
        if process.isdecimal() and not _is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)  # another process may be removing it as well


def _is_running(process: int) -> bool:
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
        folder: Where the files shall be; created if need be.

    Yields:
        A temporary folder inside it. Leaving the block normally moves every file in it to `folder`, replacing those of
        the same names; leaving it by an exception removes them.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'{PREFIX}{_HOST}_{os.getpid()}_', dir=folder) as staged:
        yield Path(staged)
        for path in sorted(Path(staged).iterdir()):
            with path.open('r+b') as file:  # Windows writes out only what may be written to
                os.fsync(file.fileno())
            path.replace(folder / path.name)


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write one file by way of `staging`: yields the temporary path, which has the same name and extension."""
    path = Path(path)
    with staging(path.parent) as folder:
        yield folder / path.name
