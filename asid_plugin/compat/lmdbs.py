"""Corrections of reading LMDBs: since 2.0, lmdb opens no file twice in a process ("already open in this process")."""

import functools
from importlib.util import find_spec
from threading import Lock
from typing import Any

from .patching import replaced


def lmdb_opened_twice() -> None:
    """Let several datasets of BasicSR read one LMDB in one process.

    BasicSR opens an LMDB again for every dataset that names it: two test sets on the same images, or training sets for
    several scales with the same ground truth. The datasets now share the open one. A forked process inherits it, which
    is safe because BasicSR opens it for reading without locks.
    """
    if find_spec('lmdb') is None:
        return
    import lmdb
    from basicsr.utils.file_client import LmdbBackend

    from asid_plugin.pairs.opening import open_shared

    original = LmdbBackend.__init__
    one_at_a_time = Lock()

    @functools.wraps(original)
    def init(*args: Any, **kwargs: Any) -> None:
        with one_at_a_time, replaced(lmdb, 'open', open_shared):
            original(*args, **kwargs)

    LmdbBackend.__init__ = init


def mmengine_lmdb_opened_twice() -> None:
    """Let several backends of MMEngine read one LMDB in one process, as `lmdb_opened_twice` does for BasicSR.

    MMEngine has a backend for each spelling of a path, and a deleted backend closes its LMDB. A shared LMDB stays open
    as long as it is used.
    """
    if find_spec('lmdb') is None:
        return
    from mmengine.fileio.backends.lmdb_backend import LmdbBackend

    from asid_plugin.pairs.opening import open_shared

    def get_client(self: LmdbBackend) -> Any:
        settings = {'readonly': self.readonly, 'lock': self.lock, 'readahead': self.readahead}
        return open_shared(self.db_path, **settings, **self.kwargs)

    def forget(self: LmdbBackend) -> None:
        self._client = None

    LmdbBackend._get_client, LmdbBackend.__del__ = get_client, forget
