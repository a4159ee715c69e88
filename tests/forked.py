"""Commands in processes that are forked from one which has imported BasicSR and MMEngine: a start costs no imports.

They are what `python -m asid_plugin ...` is otherwise, with a current folder, an environment and output of their own.
Tests of imports, of the interpreter's end and of launchers start real interpreters instead.
"""

import functools
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import get_context, set_start_method
from multiprocessing.context import ForkServerContext
from pathlib import Path

import torch

_IMPORTED = (
    'asid_plugin',
    'basicsr.train',
    'asid_plugin.models',
    'asid_plugin.options.command_line',
    'asid_plugin.commands.main',
    'mmengine.runner',
    'matplotlib.pyplot',
)


@functools.cache
def server() -> ForkServerContext:
    """The context whose processes are forked from a server that has imported everything; started at the first call."""
    context = get_context('forkserver')
    context.set_forkserver_preload(list(_IMPORTED))
    first = context.Process(target=int)
    first.start()
    first.join()
    return context


class Forked:
    """A process that runs a command.

    Args:
        words: The command as it would follow `python`: '-m', a module and its arguments, or '-c', code and arguments.
        folder: Its current folder.
        env: Its environment; this process's by default.
    """

    def __init__(self, words: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.args = [str(word) for word in words]
        self._output = tempfile.TemporaryDirectory()
        self._files = [Path(self._output.name, name) for name in ('out', 'err')]
        self._process = server().Process(
            target=_run, args=(self.args, str(folder), dict(env or os.environ), *map(str, self._files))
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def communicate(self, timeout: float) -> subprocess.CompletedProcess[str]:
        """Wait for the end; after so many seconds, kill it and raise a `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        if hung := self._process.exitcode is None:
            self.kill()
            self._process.join()
        out, err = (path.read_text() if path.exists() else '' for path in self._files)
        self._output.cleanup()
        if hung:
            raise subprocess.TimeoutExpired(self.args, timeout, out, err)
        return subprocess.CompletedProcess(self.args, self._process.exitcode or 0, out, err)


def run(
    words: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; arguments as of `Forked`."""
    return Forked(words, folder, env).communicate(timeout)


def together(folders: Sequence[Path], *words: str, seconds: float = 240) -> list[subprocess.CompletedProcess[str]]:
    """Run a command as ranks 0, 1 ... in these folders, as `torchrun` would start them."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    address = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port), 'WORLD_SIZE': str(len(folders))}
    ranks = []
    for rank, folder in enumerate(folders):
        local = [str(path) for path in folders[:rank]].count(str(folder))
        place = {'RANK': str(rank), 'LOCAL_RANK': str(local), 'OMP_NUM_THREADS': '1'}
        ranks.append(Forked(words, folder, os.environ | address | place))
    try:
        return [process.communicate(seconds) for process in ranks]
    finally:
        for process in ranks:
            process.kill()


def _run(words: list[str], folder: str, env: dict[str, str], out: str, err: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    sys.stdout, sys.stderr = (open(descriptor, 'w', buffering=1, closefd=False) for descriptor in (1, 2))  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    set_start_method('fork', force=True)  # of its workers, as in a process that nothing has forked
    kind, code, *arguments = words
    sys.argv = [code if kind == '-m' else kind, *arguments]
    if kind == '-m':
        runpy.run_module(code, run_name='__main__', alter_sys=True)
    else:
        exec(compile(code, '<string>', 'exec'), {'__name__': '__main__'})
