"""The weights of a network under autocast, cast all at once instead of each where it is used."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .norm import LayerNorm
from .windowed import WindowedSR

_NARROW = (nn.Linear, nn.Conv2d, LayerNorm)
"""Layers that use their weights in the dtype of autocast only."""


class _CastTogether(torch.autograd.Function):
    """Copies of tensors in another dtype, by a few launches on a GPU; gradients are cast back in the same way."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.dtypes = [tensor.dtype for tensor in tensors]
        return _copies(tensors, [dtype] * len(tensors))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        there = [(grad, dtype) for grad, dtype in zip(grads, ctx.dtypes, strict=True) if grad is not None]
        copies = iter(_copies([grad for grad, _ in there], [dtype for _, dtype in there]))
        return None, *(None if grad is None else next(copies) for grad in grads)


def _copies(tensors: Any, dtypes: list[torch.dtype]) -> tuple[Tensor, ...]:
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor, dtype in zip(tensors, dtypes, strict=True)]
    torch._foreach_copy_(copies, list(tensors))
    return tuple(copies)


def call(net: nn.Module, x: Tensor) -> Tensor:
    """Call a network, under autocast with its weights cast together: the same results from fewer launches.

    Autocast casts each weight where it is used, for ASID more than a third of all launches of a pass. Compiled networks
    are called unchanged, because the compiler fuses these casts. Other networks are called unchanged, because some of
    their layers may need float32.

    Args:
        net: A network, or one wrapped by `DistributedDataParallel`.
        x: Its input.
    """
    kind = x.device.type
    bare = getattr(net, 'module', net)
    is_ours = isinstance(bare, WindowedSR) and bare._compiled_call_impl is None
    if not (is_ours and torch.is_autocast_enabled(kind)):
        output: Tensor = net(x)
        return output
    wide = {
        name: weight
        for prefix, layer in net.named_modules()
        if isinstance(layer, _NARROW)
        for name, weight in layer.named_parameters(prefix, recurse=False)
        if weight.dtype == torch.float32
    }
    narrow = _CastTogether.apply(torch.get_autocast_dtype(kind), *wide.values())  # type: ignore[no-untyped-call]
    result: Tensor = functional_call(net, dict(zip(wide, narrow, strict=True)), (x,))
    return result
