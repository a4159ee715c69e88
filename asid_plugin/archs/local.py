"""Convolutional parts of ASID: the local module (LM), the gated feed-forward (GFFN), enhanced spatial attention (ESA).

Features are NHWC, (B, H, W, C): there a 1x1 convolution is a linear layer, a LayerNorm works on the last axis,
and a permuted view is the channels-last tensor that convolutions are fastest on.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from asid_plugin.registry import BLOCK_REGISTRY

from .convolution import Conv1x1, DepthwiseConv, separable_parts


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
        """(B, H, W, C) to (B, 1, 1, C)."""
        return self.expand(F.silu(self.reduce(x.mean(dim=(1, 2), keepdim=True)))).sigmoid()


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
        y = self.dwconv(self.conv_in(x, 'gelu'), 'gelu')
        return self.conv_out(y * self.gate(y), 'add', x)


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

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(B, H, W, C) to (B, H, W, C), to which a residual of that shape is added."""
        gate, value = separable_parts(x, self.proj_in, self.dwconv, 2)
        y = gate('gelu') * value()
        return self.proj_out(y) if residual is None else self.proj_out(y, 'add', residual)


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
        mask = self.conv4(self.conv_f(c1, 'add', low.permute(0, 2, 3, 1)), 'sigmoid')
        return x * mask
