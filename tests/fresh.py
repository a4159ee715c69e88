"""Interpreters that have imported PyTorch and its like already, and none of the packages that tests look at.

Each is what `python -c ...` or `python -m ...` is otherwise: forked from one that imported what costs seconds, it
imports ours, BasicSR, MMEngine, spandrel and torchvision itself, and ends as any interpreter does. Where even those
may be there, `forked` costs less.
"""

import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_SERVER = """
import gc, json, os, runpy, signal, socket, sys, types

settings = json.loads(sys.argv[1])
sys.path[:] = settings['path']
for name in settings['modules']:
    __import__(name)
gc.freeze()
requests = socket.socket(fileno=settings['socket'])
words = None
while words is None:
    message, files, _, _ = socket.recv_fds(requests, 2**20, 3)
    if not message:
        os._exit(0)
    request = json.loads(message)
    if 'pid' in request:
        answer = os.waitstatus_to_exitcode(os.waitpid(request['pid'], 0)[1])
    elif not (answer := os.fork()):
        words = request['words']
    for number, file in enumerate(files):
        words and os.dup2(file, number)
        os.close(file)
    if words is None:
        requests.send(b'%d' % answer)

requests.close()
os.chdir(request['folder'])
os.environ.clear()
os.environ.update(request['env'])
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.modules['torch'].set_num_threads(1)
if request['hook']:
    import asid_plugin  # as its .pth file does
kind, code, *arguments = words
sys.argv = ['-c' if kind == '-c' else code, *arguments]
sys.path.insert(0, '' if kind == '-c' else request['folder'])
if kind == '-m':
    runpy.run_module(code, run_name='__main__', alter_sys=True)
else:
    sys.modules['__main__'] = types.ModuleType('__main__')
    exec(compile(code, '<string>', 'exec'), sys.modules['__main__'].__dict__)
"""
_ROOT = str(Path(__file__).resolve().parents[1])
_IMPORTED = ('cv2', 'torch', 'torch._dynamo', 'scipy.stats', 'scipy.ndimage', 'skimage.metrics', 'matplotlib.pyplot')


@functools.cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    settings = {'socket': theirs.fileno(), 'modules': _IMPORTED, 'path': [_ROOT, *filter(None, sys.path)]}
    command = [sys.executable, '-S', '-c', _SERVER, json.dumps(settings)]
    env = os.environ | {'OMP_NUM_THREADS': '1'}
    subprocess.Popen(command, pass_fds=[theirs.fileno()], env=env, stdin=subprocess.DEVNULL)
    theirs.close()
    return ours


def _ask(request: Mapping[str, object], files: Sequence[int] = (), timeout: float | None = None) -> int:
    server = _server()
    server.settimeout(timeout)
    if request:
        socket.send_fds(server, [json.dumps(request).encode()], files)
    return int(server.recv(100))


class Fresh:
    """A process that runs a command.

    Args:
        words: What would follow `python`: '-m', a module and its arguments, or '-c', code and arguments.
        folder: Its current folder.
        env: Its environment; this process's by default.
        hook: Whether the start-up hook is there, as in an environment where the package is installed.
        stdout: A descriptor to write to, in the place of a file that is read at the end.
        stderr: As well.
    """

    def __init__(
        self,
        words: Sequence[str | Path],
        folder: Path | None = None,
        env: Mapping[str, str] | None = None,
        hook: bool = True,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.args = [str(word) for word in words]
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        place = {'folder': str(folder or Path.cwd()), 'env': dict(env or os.environ)}
        out = self._out.fileno() if stdout is None else stdout
        err = self._err.fileno() if stderr is None else stderr
        with Path(os.devnull).open() as nothing:
            self.pid = _ask({'words': self.args, 'hook': hook, **place}, [nothing.fileno(), out, err])

    def communicate(self, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Wait for the end; after so many seconds, kill it and raise a `subprocess.TimeoutExpired`."""
        hung = False
        try:
            status = _ask({'pid': self.pid}, timeout=timeout)
        except TimeoutError:
            hung = True
            os.kill(self.pid, 9)
            status = _ask({})
        texts = []
        for file in (self._out, self._err):
            file.seek(0)
            texts.append(file.read().decode())
            file.close()
        if hung:
            raise subprocess.TimeoutExpired(self.args, timeout, *texts)
        return subprocess.CompletedProcess(self.args, status, *texts)


def run(
    words: Sequence[str | Path],
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 240,
    hook: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; arguments as of `Fresh`."""
    return Fresh(words, folder, env, hook).communicate(timeout)


def together(
    words: Sequence[str | Path], folder: Path | None = None, env: Mapping[str, str] | None = None, ranks: int = 2
) -> list[subprocess.CompletedProcess[str]]:
    """Run a command as ranks 0, 1 ... of one machine, as `torchrun` would start them."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    shared = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port), 'WORLD_SIZE': str(ranks)}
    shared |= {'LOCAL_WORLD_SIZE': str(ranks), 'OMP_NUM_THREADS': '1'}
    own = [{'RANK': str(rank), 'LOCAL_RANK': str(rank)} for rank in range(ranks)]
    started = [Fresh(words, folder, {**(env or os.environ), **shared, **place}) for place in own]
    return [process.communicate() for process in started]


def script(path: Path) -> list[str]:
    """The words for a file of Python that is run as a program."""
    return ['-c', f'import runpy; runpy.run_path({str(path)!r}, run_name="__main__")']
