"""Read files of `torch.save`, zip archives and the format before torch 1.6, without running any code.

Sizes that a file states are compared with the size of the file before anything of these sizes is allocated.
"""

import mmap
import pickletools
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from .extent import check_extent
from .unpickling import History, Unpickler, UnpicklingError

MAGIC = 0x1950A86A20F9469CFC6C
"""First number in a file of the old format."""
_SLACK = 2**20
_OLD_PICKLES = 5
"""Number of pickles in a file of the old format, before its storages."""
_MOST_STEPS = 2_000_000
"""Most steps of a pickle; a tensor takes about forty."""


def load_pickled(path: str | Path, history: Callable[[], object] = History) -> Any:
    """Read a file of `torch.save`: tensors on the CPU, numbers and plain containers.

    Args:
        path: The file.
        history: Class of the object in the place of each log of MMEngine; see `Unpickler`.

    Raises:
        UnpicklingError: The file holds other objects, or more than its size allows.
        OSError: It cannot be read. A damaged file may raise any other exception.
    """
    path = Path(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            content = _load_zip(archive, path.stat().st_size, history)
    else:
        with path.open('rb') as file:
            content = _load_old(file, path.stat().st_size, history)
    check_extent(content)
    return content


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse an archive that becomes much larger than its file; `torch.save` does not compress.

    Raises:
        UnpicklingError: It does, because it is compressed or its entries overlap.
    """
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > 4 * size + _SLACK:
        raise UnpicklingError(f'{size} bytes that become {unpacked} when unpacked; torch.save does not compress')


def check_file(path: str | Path) -> None:
    """Refuse a file that would cost another reader much more memory than its size.

    For `torch.load` with a `pickle_module`, whose unpickler allocates as many memo entries as a pickle states. torch
    recognises an archive by the beginning of a file, Python by its end; both are checked.

    Raises:
        UnpicklingError: It would, or it is a tar archive, as torch wrote in 2016.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, Path(path).stat().st_size)
            for entry in archive.infolist():
                if entry.filename.lower().endswith('data.pkl'):
                    _check_memo(BytesIO(archive.read(entry)))
    with Path(path).open('rb') as file:
        if file.read(4) in (b'', b'PK\x03\x04'):
            return
        with suppress(tarfile.TarError):
            tarfile.open(path, 'r:').close()
            raise UnpicklingError('a tar archive, as torch wrote before its version 0.1.10')
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, suppress(ValueError):
            for _ in range(_OLD_PICKLES):
                _check_memo(content)


def _check_memo(content: Any) -> None:
    """Check one pickle; a damaged one raises a ValueError, and other readers stop there too."""
    begin = content.tell()
    for steps, (opcode, argument, position) in enumerate(pickletools.genops(content)):
        if steps == _MOST_STEPS:
            raise UnpicklingError(f'a pickle of more than {_MOST_STEPS} steps')
        position = (position or 0) - begin
        if opcode.name in ('PUT', 'LONG_BINPUT') and isinstance(argument, int) and argument > position:
            raise UnpicklingError(f'a pickle with memo entry {argument} after {position} bytes')


def _load_zip(archive: zipfile.ZipFile, size: int, history: Callable[[], object]) -> Any:
    check_archive(archive, size)
    entries = {entry.filename.partition('/')[2]: entry for entry in archive.infolist()}
    if 'data.pkl' not in entries:
        raise UnpicklingError('a zip archive that torch.save did not write, without data.pkl')
    if 'byteorder' in entries and archive.read(entries['byteorder']) != b'little':
        raise UnpicklingError('written on a big-endian machine')
    storages: dict[str, bytearray] = {}

    def storage(dtype: torch.dtype, name: str, numel: int) -> Tensor:
        if name not in storages:
            if f'data/{name}' not in entries:
                raise UnpicklingError(f'no data/{name} in it')
            storages[name] = bytearray(archive.read(entries[f'data/{name}']))
        if len(storages[name]) != numel * dtype.itemsize:
            raise UnpicklingError(f'data/{name} has {len(storages[name])} bytes, not {numel * dtype.itemsize}')
        return _flat(storages[name], dtype)

    return Unpickler(BytesIO(archive.read(entries['data.pkl'])), storage, history).load()


def _load_old(file: IO[bytes], size: int, history: Callable[[], object]) -> Any:
    storages: dict[str, tuple[bytearray, int]] = {}
    left = size

    def storage(dtype: torch.dtype, name: str, numel: int) -> Tensor:
        nonlocal left
        if name not in storages:
            left -= numel * dtype.itemsize
            if left < 0:
                raise UnpicklingError(f'a storage of {numel * dtype.itemsize} bytes in a file of {size}')
            storages[name] = bytearray(numel * dtype.itemsize), dtype.itemsize
        if len(storages[name][0]) != numel * dtype.itemsize:
            raise UnpicklingError(f'storage {name} has {len(storages[name][0])} bytes, not {numel * dtype.itemsize}')
        return _flat(storages[name][0], dtype)

    def load() -> Any:
        return Unpickler(file, storage, history).load()

    if load() != MAGIC:
        raise UnpicklingError('not a file of torch.save')
    load()  # its version
    machine = load()
    if not isinstance(machine, dict) or not machine.get('little_endian', True):
        raise UnpicklingError('written on a big-endian machine')
    content, names = load(), load()
    is_complete = isinstance(names, list) and all(type(name) is str for name in names)
    if not is_complete or sorted(names) != sorted(storages):
        raise UnpicklingError('storages are missing')
    for name in names:
        buffer, itemsize = storages[name]
        numel = int.from_bytes(file.read(8), 'little')
        if numel * itemsize != len(buffer) or file.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
            raise UnpicklingError('it is cut short')
    return content


def _flat(content: bytearray, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
