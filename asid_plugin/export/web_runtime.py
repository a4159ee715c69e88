"""Copy ONNX Runtime Web from its npm package, for pages that run an exported network in a browser."""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from .subject import ExportError

RUNTIME = 'onnxruntime-web'
RUNTIME_VERSION = '1.30.0'
RUNTIME_FILES = {
    'ort.wasm.bundle.min.mjs': '11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90',
    'ort-wasm-simd-threaded.wasm': '3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2',
    'ort.webgpu.bundle.min.mjs': '0730816731ce2cdfb06f273da065d4a1c7091eb9d1756a83b2916c8a89d015e2',
    'ort-wasm-simd-threaded.asyncify.wasm': '39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da',
}
"""The files in its folder dist that a page needs, with their SHA-256: two for WebAssembly, two for WebGPU."""
MOST_BYTES = 2**27
"""Most bytes of one of these files; the largest has 27 MB."""
LICENSES = ('LICENSE', 'ThirdPartyNotices.txt')
"""Licenses from the Python package onnxruntime, which has the same sources; the npm package has none."""


def copy_runtime(target: Path, source: Path | None = None) -> None:
    """Copy the files and licenses of the runtime into a folder.

    Args:
        target: The folder. Modules get the suffix .js, because some web servers do not serve .mjs as JavaScript.
        source: The unpacked npm package, or its folder dist; None to let npm download it.

    Raises:
        ExportError: There is neither such a folder nor npm, or a file is missing or from another version.
    """
    with _opened(source) as read:
        for name, digest in RUNTIME_FILES.items():
            content = read(name)
            if hashlib.sha256(content).hexdigest() != digest:
                raise ExportError(
                    f'{source or RUNTIME}: {name} is not from {RUNTIME} {RUNTIME_VERSION}, the tested version; npm '
                    f'pack {RUNTIME}@{RUNTIME_VERSION} downloads it'
                )
            (target / name.replace('.mjs', '.js')).write_bytes(content)
    for name in LICENSES:
        path = target / f'onnxruntime-{Path(name).stem}.txt'
        path.write_bytes((files('onnxruntime') / name).read_bytes())


@contextmanager
def _opened(source: Path | None) -> Iterator[Callable[[str], bytes]]:
    """A function that reads a file from the folder dist of the package."""
    if source is not None:
        yield lambda name: _read(source, name)
        return
    with TemporaryDirectory() as folder:
        archive = _fetch(Path(folder))
        yield lambda name: _read_packed(archive, name)


def _read(folder: Path, name: str) -> bytes:
    found = [path for path in (folder / name, folder / 'dist' / name) if path.is_file()]
    if not found:
        raise ExportError(f'--runtime {folder}: no {name} in it; it should be the unpacked folder dist of {RUNTIME}')
    return found[0].read_bytes()


def _read_packed(archive: Path, name: str) -> bytes:
    try:
        with tarfile.open(archive) as package:
            member = package.extractfile(f'package/dist/{name}')
            content = member.read(MOST_BYTES) if member else b''
    except (KeyError, OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise ExportError(f'{archive.name}: {name} cannot be read from it ({type(error).__name__})') from error
    return content


def _fetch(folder: Path) -> Path:
    """The archive of the package, which npm downloads (33 MB) or has in its cache.

    npm runs in the temporary folder, so that it reads no .npmrc in the current folder. Such a file can name another
    registry and send environment variables to it.
    """
    npm = shutil.which('npm')
    if not npm:
        raise ExportError(
            f'--format web needs {RUNTIME} {RUNTIME_VERSION}: install npm, which downloads it, or pass its folder '
            'dist by --runtime FOLDER'
        )
    package = f'{RUNTIME}@{RUNTIME_VERSION}'
    command = [npm, 'pack', package, '--json', '--ignore-scripts', '--prefix', str(folder)]
    print(f'npm downloads {package}, 33 MB', file=sys.stderr)
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    archives = list(folder.glob('*.tgz'))
    if done.returncode or len(archives) != 1:
        raise ExportError(f'npm pack {package} failed: {_reason(done)}; pass its folder dist by --runtime FOLDER')
    return archives[0]


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The reason from npm, in one line."""
    try:
        error = json.loads(done.stdout)['error']
        said = error.get('summary') or error['code']
    except (AttributeError, KeyError, TypeError, ValueError):
        said = done.stderr or f'exit status {done.returncode}'
    return ' '.join(str(said).split())[:200]
