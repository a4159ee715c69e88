"""Omni-SR (Wang et al., CVPR 2023), with the channel-split ratio that Figure 1 of ASID's supplement varies.

The supplement states how many channels enter attention, but not how the others bypass it. Here it works as in ASID:
after the local convolutions the first channels bypass attention, and the others pass through all attention and
feed-forward networks of the block. Both are concatenated, the attended channels first, before the 1x1 convolution at
the end of the block. With a ratio of 1 no channel bypasses attention, and the network is Omni-SR.

Features are NHWC, (B, H, W, C), with H and W multiples of the window size; a token is one pixel.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asid_plugin.layouts.omnisr_layout import infer_arguments, our_layout
from asid_plugin.registry import ARCH_REGISTRY

from .asid_arch import check_sizes
from .attention import GROUPINGS, l2_normalize, relative_position_index
from .convolution import Conv1x1, DepthwiseConv, NHWCConv2d
from .local import ESA, GFFN, LM
from .norm import LayerNorm
from .windowed import StateDictReader, WindowedSR

NUM_HEADS = 4


class MultiHeadSpatialAttention(nn.Module):
    """Self-attention within groups of P x P tokens, with a learned bias per head and relative position.

    Args:
        dim: Channels, a multiple of the heads.
        level: 'meso' (a group is a window of P x P neighbours) or 'global' (a P x P grid over the whole image).
        window_size: P.
        num_heads: Heads.
    """

    position_index: Tensor

    def __init__(self, dim: int, level: str, window_size: int = 8, num_heads: int = NUM_HEADS) -> None:
        super().__init__()
        self.dim = dim
        self.num_heads = num_heads
        self.group = (window_size, window_size)
        self.partition, self.reverse = GROUPINGS[level]
        self.qkv = Conv1x1(dim, 3 * dim, bias=False)
        self.position_bias = nn.Parameter(torch.randn(num_heads, (2 * window_size - 1) ** 2))
        self.register_buffer('position_index', relative_position_index(window_size), persistent=False)
        self.proj = Conv1x1(dim, dim, bias=False)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C), to which a residual of that shape is added."""
        tokens = self.partition(self.qkv(x), self.group).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = tokens.permute(2, 0, 3, 1, 4).unbind()  # each (groups, heads, P², C/heads)
        bias = self.position_bias[None, :, self.position_index].to(q.dtype)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        y = self.proj(y.transpose(1, 2).flatten(2)[None])
        return self.reverse(y, self.group, residual)


class MultiHeadChannelAttention(nn.Module):
    """Attention between the channels of a head: per group of tokens, matrices of cosine similarities.

    Args:
        dim: Channels, a multiple of the heads.
        level: 'meso' (a group is a window of P x P neighbours) or 'global' (all pixels at one place in their window).
        window_size: P.
        num_heads: Heads.
    """

    def __init__(self, dim: int, level: str, window_size: int = 8, num_heads: int = NUM_HEADS) -> None:
        super().__init__()
        self.dim = dim
        self.num_heads = num_heads
        self.level = level
        self.window_size = window_size
        self.partition, self.reverse = GROUPINGS[level]
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.qkv = Conv1x1(dim, 3 * dim, bias=False)
        self.qkv_dwconv = DepthwiseConv(3 * dim, bias=False)
        self.proj = Conv1x1(dim, dim, bias=False)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C), to which a residual of that shape is added."""
        size, p = x.shape[1:3], self.window_size
        # the global groups are not those of spatial attention, but P x P groups of H/P x W/P tokens
        group = (p, p) if self.level == 'meso' else (size[0] // p, size[1] // p)
        tokens = self.partition(self.qkv_dwconv(self.qkv(x)), group).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = tokens.permute(2, 0, 3, 4, 1).unbind()  # each (groups, heads, C/heads, tokens)
        q, k = l2_normalize(q, dim=-1), l2_normalize(k, dim=-1)
        attn = (q @ k.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        y = (attn @ v).flatten(1, 2).transpose(1, 2)
        return self.reverse(self.proj(y[None]), group, residual)


class OSA(nn.Module):
    """Omni self-attention at one level: spatial attention, GFFN, channel attention, GFFN, all residual.

    Args:
        dim: Channels, a multiple of the heads.
        level: 'meso' or 'global', as in the two attentions.
        window_size: P.
    """

    def __init__(self, dim: int, level: str, window_size: int = 8) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim, eps=1e-5)
        self.spatial_attn = MultiHeadSpatialAttention(dim, level, window_size)
        self.norm2 = LayerNorm(dim, eps=1e-6)
        self.ffn1 = GFFN(dim)
        self.norm3 = LayerNorm(dim, eps=1e-6)
        self.channel_attn = MultiHeadChannelAttention(dim, level, window_size)
        self.norm4 = LayerNorm(dim, eps=1e-6)
        self.ffn2 = GFFN(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C)."""
        x = self.spatial_attn(self.norm1(x), x)
        x = self.ffn1(self.norm2(x), x)
        x = self.channel_attn(self.norm3(x), x)
        return self.ffn2(self.norm4(x), x)


class OSAG(nn.Module):
    """Omni-scale aggregation group: local, meso and global interaction, a 1x1 convolution, the residual, ESA.

    Args:
        dim: Channels C.
        num_attn: Channels that pass through the meso and the global OSA; the others bypass them.
        window_size: P.
    """

    def __init__(self, dim: int, num_attn: int, window_size: int = 8) -> None:
        super().__init__()
        self.split = [dim - num_attn, num_attn]
        self.lm = LM(dim)
        self.meso_osa = OSA(num_attn, 'meso', window_size)
        self.global_osa = OSA(num_attn, 'global', window_size)
        self.conv = Conv1x1(dim, dim)
        self.esa = ESA(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C)."""
        local, y = self.lm(x).split(self.split, dim=-1)
        y = self.global_osa(self.meso_osa(y))
        return self.esa(self.conv(torch.cat([y, local], dim=-1), 'add', x))


@ARCH_REGISTRY.register()
class OmniSR(WindowedSR):
    """Omni-SR with attention on a share of the channels.

    Args:
        num_in_ch: Channels of the input image.
        num_out_ch: Channels of the output image.
        num_feat: Width C, a multiple of 4 and at least 16.
        num_block: Groups (OSAG): 5 is Omni-SR, 3 the network of the supplement.
        upscale: Scale k.
        window_size: P, side of the meso windows and of the global grid, 2 to 32.
        channel_split: Ratio r of the channels that enter attention, above 0 and at most 1; r * C is a multiple of the
            four heads.

    Raises:
        ValueError: An argument out of range; the message names it.
    """

    reader = StateDictReader('Omni-SR', our_layout, infer_arguments)

    def __init__(
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        num_feat: int = 64,
        num_block: int = 5,
        upscale: int = 4,
        window_size: int = 8,
        channel_split: float = 1.0,
    ) -> None:
        sizes = {'num_in_ch': num_in_ch, 'num_out_ch': num_out_ch, 'num_feat': num_feat, 'num_block': num_block}
        check_sizes(sizes | {'upscale': upscale, 'window_size': window_size})
        num_attn = attention_width(num_feat, channel_split)
        super().__init__(upscale, window_size, **sizes, channel_split=channel_split)

        self.conv_first = NHWCConv2d(num_in_ch, num_feat, 3, padding=1)
        self.body = nn.Sequential(*(OSAG(num_feat, num_attn, window_size) for _ in range(num_block)))
        self.conv_after_body = NHWCConv2d(num_feat, num_feat, 3, padding=1)
        self.conv_up = NHWCConv2d(num_feat, num_out_ch * upscale**2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Upscale images of any size.

        Args:
            x: (B, num_in_ch, H, W), in [0, 1].

        Returns:
            (B, num_out_ch, kH, kW), about [0, 1], not clamped.
        """
        height, width = x.shape[2:]
        shallow = self.conv_first(self.pad(x).permute(0, 2, 3, 1))
        deep = self.conv_after_body(self.body(shallow))
        out = self.conv_up(shallow + deep).permute(0, 3, 1, 2)
        return F.pixel_shuffle(out, self.upscale)[..., : height * self.upscale, : width * self.upscale]


def attention_width(num_feat: int, channel_split: float) -> int:
    """Channels that enter attention; raises the `ValueError` that `OmniSR` documents for the ratio."""
    is_number = isinstance(channel_split, (int, float)) and not isinstance(channel_split, bool)
    if is_number and 0 < channel_split <= 1:
        width = round(channel_split * num_feat)
        if math.isclose(width, channel_split * num_feat) and width > 0 and width % NUM_HEADS == 0:
            return width
    raise ValueError(
        f'channel_split must be above 0, at most 1, and channel_split * num_feat a multiple of {NUM_HEADS}, '
        f'got {channel_split!r} with num_feat={num_feat}'
    )
