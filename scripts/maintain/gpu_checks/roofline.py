"""The least time that a pass could take here, from the bytes and multiply-adds of its operators."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dispatch_counts import starts_kernel  # of tests/, which .setup has put on the path


class Traffic(TorchDispatchMode):
    """Notes each operator that runs: the bytes it reads and writes at least, and its multiply-adds.

    Attributes:
        operators: Pairs of bytes and multiply-adds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators: list[tuple[int, float]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and note it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if starts_kernel(func):
            moved = sum(stored_bytes(tensor) for part in (args, kwargs, out) for tensor in tensors(part))
            count = flop_registry.get(func._overloadpacket)
            self.operators.append((moved, count(*args, **kwargs, out_val=out) / 2 if count else 0))
        return out

    @property
    def bytes(self) -> int:
        """Read and written, in all."""
        return sum(moved for moved, _ in self.operators)

    @property
    def multiply_adds(self) -> float:
        """In all."""
        return sum(count for _, count in self.operators)

    def least_seconds(self, bytes_a_second: float, multiply_adds_a_second: float) -> float:
        """Of one operator after the other, each as fast as memory or arithmetic allows, whichever is slower."""
        return sum(max(moved / bytes_a_second, count / multiply_adds_a_second) for moved, count in self.operators)


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in an operator's arguments or result."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))


def stored_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor's elements, each counted once where an axis is expanded."""
    size = tensor.element_size() if tensor.numel() else 0
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        size *= length if stride else 1
    return size


def traffic(function: Callable[[], object]) -> Traffic:
    """The bytes and multiply-adds of a call of the function, operator by operator."""
    with Traffic() as found:
        function()
    return found


def traffic_of_pass(net: torch.nn.Module, x: Tensor) -> Traffic:
    """Of a forward pass.

    It runs without inference mode, in which PyTorch shows some operators as a whole only, and without oneDNN's
    convolutions: PyTorch does not count their multiply-adds, and fuses them with the next operator, unlike on a GPU.
    """
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
        return traffic(lambda: net(x))
