"""Counts of the operators that a piece of code runs, as a GPU would see them; fake and meta tensors count alike."""

from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ALLOCATIONS = {'empty', 'empty_like', 'empty_strided', 'new_empty', 'new_empty_strided', 'resize_', 'set_'}
READS = {'_local_scalar_dense', 'nonzero', 'equal', 'is_nonzero', 'masked_select', '_unique2', 'unique_consecutive'}
SPATIAL = ('convolution', 'upsample', 'max_pool2d')
ALIASES = {'detach', 'detach_', 'alias', 'lift_fresh', '_unsafe_view'}
NO_LAUNCH = {'_local_scalar_dense', 'is_nonzero', 'is_same_size', *ALIASES, *ALLOCATIONS}


def name_of(func: Any) -> str:
    """An operator's name without namespace and overload."""
    return str(func.name().split('::')[-1].split('.')[0])


def starts_kernel(func: Any) -> bool:
    """Whether an operator computes or moves anything; views and allocations do not."""
    return name_of(func) not in NO_LAUNCH and not func.is_view and func.namespace != 'prim'


class Counts(TorchDispatchMode):
    """Counts operators as long as it is entered.

    Convolutions, pooling and interpolation of tensors without content keep the channels-last format, as on a GPU.

    Attributes:
        by_name: Operators that start a kernel, by name without namespace and overload. Views, `detach`, `alias` and
            allocations start none; nor does `_local_scalar_dense`, the operator of `.item()`.
        synchronisations: Operators after which the program needs a number that a device must compute first.
        copies_between_devices: Copies from one device to another.
        blocking_copies: Those of them that are not asked for as `non_blocking`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_name: Counter[str] = Counter()
        self.synchronisations = 0
        self.copies_between_devices = 0
        self.blocking_copies = 0

    @property
    def launches(self) -> int:
        """Operators that start a kernel."""
        return self.by_name.total()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = name_of(func)
        if name.startswith(SPATIAL):
            args = tree_map(partial(_laid_out, torch.contiguous_format), args)
            result = tree_map(partial(_laid_out, torch.channels_last), func(*args, **kwargs))
        else:
            result = func(*args, **kwargs)
        self.synchronisations += name in READS
        if starts_kernel(func):
            self.by_name[name] += 1
        if name in ('_to_copy', 'copy_'):
            devices = {tensor.device for tensor in tree_leaves((args, kwargs, result)) if isinstance(tensor, Tensor)}
            if len(devices) > 1:
                non_blocking = kwargs.get('non_blocking') or (name == 'copy_' and True in args[2:])
                self.copies_between_devices += 1
                self.blocking_copies += not non_blocking
        return result


class FakeIndexing(TorchFunctionMode):
    """Carries out `x[..., a:b]` of fake tensors on a device that this build of torch does not know.

    Python's own way of indexing would ask for the device.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not torch.Tensor.__getitem__:
            return func(*args, **(kwargs or {}))
        x, index = args
        for dim, part in enumerate(reversed(index if isinstance(index, tuple) else (index,)), start=1):
            if part is not Ellipsis:
                x = torch.ops.aten.slice(x, -dim, part.start, part.stop)
        return x


def _laid_out(memory_format: torch.memory_format, x: Any) -> Any:
    """A feature map without content in another format; anything else as it is."""
    has_no_content = isinstance(x, Tensor) and x.device.type != 'cpu' and not torch.cuda.is_available()
    is_map = has_no_content and x.dim() == 4 and x.dtype.is_floating_point
    return torch.empty_like(x, memory_format=memory_format) if is_map else x


def counted(function: Any, *args: Any, **kwargs: Any) -> Counts:
    """The counts of one call."""
    with Counts() as counts:
        function(*args, **kwargs)
    return counts


assert torch.ops.aten.view.default.is_view  # on which the count of launches rests
