"""Read pickles in checkpoint files without importing or calling anything that a file names.

`torch.load` imports and calls the functions on its list with the arguments in the file, such as `torch.Tensor(100000,
100000)` and `bytearray(10**10)`. `pickle` allocates as many memo entries as a file states. Here every permitted name
stands for a function of this module that checks its arguments.
"""

import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

Storage = Callable[[torch.dtype, str, int], Tensor]
"""Returns the flat tensor of a storage, from its type, name and number of elements."""


class UnpicklingError(pickle.UnpicklingError):
    """A damaged pickle, or one with refused objects; the message names them."""


class History:
    """A log of MMEngine while it is read, with the attributes `_log_history`, `_count_history` and `max_length`.

    A caller may give another class, see `Unpickler`.
    """


def inert(*_arguments: object) -> None:
    """Replace an object that is not needed by None."""


def bytes_without_content() -> bytes:
    """Empty bytes, the only bytes in protocol 2."""
    return b''


NUMPY_TYPES = ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8')


class NumPyType:
    """A numeric type of NumPy, by its code, such as 'f8'."""

    def __init__(self, code: object, *_flags: object) -> None:
        if type(code) is not str or code not in NUMPY_TYPES:
            raise UnpicklingError(
                f'arrays of {code[:20] if type(code) is str else type(code).__name__}, which are not numbers'
            )
        self.dtype = np.dtype(code)

    def set_state(self, state: object) -> None:
        """Set the order of bytes, '<', '>' or '|'."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ('<', '>'):
            self.dtype = self.dtype.newbyteorder(state[1])


class NumPyArray:
    """An array of NumPy; its numbers follow in the pickle."""

    numbers: np.ndarray[Any, Any]

    def __init__(self, *_arguments: object) -> None:
        self.numbers = np.zeros(0)

    def set_state(self, state: object) -> None:
        """Set the numbers, from a tuple of version, shape, type, order of axes and bytes."""
        _version, shape, kind, is_fortran, content = _plain_tuple(state, 5)
        if not (isinstance(kind, NumPyType) and isinstance(content, bytes)):
            raise UnpicklingError('an array without numbers')
        flat = np.frombuffer(content, kind.dtype).astype(kind.dtype.newbyteorder('='))
        self.numbers = flat.reshape(_sizes(shape), order='F' if is_fortran else 'C')


def _scalar(kind: object, content: object) -> int | float | bool:
    if not (isinstance(kind, NumPyType) and isinstance(content, bytes)):
        raise UnpicklingError('a number of NumPy without its type')
    number: int | float | bool = np.frombuffer(content, kind.dtype)[0].item()
    return number


def _encode(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding not in ('latin1', 'latin-1'):
        raise UnpicklingError('bytes in an unusual encoding')
    return text.encode('latin-1')


def _ordered_dict(items: object = ()) -> 'OrderedDict[Any, Any]':
    result: OrderedDict[Any, Any] = OrderedDict()
    for item in _plain_list(items):
        key, value = _plain_tuple(tuple(item) if isinstance(item, list) else item, 2)
        result[_key(key)] = value
    return result


def _counter(counts: object = None) -> 'Counter[Any]':
    if not isinstance(counts, dict | None):
        raise UnpicklingError('a Counter that is not made from a dict')
    return Counter(counts)


def _set(items: object = ()) -> set[Any]:
    return {_key(item) for item in _plain_list(items)}


def _size(sizes: object) -> torch.Size:
    return torch.Size(_sizes(sizes))


def _tensor(flat: object, offset: object, size: object, stride: object, *_others: object) -> Tensor:
    """A view of a storage; a view that repeats elements is refused, as it would exceed the size of the file."""
    sizes, strides = _sizes(size), _sizes(stride)
    if type(flat) is not Tensor or flat.ndim != 1 or type(offset) is not int or len(sizes) != len(strides):
        raise UnpicklingError('a tensor without a storage')
    if prod(sizes) > flat.numel():
        raise UnpicklingError(f'a tensor of {"x".join(map(str, sizes))} elements in a storage of {flat.numel()}')
    return flat.as_strided(sizes, strides, offset)


def _tensor_v3(flat: object, offset: object, size: object, stride: object, *others: object) -> Tensor:
    """As `_tensor`, for a type without a storage class: the bytes are reinterpreted as this type."""
    dtype = others[2] if len(others) > 2 else None
    if type(flat) is not Tensor or not isinstance(dtype, torch.dtype):
        raise UnpicklingError('a tensor without a type')
    return _tensor(flat.view(dtype), offset, size, stride)


def _parameter(data: object, *_others: object) -> Tensor:
    if not isinstance(data, Tensor):
        raise UnpicklingError('a parameter without a tensor')
    return data


@dataclass(frozen=True)
class Global:
    """A permitted name in a pickle, and the function of this module that stands for it."""

    stands_for: Callable[..., Any]


STORAGES: Mapping[str, torch.dtype] = {
    'DoubleStorage': torch.float64,
    'FloatStorage': torch.float32,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
    'UntypedStorage': torch.uint8,
}
DTYPES: Mapping[str, torch.dtype] = {
    name: getattr(torch, name)
    for name in ('float64', 'float32', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool')
} | {name: getattr(torch, name) for name in ('float8_e4m3fn', 'float8_e5m2') if hasattr(torch, name)}
FREE = 2**20
"""Bytes that calls may copy, in addition to four for every byte of a pickle."""
HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer'
GLOBALS: Mapping[str, object] = {
    'collections.OrderedDict': Global(_ordered_dict),
    'collections.Counter': Global(_counter),
    'builtins.set': Global(_set),
    'builtins.bytes': Global(bytes_without_content),
    '_codecs.encode': Global(_encode),
    'torch.Size': Global(_size),
    'torch.device': Global(inert),
    'torch._utils._rebuild_tensor': Global(_tensor),
    'torch._utils._rebuild_tensor_v2': Global(_tensor),
    'torch._utils._rebuild_tensor_v3': Global(_tensor_v3),
    'torch._utils._rebuild_parameter': Global(_parameter),
    'torch._utils._rebuild_parameter_with_state': Global(_parameter),
    'builtins.getattr': Global(inert),  # MMEngine's log refers to its own methods
    'numpy.ndarray': Global(inert),
    'numpy.dtype': Global(NumPyType),
    # as NumPy 1 and 2 name them
    **{f'numpy.{core}.multiarray._reconstruct': Global(NumPyArray) for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': Global(_scalar) for core in ('core', '_core')},
    **{f'torch.{name}': dtype for name, dtype in STORAGES.items()},
    'torch.storage.UntypedStorage': torch.uint8,
    **{f'torch.{name}': dtype for name, dtype in DTYPES.items()},
}
"""All permitted names in a pickle: tensors, plain containers, and the names in a log of MMEngine."""


class _Limited(dict[int, Callable[..., None]]):
    """The methods of opcodes, with a limit on the number of look-ups, because a pickle also costs time."""

    left = 1_200_000
    """Number of look-ups; a tensor takes about sixty."""

    def __getitem__(self, opcode: int) -> Callable[..., None]:
        self.spend(1)
        return super().__getitem__(opcode)

    def spend(self, objects: int) -> None:
        """Count the objects that a call reads; memoised objects count each time."""
        self.left -= objects
        if self.left < 0:
            raise UnpicklingError('more objects than any checkpoint has')


class Unpickler(pickle._Unpickler):
    """Reads a pickle of tensors, numbers and plain containers.

    Args:
        file: The file of the pickle.
        storage: Returns the storages of the tensors.
        history: Called without arguments for each log of MMEngine; the object gets the attributes of `History`.

    Raises:
        UnpicklingError: In `load`, if the pickle holds anything else. A damaged pickle may raise any exception.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: IO[bytes], storage: Storage, history: Callable[[], object] = History) -> None:
        super().__init__(file, encoding='latin-1')
        self._storage = storage
        self._history = history
        self._histories: set[int] = set()
        self._pickle = file
        self._copied = 0

    def load(self) -> Any:
        """Read one pickle."""
        self.dispatch = _Limited(type(self).dispatch)  # type: ignore[misc]  # `load` looks every opcode up in it
        return super().load()

    def find_class(self, module_name: str, global_name: str) -> object:
        """The stand-in for a name."""
        module_name = 'builtins' if module_name == '__builtin__' else module_name  # its name in Python 2
        name = f'{module_name}.{global_name}'
        if name == HISTORY:
            return Global(self._new_history)
        if name not in GLOBALS:
            raise UnpicklingError(f'refused: it holds Python objects other than tensors and numbers ({name[:100]})')
        return GLOBALS[name]

    def persistent_load(self, pid: object) -> Tensor:
        """The storage that a tensor refers to."""
        kind, dtype, name, _location, numel = _plain_tuple(pid, 5, more=True)[:5]
        is_storage = kind == 'storage' and isinstance(dtype, torch.dtype) and type(name) is str
        if not is_storage or type(numel) is not int or numel < 0:
            raise UnpicklingError('a reference that is not to a storage')
        return self._storage(dtype, name[:100], numel)

    def _charge(self, *values: object) -> None:
        """Count the cost of a call, because an argument that is written once may be passed a thousand times."""
        limited: Any = self.dispatch
        limited.spend(sum(len(value) for value in values if isinstance(value, dict | list | set | tuple)))
        self._copied += sum(len(value) for value in values if isinstance(value, bytes | str))
        if self._copied > FREE and self._copied > FREE + 4 * self._pickle.tell():
            raise UnpicklingError('bytes that are copied many times')

    def _new_history(self, *_arguments: object) -> object:
        history = self._history()
        self._histories.add(id(history))
        return history

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack[-1]
        if not isinstance(function, Global) or type(arguments) is not tuple:
            raise UnpicklingError('a call of an object that is not a function')
        self._charge(arguments)
        self._charge(*arguments)
        self.stack[-1] = function.stands_for(*arguments)

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        self._charge(state)
        self._charge(*(state.values() if isinstance(state, dict) else state if isinstance(state, tuple) else ()))
        if isinstance(target, NumPyType | NumPyArray):
            target.set_state(state)
        elif id(target) in self._histories:
            for name, value in state.items() if isinstance(state, dict) else ():
                if name in ('_log_history', '_count_history') and isinstance(value, np.ndarray):
                    setattr(target, name, value)
                elif name == 'max_length' and type(value) is int:
                    target.max_length = value
        elif type(target) is OrderedDict:
            metadata = state.get('_metadata') if isinstance(state, dict) else None
            if isinstance(metadata, dict) and all(isinstance(version, dict) for version in metadata.values()):
                target._metadata = metadata  # type: ignore[attr-defined]  # as `Module.state_dict` sets it
        elif target is not None:
            raise UnpicklingError(f'a state for a {type(target).__name__}')

    def _append(self) -> None:
        self._extend([self.stack.pop()])

    def _appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[object]) -> None:
        if type(self.stack[-1]) is not list:
            raise UnpicklingError(f'list items for a {type(self.stack[-1]).__name__}')
        self.stack[-1].extend(map(_complete, items))

    def _add_items(self) -> None:
        items, target = self.pop_mark(), self.stack[-1]
        if type(target) is not set:
            raise UnpicklingError(f'set members for a {type(target).__name__}')
        target.update(map(_key, items))

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._enter([key, value])

    def _set_items(self) -> None:
        self._enter(self.pop_mark())

    def _enter(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) not in (dict, OrderedDict, Counter) or len(items) % 2:
            raise UnpicklingError(f'dict entries for a {type(target).__name__}')
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_key(key)] = _complete(value)

    dispatch = {  # type: ignore[assignment]  # functions of this class, not of its base
        opcode[0]: pickle._Unpickler.dispatch[opcode[0]]
        for opcode in (
            *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK),
            *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1, pickle.BININT2),
            *(pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE, pickle.SHORT_BINUNICODE),
            *(pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES, pickle.SHORT_BINBYTES),
            *(pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_TUPLE, pickle.EMPTY_SET, pickle.TUPLE),
            *(pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.BINPERSID),
            *(pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE),
        )
    } | {
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _reduce,
        pickle.BUILD[0]: _build,
        pickle.APPEND[0]: _append,
        pickle.APPENDS[0]: _appends,
        pickle.ADDITEMS[0]: _add_items,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
    }


def _complete(value: object) -> object:
    """The numbers of an array in a container."""
    return value.numbers if isinstance(value, NumPyArray) else value


def _key(key: object) -> object:
    """A key or member that is cheap to hash; a tuple could repeat itself a million times."""
    if type(key) not in (str, bytes, int, float, bool, type(None)):
        raise UnpicklingError(f'a key that is a {type(key).__name__}')
    return key


def _plain_list(items: object) -> list[Any]:
    if not isinstance(items, list | tuple):
        raise UnpicklingError(f'a {type(items).__name__} in the place of a list')
    return list(items)


def _plain_tuple(items: object, length: int, more: bool = False) -> tuple[Any, ...]:
    if type(items) is not tuple or len(items) < length or (len(items) > length and not more):
        raise UnpicklingError(f'a tuple of {length} is missing')
    return items


def _sizes(sizes: object) -> tuple[int, ...]:
    """A tuple of non-negative whole numbers, at most 16."""
    if not isinstance(sizes, tuple) or len(sizes) > 16 or any(type(n) is not int or n < 0 for n in sizes):
        raise UnpicklingError('a size that is not a tuple of whole numbers')
    return sizes
