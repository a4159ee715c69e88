"""Convolutional parts of ASID: the local module (LM), the gated feed-forward (GFFN), enhanced spatial attention (ESA).

Features are NHWC, (B, H, W, C): there a 1x1 convolution is a linear layer, a LayerNorm works on the last axis,
and a permuted view is the channels-last tensor that convolutions are fastest on.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asid_plugin.registry import BLOCK_REGISTRY

is_exporting: Callable[[], bool] = getattr(torch.compiler, 'is_exporting', lambda: False)
"""Whether `torch.export` is tracing; torch 2.6 cannot say, nor can it export for any size."""


class NHWCConv2d(nn.Conv2d):
    """`nn.Conv2d` that takes and returns (B, H, W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H', W', C')."""
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def conv1x1(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve (B, H, W, C) with a 1x1 kernel, given as the (C', C) weight of a linear layer.

    On a CPU this is oneDNN's convolution: on AMD, where MKL knows no AVX-512, it is two to three times as fast as the
    matrix product. oneDNN has no float64, and other runtimes would transpose before and after each convolution.
    """
    if x.device.type != 'cpu' or x.dtype == torch.float64 or is_exporting():
        return F.linear(x, weight, bias)
    return F.conv2d(x.permute(0, 3, 1, 2), weight[:, :, None, None], bias).permute(0, 2, 3, 1)


class Conv1x1(nn.Linear):
    """1x1 convolution of (B, H, W, C), with the parameters of a linear layer."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C')."""
        return conv1x1(x, self.weight, self.bias)


def depthwise3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve each channel of (B, H, W, C) with its 3x3 kernel, (C, 1, 3, 3), zero padding."""
    return F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1, groups=len(weight)).permute(0, 2, 3, 1)


class DepthwiseConv(nn.Conv2d):
    """3x3 depthwise convolution of (B, H, W, C), zero padding."""

    def __init__(self, dim: int, bias: bool = True) -> None:
        super().__init__(dim, dim, 3, padding=1, groups=dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C)."""
        return depthwise3x3(x, self.weight, self.bias)


def separable_parts(x: Tensor, pointwise: Conv1x1, depthwise: DepthwiseConv, num_parts: int) -> Iterator[Tensor]:
    """The equal parts of `depthwise(pointwise(x))`, layers without bias, along its channels, one after the other.

    A slice of the whole is strided, which makes GELU up to 15 times slower on it, and the whole is the largest map of
    the network: parts are contiguous, and need not be in memory all at once.
    """
    for weights in zip(pointwise.weight.chunk(num_parts), depthwise.weight.chunk(num_parts), strict=True):
        yield depthwise3x3(conv1x1(x, weights[0]), weights[1])


class ChannelGate(nn.Module):
    """Squeeze-and-excitation gate: one factor in (0, 1) per image and channel (Hu et al. 2018, with SiLU).

    Args:
        dim: Channels.
        reduction: The hidden layer has int(dim / reduction) units.
    """

    def __init__(self, dim: int, reduction: int = 4) -> None:
        super().__init__()
        self.reduce = nn.Linear(dim, dim // reduction, bias=False)
        self.expand = nn.Linear(dim // reduction, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, C)."""
        return self.expand(F.silu(self.reduce(x.mean(dim=(1, 2))))).sigmoid()


@BLOCK_REGISTRY.register()
class LM(nn.Module):
    """Local module: x + conv1x1(SE(GELU(dw3x3(GELU(conv1x1(x)))))).

    Args:
        dim: Channels.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv_in = Conv1x1(dim, dim)
        self.dwconv = DepthwiseConv(dim)
        self.gate = ChannelGate(dim)
        self.conv_out = Conv1x1(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C)."""
        y = F.gelu(self.dwconv(F.gelu(self.conv_in(x))))
        return x + self.conv_out(y * self.gate(y)[:, None, None])


@BLOCK_REGISTRY.register()
class GFFN(nn.Module):
    """Gated convolutional feed-forward network (Restormer's GDFN): 1x1, dw3x3, GELU(a) * b, 1x1; no biases.

    Args:
        dim: Channels.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj_in = Conv1x1(dim, 2 * dim, bias=False)
        self.dwconv = DepthwiseConv(2 * dim, bias=False)
        self.proj_out = Conv1x1(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C)."""
        parts = separable_parts(x, self.proj_in, self.dwconv, 2)
        return self.proj_out(F.gelu(next(parts)) * next(parts))


@BLOCK_REGISTRY.register()
class ESA(nn.Module):
    """Enhanced spatial attention of RFDN (Liu, Tang, Wu 2020): a mask from few channels, seen at low resolution.

    Args:
        dim: Channels. The mask is computed on max(dim / 4, 16) of them.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = max(dim // 4, 16)
        self.conv1 = Conv1x1(dim, hidden)
        self.conv_f = Conv1x1(hidden, hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, stride=2)
        self.conv3 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv4 = Conv1x1(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C); H and W at least 15, or the max pool has nothing to pool."""
        c1 = self.conv1(x)
        low = F.max_pool2d(self.conv2(c1.permute(0, 3, 1, 2)), kernel_size=7, stride=3)
        low = F.interpolate(self.conv3(low), size=x.shape[1:3], mode='bilinear', align_corners=False)
        mask = self.conv4(low.permute(0, 2, 3, 1) + self.conv_f(c1)).sigmoid()
        return x * mask
