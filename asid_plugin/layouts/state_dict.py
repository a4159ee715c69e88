"""What an ASID state dict says of its network, in our layout or the authors'."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .author_layout import from_author_layout, is_author_layout

OUR_KEYS = {
    'conv_first.weight',
    'body.0.units.0.sam.meso_layer.attn.position_bias',
    'body.0.cam.global_attn.temperature',
    'body.0.esa.conv_f.weight',
    'conv_up.weight',
}
"""Some that every ASID has, whatever its arguments, and no other network."""
AUTHOR_KEYS = {
    'input.weight',
    'block0.residual_layer.0.SLA1.attn.rel_pos_bias.weight',
    'block0.residual_layer.0.BlockC.cttn2.temperature',
    'block0.esa.conv_f.weight',
    'up.0.weight',
}
"""The same ones in the authors' layout."""


def our_layout(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A flat state dict in our layout, be it in ours or the authors'."""
    return from_author_layout(state_dict) if is_author_layout(state_dict) else dict(state_dict)


def is_asid(state_dict: Mapping[str, Any]) -> bool:
    """Whether the keys are those of an ASID, in our layout or the authors'; the values are not looked at."""
    return any(keys <= state_dict.keys() for keys in (OUR_KEYS, AUTHOR_KEYS))


def infer_arguments(state_dict: Mapping[str, Tensor]) -> dict[str, Any]:
    """Find the arguments of `ASID` that a state dict was made with.

    With one block, sharing 'inter' and 'none' are the same network; 'inter' is returned. There are taken to be as many
    output as input channels, if the upsampler's width allows it.

    Args:
        state_dict: Flat, in our layout or the authors'.

    Raises:
        ValueError: The keys are not those of an ASID.
    """
    weights = our_layout(state_dict)
    try:
        num_feat, num_in_ch = weights['conv_first.weight'].shape[:2]
        num_up = weights['conv_up.weight'].shape[0]
        table = weights['body.0.units.0.sam.meso_layer.attn.position_bias']
    except KeyError as error:
        raise ValueError(f'not the weights of an ASID: there is no {error}') from None
    num_block = 1 + max(int(key.split('.')[1]) for key in weights if key.startswith('body.'))
    num_out_ch, upscale = infer_output(num_up, num_in_ch)
    return {
        'num_in_ch': num_in_ch,
        'num_out_ch': num_out_ch,
        'num_feat': num_feat,
        'num_block': num_block,
        'upscale': upscale,
        'window_size': (math.isqrt(table.numel()) + 1) // 2,
        'sharing': _infer_sharing(weights, num_block),
        'distillation': 'body.0.aggregate.weight' in weights,
        'channel_split': 'body.0.units.0.fuse.weight' in weights,
    }


def infer_output(num_up: int, num_in_ch: int) -> tuple[int, int]:
    """Output channels and scale of an upsampler with `num_up` channels before its pixel shuffle."""
    num_out_ch = next(ch for ch in (num_in_ch, 3, 1, num_up) if math.sqrt(num_up / ch).is_integer())
    return num_out_ch, math.isqrt(num_up // num_out_ch)


def _infer_sharing(weights: Mapping[str, Tensor], num_block: int) -> str:
    def shares(block: int, unit: int) -> bool:
        attn = f'body.{block}.units.{unit}.sam.meso_layer.attn'
        return f'{attn}.value.weight' in weights and f'{attn}.query_key.weight' not in weights

    if shares(0, 1):
        return 'intra'
    return 'inter' if num_block == 1 or shares(1, 0) else 'none'
