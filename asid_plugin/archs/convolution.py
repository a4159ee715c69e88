"""Convolutions of features in NHWC, (B, H, W, C), with the operation after them: GELU, a sigmoid or a sum.

In NHWC a 1x1 convolution is a linear layer, a LayerNorm works on the last axis, and a permuted view is the
channels-last tensor that convolutions are fastest on. On a CPU without gradients oneDNN carries the operation out
before the result goes to memory.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.nn import functional as F

is_exporting: Callable[[], bool] = getattr(torch.compiler, 'is_exporting', lambda: False)
"""Whether `torch.export` is tracing. torch 2.6 has no such function, and cannot export for any size."""

Then = Literal['', 'gelu', 'sigmoid', 'add']
"""The operation after a convolution: none, a function of its result, or a sum with another map of its shape."""
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {'': lambda y: y, 'gelu': F.gelu, 'sigmoid': torch.sigmoid}
_is_tracing: Callable[[], bool] = torch.jit.is_tracing  # type: ignore[attr-defined]
_ONEDNN = getattr(torch.ops.mkldnn, '_convolution_pointwise', None)


def _onednn(x: Tensor, weight: Tensor) -> Any:
    """The operator of oneDNN for a convolution of x and the operation after it; None where there is none.

    It knows no derivatives, no autocast and no tracing.
    """
    if torch.compiler.is_compiling() or _is_tracing():
        return None
    is_plain = type(x) is Tensor and type(weight) in (Tensor, nn.Parameter)
    on_cpu = x.device.type == 'cpu' and x.dtype == torch.float32 and torch.backends.mkldnn.enabled
    derived = torch.is_grad_enabled() or forward_ad._current_level >= 0 or peek_interpreter_stack() is not None
    fits = is_plain and on_cpu and not (derived or torch.is_autocast_enabled('cpu'))
    return _ONEDNN if fits else None


def _conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, groups: int, then: Then, other: Tensor | None
) -> Tensor:
    """`F.conv2d` of (B, H, W, C), and the operation after it."""
    x = x.permute(0, 3, 1, 2)
    operator = _onednn(x, weight)
    if operator is not None:  # also with nothing to fuse: on one thread `F.conv2d` takes slower code for some
        where = [padding] * 2, [1, 1], [1, 1], groups
        if other is None:
            y = operator(x, weight, bias, *where, then or 'none', [], 'none' if then == 'gelu' else '')
        else:
            y = operator.binary(x, other.permute(0, 3, 1, 2), weight, bias, *where, then, None, None, [], None)
        return y.permute(0, 2, 3, 1)
    return _followed(F.conv2d(x, weight, bias, padding=padding, groups=groups).permute(0, 2, 3, 1), then, other)


def _followed(y: Tensor, then: Then = '', other: Tensor | None = None) -> Tensor:
    return _FUNCTIONS[then](y) if other is None else other + y


class NHWCConv2d(nn.Conv2d):
    """`nn.Conv2d` that takes and returns (B, H, W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H', W', C')."""
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def conv1x1(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, then: Then = '', other: Tensor | None = None
) -> Tensor:
    """Convolve (B, H, W, C) with a 1x1 kernel, given as the (C', C) weight of a linear layer.

    On a CPU this is oneDNN's convolution: on AMD, where MKL knows no AVX-512, it is two to three times as fast as the
    matrix product. oneDNN has no float64, and other runtimes would transpose before and after each convolution.

    Args:
        x: Features.
        weight: (C', C).
        bias: (C',).
        then: The operation after it.
        other: (B, H, W, C'), for 'add'.
    """
    if x.device.type != 'cpu' or x.dtype == torch.float64 or is_exporting():
        return _followed(F.linear(x, weight, bias), then, other)
    return _conv2d(x, weight[:, :, None, None], bias, 0, 1, then, other)


class Conv1x1(nn.Linear):
    """1x1 convolution of (B, H, W, C), with the parameters of a linear layer."""

    def forward(self, x: Tensor, then: Then = '', other: Tensor | None = None) -> Tensor:
        """(B, H, W, C) to (B, H, W, C'); `then` and `other` as in `conv1x1`."""
        return conv1x1(x, self.weight, self.bias, then, other)


def depthwise3x3(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, then: Then = '', other: Tensor | None = None
) -> Tensor:
    """Convolve each channel of (B, H, W, C) with its 3x3 kernel, (C, 1, 3, 3), zero padding; the rest as `conv1x1`."""
    return _conv2d(x, weight, bias, 1, len(weight), then, other)


class DepthwiseConv(nn.Conv2d):
    """3x3 depthwise convolution of (B, H, W, C), zero padding."""

    def __init__(self, dim: int, bias: bool = True) -> None:
        super().__init__(dim, dim, 3, padding=1, groups=dim, bias=bias)

    def forward(self, x: Tensor, then: Then = '', other: Tensor | None = None) -> Tensor:
        """(B, H, W, C) to (B, H, W, C); `then` and `other` as in `conv1x1`."""
        return depthwise3x3(x, self.weight, self.bias, then, other)


def separable_parts(
    x: Tensor, pointwise: Conv1x1, depthwise: DepthwiseConv, num_parts: int
) -> list[Callable[..., Tensor]]:
    """`depthwise(pointwise(x))`, layers without bias, in equal parts along its channels.

    A GPU computes all parts in two launches. On a CPU each part is computed when it is needed: a slice of the whole
    would be strided, which makes GELU up to 15 times slower, and the whole is the largest map of the network.

    Returns:
        For each part a function of `then` and `other`, as in `conv1x1`, that returns it.
    """
    if x.device.type != 'cpu':
        return [partial(_followed, part) for part in depthwise(pointwise(x)).chunk(num_parts, dim=-1)]
    weights = zip(pointwise.weight.chunk(num_parts), depthwise.weight.chunk(num_parts), strict=True)
    return [partial(_separable, x, *both) for both in weights]


def _separable(x: Tensor, pointwise: Tensor, depthwise: Tensor, then: Then = '', other: Tensor | None = None) -> Tensor:
    return depthwise3x3(conv1x1(x, pointwise), depthwise, None, then, other)
