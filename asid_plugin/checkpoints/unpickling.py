"""What `torch.save` wrote, read without running any code, also where MMEngine has put its log beside the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

# What MMEngine's log is pickled by: NumPy's numbers, as NumPy 1 or 2 names them, and methods of its own.
_IGNORED = (
    'mmengine.logging.history_buffer.HistoryBuffer',
    'builtins.getattr',
    'numpy.ndarray',
    'numpy.dtype',
    *(f'numpy.{core}.multiarray.{name}' for core in ('core', '_core') for name in ('_reconstruct', 'scalar')),
)


class _Ignored:
    """What is unpickled in the place of any object of `_IGNORED`: nothing is called, nothing is kept."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def load_pickled(path: str | Path) -> Any:
    """`torch.load` of tensors on the CPU, numbers and plain containers.

    Raises:
        pickle.UnpicklingError: The file holds other objects than these and MMEngine's log, or is damaged; then other
            errors are possible, too.
    """
    with _ignoring():
        return torch.load(path, map_location='cpu', weights_only=True)


@contextmanager
def _ignoring() -> Iterator[None]:
    """Let `torch.load` take objects of `_IGNORED` for nothing, even where the program allows them as they are."""
    allowed = torch.serialization.get_safe_globals()
    names = {item: item[1] if isinstance(item, tuple) else f'{item.__module__}.{item.__qualname__}' for item in allowed}
    others = [item for item in allowed if names[item] not in _IGNORED]
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([*others, *((_Ignored, name) for name in _IGNORED)])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)
