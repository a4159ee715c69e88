"""IMDN and RFDN, the small CNNs that ASID is held against: what a user would take instead of it.

No library that this package knows has them, so they are written here, after the descriptions in their papers and as
plainly as those put it: NCHW, one module per part. `tests/cost/test_small_cnns.py` holds their parameters and
multiply-adds against the published ones. Weights are random: they serve to measure time and memory.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.05
"""Of LeakyReLU below zero, in both networks."""


def conv3x3(num_in: int, num_out: int, **kwargs: int) -> nn.Conv2d:
    return nn.Conv2d(num_in, num_out, 3, **{'padding': 1} | kwargs)


def act(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


class ContrastAwareAttention(nn.Module):
    """Channel attention from the standard deviation and the mean of each channel (IMDN, Section 3.3)."""

    def __init__(self, dim: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(dim, dim // reduction, 1)
        self.expand = nn.Conv2d(dim // reduction, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        contrast = (x - mean).square().mean((2, 3), keepdim=True).sqrt() + mean
        return x * self.expand(F.relu(self.squeeze(contrast))).sigmoid()


class IMDB(nn.Module):
    """Information multi-distillation block: three times a quarter is kept and the rest refined; then fused."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.kept = dim // 4
        self.rest = dim - self.kept
        self.convs = nn.ModuleList(conv3x3(num_in, dim) for num_in in (dim, self.rest, self.rest))
        self.last = conv3x3(self.rest, self.kept)
        self.attention = ContrastAwareAttention(dim)
        self.fuse = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts, coarse = [], x
        for conv in self.convs:
            part, coarse = act(conv(coarse)).split((self.kept, self.rest), 1)
            parts.append(part)
        return x + self.fuse(self.attention(torch.cat([*parts, self.last(coarse)], 1)))


class ESA(nn.Module):
    """Enhanced spatial attention as RFDN has it: a quarter of the channels, three convolutions on the pooled map."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        few = dim // 4
        self.conv_in = nn.Conv2d(dim, few, 1)
        self.skip = nn.Conv2d(few, few, 1)
        self.down = conv3x3(few, few, stride=2, padding=0)
        self.pooled = nn.ModuleList(conv3x3(few, few) for _ in range(3))
        self.conv_out = nn.Conv2d(few, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_in(x)
        low = F.max_pool2d(self.down(y), 7, 3)
        low = F.relu(self.pooled[1](F.relu(self.pooled[0](low))))
        low = F.interpolate(self.pooled[2](low), x.shape[2:], mode='bilinear', align_corners=False)
        return x * self.conv_out(low + self.skip(y)).sigmoid()


class RFDB(nn.Module):
    """Residual feature distillation block: 1x1 convolutions distil, shallow residual blocks refine; then ESA."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.distil = nn.ModuleList(nn.Conv2d(dim, dim // 2, 1) for _ in range(3))
        self.refine = nn.ModuleList(conv3x3(dim, dim) for _ in range(3))
        self.last = conv3x3(dim, dim // 2)
        self.fuse = nn.Conv2d(dim // 2 * 4, dim, 1)
        self.esa = ESA(dim)

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        for distil, refine in zip(self.distil, self.refine, strict=True):
            parts.append(act(distil(x)))
            x = act(refine(x) + x)
        return self.esa(self.fuse(torch.cat([*parts, act(self.last(x))], 1)))


class DistillationCNN(nn.Module):
    """The frame that both have: shallow features, blocks whose outputs are fused, a residual, and one upsampler."""

    def __init__(self, block: type[nn.Module], dim: int, num_block: int, upscale: int) -> None:
        super().__init__()
        self.upscale = upscale
        self.conv_first = conv3x3(3, dim)
        self.blocks = nn.ModuleList(block(dim) for _ in range(num_block))
        self.fuse = nn.Conv2d(dim * num_block, dim, 1)
        self.conv_after_body = conv3x3(dim, dim)
        self.conv_up = conv3x3(dim, 3 * upscale**2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 3, kH, kW)."""
        shallow = coarse = self.conv_first(x)
        outputs = []
        for block in self.blocks:
            coarse = block(coarse)
            outputs.append(coarse)
        deep = self.conv_after_body(act(self.fuse(torch.cat(outputs, 1)))) + shallow
        return F.pixel_shuffle(self.conv_up(deep), self.upscale)


class IMDN(DistillationCNN):
    """Hui, Gao, Yang, Wang: Lightweight Image Super-Resolution with Information Multi-distillation Network, 2019."""

    def __init__(self, upscale: int = 4) -> None:
        super().__init__(IMDB, 64, 6, upscale)


class RFDN(DistillationCNN):
    """Liu, Tang, Wu: Residual Feature Distillation Network for Lightweight Image Super-Resolution, 2020."""

    def __init__(self, upscale: int = 4) -> None:
        super().__init__(RFDB, 50, 4, upscale)
