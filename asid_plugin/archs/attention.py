"""Attention of ASID: the spatial attention module (SAM) and the channel attention module (CAM), Figure 4.

Features are NHWC, (B, H, W, C), with H and W multiples of the window size; a token is one pixel.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asid_plugin.registry import BLOCK_REGISTRY

from .convolution import Conv1x1, DepthwiseConv, conv1x1, separable_parts
from .local import GFFN
from .norm import LayerNorm


def window_partition(x: Tensor, window_size: tuple[int, int]) -> Tensor:
    """Cut a feature map into windows of neighbouring pixels (timm's `window_partition`).

    Args:
        x: (B, H, W, C).
        window_size: (h, w) of a window in pixels; divides (H, W).

    Returns:
        (B * H/h * W/w, h * w, C), tokens row by row.
    """
    b, height, width, c = x.shape
    h, w = window_size
    x = x.reshape(b, height // h, h, width // w, w, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, h * w, c)


def window_reverse(windows: Tensor, window_size: tuple[int, int], residual: Tensor) -> Tensor:
    """Undo `window_partition`, (B * H/h * W/w, h * w, C) to (B, H, W, C), and add a residual of that shape."""
    (h, w), (height, width) = window_size, residual.shape[1:3]
    x = windows.reshape(-1, height // h, width // w, h, w, windows.shape[-1]).permute(0, 1, 3, 2, 4, 5)
    return (residual.reshape(x.shape) + x).reshape(residual.shape)  # a sum of views saves a copy


def grid_partition(x: Tensor, grid_size: tuple[int, int]) -> Tensor:
    """Gather pixels that lie on a regular grid over the whole image (timm's `grid_partition`).

    Args:
        x: (B, H, W, C).
        grid_size: (h, w) tokens of one group, H/h and W/w pixels apart; divides (H, W).

    Returns:
        (B * H/h * W/w, h * w, C), tokens row by row.
    """
    b, height, width, c = x.shape
    h, w = grid_size
    x = x.reshape(b, h, height // h, w, width // w, c)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, h * w, c)


def grid_reverse(groups: Tensor, grid_size: tuple[int, int], residual: Tensor) -> Tensor:
    """Undo `grid_partition`, (B * H/h * W/w, h * w, C) to (B, H, W, C), and add a residual of that shape."""
    (h, w), (height, width) = grid_size, residual.shape[1:3]
    x = groups.reshape(-1, height // h, width // w, h, w, groups.shape[-1]).permute(0, 3, 1, 4, 2, 5)
    return (residual.reshape(x.shape) + x).reshape(residual.shape)


GROUPINGS = {'meso': (window_partition, window_reverse), 'global': (grid_partition, grid_reverse)}
"""For each level, the functions that partition a feature map into groups of tokens, and that undo this and add a
residual."""


def relative_position_index(window_size: int) -> Tensor:
    """Entry of the bias table for each (query, key): (P², P²), (dy + P-1) * (2P-1) + dx + P-1 with d = query - key."""
    if torch.get_default_device().type == 'meta':  # only shapes count; arithmetic there would import torch._dynamo
        return torch.empty((window_size**2, window_size**2), dtype=torch.int64)
    y, x = torch.meshgrid(torch.arange(window_size), torch.arange(window_size), indexing='ij')
    position = torch.stack([y.flatten(), x.flatten()])
    dy, dx = position[:, :, None] - position[:, None, :] + window_size - 1
    return dy * (2 * window_size - 1) + dx


class SpatialAttention(nn.Module):
    """One-head self-attention within groups of P x P tokens, Equations 7 and 8.

    Args:
        dim: Channels.
        level: 'meso' (a group is a window of P x P neighbours) or 'global' (a P x P grid over the whole image).
        window_size: P.
        shared: Use the matrix of another layer; the module then has no query, key or position bias.

    Attributes:
        position_bias: Set it to None for matrices without one.
    """

    position_bias: nn.Parameter | None
    position_index: Tensor

    def __init__(self, dim: int, level: str, window_size: int = 8, shared: bool = False) -> None:
        super().__init__()
        self.scale = dim**-0.5
        self.group = (window_size, window_size)
        self.partition, self.reverse = GROUPINGS[level]
        self.shared = shared
        if not shared:
            self.query_key = Conv1x1(dim, 2 * dim, bias=False)
            self.position_bias = nn.Parameter(torch.randn((2 * window_size - 1) ** 2))
            self.register_buffer('position_index', relative_position_index(window_size).flatten(), persistent=False)
        self.value = Conv1x1(dim, dim, bias=False)
        self.proj = Conv1x1(dim, dim, bias=False)

    def matrix(self, x: Tensor) -> Tensor:
        """Attention matrices whose rows sum to one: (B, H, W, C) to (groups, P², P²)."""
        q, k = self.partition(self.query_key(x), self.group).chunk(2, dim=-1)
        return torch.baddbmm(self.relative_bias(q), q, k.transpose(1, 2), alpha=self.scale).softmax(dim=-1).to(q.dtype)

    def relative_bias(self, q: Tensor) -> Tensor:
        """Of each (query, key), by their relative position: (P², P²), or one zero for all."""
        if self.position_bias is None:
            return q.new_zeros(1, 1)
        return self.position_bias.index_select(0, self.position_index).view(q.shape[1], -1).to(q.dtype)

    def forward(self, x: Tensor, attn: Tensor | None, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Attend within groups.

        Args:
            x: (B, H, W, C).
            attn: Matrix of another layer, (groups, P², P²); ignored unless `shared`.
            residual: (B, H, W, C), added to the output.

        Returns:
            The output, (B, H, W, C), and the matrix used.
        """
        if attn is None or not self.shared:
            attn = self.matrix(x)
        # A ((x Wv) Wo) = A (x (Wv Wo)): with one head and no biases, one product of maps instead of two.
        value = self.partition(conv1x1(x, self.proj.weight @ self.value.weight), self.group)
        return self.reverse(attn @ value, self.group, residual), attn


class SpatialLayer(nn.Module):
    """One level of a SAM: spatial attention, then a feed-forward network, both residual.

    Args:
        dim: Channels.
        level: 'meso' or 'global', as in `SpatialAttention`.
        window_size: P.
        shared: As in `SpatialAttention`.
    """

    def __init__(self, dim: int, level: str, window_size: int = 8, shared: bool = False) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim, eps=1e-5)
        self.attn = SpatialAttention(dim, level, window_size, shared)
        self.norm2 = LayerNorm(dim, eps=1e-6)
        self.ffn = GFFN(dim)

    def forward(self, x: Tensor, attn: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, H, W, C) and a shared matrix or None, to (B, H, W, C) and the matrix used."""
        x, attn = self.attn(self.norm1(x), attn, x)
        return self.ffn(self.norm2(x), x), attn


Matrices = tuple[Tensor, Tensor]
"""The attention matrices of one SAM, (meso, global), each (B * HW/P², P², P²)."""


@BLOCK_REGISTRY.register()
class SAM(nn.Module):
    """Spatial attention module: a meso layer, then a global layer.

    Args:
        dim: Channels.
        window_size: P, of the meso windows and of the global grid.
        shared: Use the matrices of another SAM instead of computing them (attention-sharing, Figure 4).
    """

    def __init__(self, dim: int, window_size: int = 8, shared: bool = False) -> None:
        super().__init__()
        self.meso_layer = SpatialLayer(dim, 'meso', window_size, shared)
        self.global_layer = SpatialLayer(dim, 'global', window_size, shared)

    def forward(self, x: Tensor, attn: Matrices | None = None) -> tuple[Tensor, Matrices]:
        """(B, H, W, C) and another SAM's matrices (needed if `shared`), to (B, H, W, C) and the matrices used."""
        meso, glob = attn or (None, None)
        x, meso = self.meso_layer(x, meso)
        x, glob = self.global_layer(x, glob)
        return x, (meso, glob)


def l2_normalize(x: Tensor, dim: int) -> Tensor:
    """Scale to unit length along `dim`, like `F.normalize`, but finite in half precision too.

    In float16 `F.normalize`'s eps of 1e-12 is zero and its sum of squares overflows, so the length is taken in float32.
    """
    wide = x if x.dtype == torch.float64 else x.float()
    return (wide / length(wide, dim)).to(x.dtype)


def length(x: Tensor, dim: int) -> Tensor:
    """Euclidean lengths along `dim`, which is kept; at least 1e-12."""
    if x.device.type != 'cpu':  # one launch; on a CPU three times as slow as the sum of squares
        return torch.linalg.vector_norm(x, dim=dim, keepdim=True).clamp_min(1e-12)
    # clamped before the root, whose gradient at zero would be infinite
    return x.square().sum(dim, keepdim=True).clamp_min(1e-24).sqrt()


def cosine_similarity(x: Tensor, y: Tensor) -> Tensor:
    """Cosines of the angles between the channels of x and those of y, (groups, tokens, C) both, to (groups, C, C)."""
    if x.dtype in (torch.float16, torch.bfloat16):  # a product of channels whose length is not one could overflow
        return l2_normalize(x, dim=1).transpose(1, 2) @ l2_normalize(y, dim=1)
    return x.transpose(1, 2) @ y / (length(x, dim=1).transpose(1, 2) * length(y, dim=1))


class ChannelAttention(nn.Module):
    """Attention between channels: per group of tokens a C x C matrix of cosine similarities.

    Args:
        dim: Channels.
        level: 'meso' (a group is a window of P x P neighbours) or 'global' (all pixels at one place in their window).
        window_size: P.

    Attributes:
        temperature: Factor of the similarities; set it to None for 1 / sqrt(tokens of a group).
    """

    temperature: nn.Parameter | None

    def __init__(self, dim: int, level: str, window_size: int = 8) -> None:
        super().__init__()
        self.dim = dim
        self.level = level
        self.window_size = window_size
        self.partition, self.reverse = GROUPINGS[level]
        self.temperature = nn.Parameter(torch.ones(()))
        self.qkv = Conv1x1(dim, 3 * dim, bias=False)
        self.qkv_dwconv = DepthwiseConv(3 * dim, bias=False)
        self.proj = Conv1x1(dim, dim, bias=False)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C), to which a residual of that shape is added."""
        size, p = x.shape[1:3], self.window_size
        # the global groups are not those of spatial attention, but P x P groups of H/P x W/P tokens
        group = (p, p) if self.level == 'meso' else (size[0] // p, size[1] // p)
        q, k, v = separable_parts(x, self.qkv, self.qkv_dwconv, 3)
        cosine = cosine_similarity(self.partition(k(), group), self.partition(q(), group))  # (groups, key, query)
        scale = (group[0] * group[1]) ** -0.5 if self.temperature is None else self.temperature
        attn = (cosine * scale).softmax(dim=1)
        # (v A) Wo = v (A Wo): a product of small matrices instead of one of maps
        y = self.partition(v(), group) @ F.linear(attn, self.proj.weight)
        return self.reverse(y, group, residual)


@BLOCK_REGISTRY.register()
class CAM(nn.Module):
    """Channel attention module: meso channel attention, GFFN, global channel attention, GFFN, all residual.

    Args:
        dim: Channels.
        window_size: P.
    """

    def __init__(self, dim: int, window_size: int = 8) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim, eps=1e-6)
        self.meso_attn = ChannelAttention(dim, 'meso', window_size)
        self.norm2 = LayerNorm(dim, eps=1e-6)
        self.ffn1 = GFFN(dim)
        self.norm3 = LayerNorm(dim, eps=1e-6)
        self.global_attn = ChannelAttention(dim, 'global', window_size)
        self.norm4 = LayerNorm(dim, eps=1e-6)
        self.ffn2 = GFFN(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C)."""
        x = self.meso_attn(self.norm1(x), x)
        x = self.ffn1(self.norm2(x), x)
        x = self.global_attn(self.norm3(x), x)
        return self.ffn2(self.norm4(x), x)
