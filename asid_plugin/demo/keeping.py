"""The disk space of the page: a folder with a limit on its total size."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Kept:
    """A store of pictures; the oldest are deleted to make room for new ones.

    Args:
        folder: The folder, for these files only.
        most: Most bytes of all files, including unfinished ones.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._lock = threading.Lock()
        self._used: Counter[Path] = Counter()
        self._promised: Counter[object] = Counter()

    @contextmanager
    def using(self, path: Path) -> Iterator[None]:
        """Protect a file from deletion within the block."""
        with self._lock:
            self._used[path] += 1
        try:
            yield
        finally:
            with self._lock:
                self._used[path] -= 1

    @contextmanager
    def room(self, size: int) -> Iterator[bool]:
        """Reserve `size` bytes within the block for files that it writes; yields whether there is room."""
        promise = object()
        with self._lock:
            free = self._make_room(size)
            if free:
                self._promised[promise] = size
        try:
            yield free
        finally:
            with self._lock:
                del self._promised[promise]

    def _make_room(self, size: int) -> bool:
        """Delete the oldest files until `size` bytes fit; returns whether they do."""
        sizes: list[tuple[float, int, Path]] = []
        for path in self.folder.rglob('*'):
            with suppress(FileNotFoundError):
                if path.is_file():
                    status = path.stat()
                    sizes.append((status.st_mtime, status.st_size, path))
        excess = self._promised.total() + sum(length for _, length, _ in sizes) + size - self.most
        loose = [entry for entry in sorted(sizes) if not self._used[entry[2]]]
        if excess > sum(length for _, length, _ in loose):
            return False
        for _, length, path in loose:
            if excess <= 0:
                break
            with suppress(FileNotFoundError):
                path.unlink()
            excess -= length
        return True
