"""ASID, the attention-sharing information distillation network (Park, Soh, Cho; AAAI 2025), Figure 2."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any, Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from asid_plugin.layouts.state_dict import infer_arguments, markers, our_layout
from asid_plugin.registry import ARCH_REGISTRY

from .attention import ChannelAttention, SpatialAttention
from .convolution import NHWCConv2d
from .idb import IDB
from .windowed import StateDictReader, WindowedSR

Sharing = Literal['inter', 'intra', 'none']
SHARING = get_args(Sharing)
InputRange = Literal['signed', 'unit']
ChannelScale = Literal['learned', 'fixed']
CHOICES = {'sharing': SHARING, 'input_range': get_args(InputRange), 'channel_scale': get_args(ChannelScale)}
MOST_IN_WINDOW = 32
"""Largest side of a window; the memory for attention grows with its fourth power."""


@ARCH_REGISTRY.register()
class ASID(WindowedSR):
    """Lightweight super-resolution Transformer; every variant of the paper is a choice of arguments.

    Args:
        num_in_ch: Channels of the input image.
        num_out_ch: Channels of the output image.
        num_feat: Width C, a multiple of 4 and at least 16.
        num_block: Blocks N: 3 is ASID, 8 is ASID-D8.
        upscale: Scale k.
        window_size: P, side of the meso windows and of the global grid, 2 to 32.
        sharing: Sharing of attention matrices: 'inter', the first block computes them for all (the paper); 'intra', the
            first SAM of each block for its block (Table 4); 'none', every SAM for itself.
        distillation: False makes each block one unit of full width (Table 3's Baseline).
        channel_split: False sends every channel of a unit through its SAM (Table 3's ID).
        input_range: Input range of the first layer: 'signed', [-1, 1] (the paper's), or 'unit', [0, 1].
        position_bias: False leaves the relative position bias out of spatial attention.
        channel_scale: Factor of the similarities in channel attention: 'learned', a temperature (the paper's), or
            'fixed', 1 / sqrt(tokens of a group), as in scaled dot-product attention.

    The last three are for the ASID of neosr, which has 'unit' always, and the others by its options.

    Raises:
        ValueError: An argument out of range, or two that exclude each other; the message names it.
    """

    reader = StateDictReader('ASID', our_layout, infer_arguments)

    def __init__(
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        num_feat: int = 48,
        num_block: int = 3,
        upscale: int = 2,
        window_size: int = 8,
        sharing: Sharing = 'inter',
        distillation: bool = True,
        channel_split: bool = True,
        input_range: InputRange = 'signed',
        position_bias: bool = True,
        channel_scale: ChannelScale = 'learned',
    ) -> None:
        sizes = {'num_in_ch': num_in_ch, 'num_out_ch': num_out_ch, 'num_feat': num_feat, 'num_block': num_block}
        check_sizes(sizes | {'upscale': upscale, 'window_size': window_size})
        check_choices(sharing=sharing, input_range=input_range, channel_scale=channel_scale)
        check_variant(sharing, distillation, channel_split)
        variant = {'sharing': sharing, 'distillation': distillation, 'channel_split': channel_split}
        neosr = {'input_range': input_range, 'position_bias': position_bias, 'channel_scale': channel_scale}
        super().__init__(upscale, window_size, **sizes, **variant, **neosr)

        self.conv_first = NHWCConv2d(num_in_ch, num_feat, 3, padding=1)
        self.body = nn.ModuleList(
            IDB(num_feat, window_size, shared, distillation, channel_split)
            for shared in sharing_plan(sharing, num_block)
        )
        self.inter = sharing == 'inter'
        self.conv_after_body = NHWCConv2d(num_feat, num_feat, 3, padding=1)
        self.conv_up = NHWCConv2d(num_feat, num_out_ch * upscale**2, 3, padding=1)

        self.signed = input_range == 'signed'
        leave_out(self, bias=not position_bias, temperature=channel_scale == 'fixed')
        for name, marker in markers(input_range, position_bias, window_size).items():
            self.register_buffer(name, marker)

    def forward(self, x: Tensor) -> Tensor:
        """Upscale images of any size.

        Args:
            x: (B, num_in_ch, H, W), in [0, 1].

        Returns:
            (B, num_out_ch, kH, kW), about [0, 1], not clamped.
        """
        height, width = x.shape[2:]
        x = 2 * x - 1 if self.signed else x
        shallow = self.conv_first(self.pad(x).permute(0, 2, 3, 1))
        deep = self.forward_features(shallow)
        out = self.conv_up(shallow + deep).permute(0, 3, 1, 2)
        out = F.pixel_shuffle(out, self.upscale)[..., : height * self.upscale, : width * self.upscale]
        return out / 2 + 0.5 if self.signed else out

    def forward_features(self, x: Tensor) -> Tensor:
        """Equation 2: F_0 to F_d, both (B, H, W, C)."""
        attn = None
        for block in self.body:
            x, used = block(x, attn)
            attn = used if self.inter else None
        return self.conv_after_body(x)


def leave_out(net: nn.Module, bias: bool, temperature: bool) -> None:
    """Remove the position biases, the temperatures, or both from the attention of a network."""
    for layer in net.modules():
        if bias and isinstance(layer, SpatialAttention):
            layer.position_bias = None
        if temperature and isinstance(layer, ChannelAttention):
            layer.temperature = None


def check_sizes(sizes: Mapping[str, Any]) -> None:
    """Raise the `ValueError` that `ASID` documents for its numbers."""
    least = dict.fromkeys(sizes, 1) | {'num_feat': 16, 'window_size': 2}
    for name, value in sizes.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least[name]:
            raise ValueError(f'{name} must be a whole number of at least {least[name]}, got {value!r}')
    if sizes['window_size'] > MOST_IN_WINDOW:
        raise ValueError(f'window_size must be at most {MOST_IN_WINDOW}, got {sizes["window_size"]}')
    if sizes['num_feat'] % 4:
        raise ValueError(f'num_feat must be a multiple of 4, got {sizes["num_feat"]}')


def check_choices(**chosen: str) -> None:
    """Raise the `ValueError` that `ASID` documents for its choices."""
    for name, value in chosen.items():
        if value not in CHOICES[name]:
            raise ValueError(f'{name} must be one of {", ".join(CHOICES[name])}, got {value!r}')


def check_variant(sharing: str, distillation: bool, channel_split: bool) -> None:
    """Raise the `ValueError` that `ASID` documents for its variants."""
    if not distillation and channel_split:
        raise ValueError('channel_split needs distillation: with distillation=False use channel_split=False')
    if not distillation and sharing == 'intra':
        raise ValueError("sharing='intra' needs distillation: without it a block has one SAM and nothing to share")


def sharing_plan(sharing: str, num_block: int) -> list[tuple[bool, bool, bool]]:
    """For each block, whether each of its three SAMs uses shared matrices."""
    if sharing == 'inter':
        return [(False,) * 3] + [(True,) * 3] * (num_block - 1)
    return [(False, sharing == 'intra', sharing == 'intra')] * num_block
