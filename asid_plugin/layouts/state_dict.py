"""Infer the arguments of an ASID from its state dict, in our layout or the authors'."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .author_layout import block_numbers, from_author_layout, is_author_layout

OUR_KEYS = {
    'conv_first.weight',
    'body.0.units.0.sam.meso_layer.attn.query_key.weight',
    'body.0.cam.global_attn.qkv_dwconv.weight',
    'body.0.esa.conv_f.weight',
    'conv_up.weight',
}
"""Keys that every ASID has, and no other network."""
AUTHOR_KEYS = {
    'input.weight',
    'block0.residual_layer.0.SLA1.attn.to_qkv.weight',
    'block0.residual_layer.0.BlockC.cttn2.qkv_dwconv.weight',
    'block0.esa.conv_f.weight',
    'up.0.weight',
}
"""The same keys in the authors' layout."""

POSITION_BIAS = 'body.0.units.0.sam.meso_layer.attn.position_bias'
TEMPERATURE = 'body.0.cam.global_attn.temperature'
INPUT_RANGE = 'input_range'
WINDOW = 'window'
TO_CONVERT = 'convert it by `asid convert --from neosr IN OUT`'
NEOSR_WITHOUT_BIAS = (
    "the authors' keys without position biases mean neosr's ASID, whose input range is [0, 1], not [-1, 1]; "
    f'{TO_CONVERT}'
)


def markers(input_range: str, position_bias: bool, window_size: int) -> dict[str, Tensor]:
    """Entries of our state dicts that mark arguments by their presence and shape; the paper's network has none.

    Args:
        input_range: Argument of `ASID`; 'unit' is marked by [0, 1] at `INPUT_RANGE`.
        position_bias: Argument of `ASID`; if False, zeros of P x P at `WINDOW` give P.
        window_size: P.
    """
    entries = {} if input_range == 'signed' else {INPUT_RANGE: torch.tensor([0.0, 1.0])}
    return entries if position_bias else entries | {WINDOW: torch.zeros(window_size, window_size)}


def beyond_the_paper(arguments: Mapping[str, Any]) -> list[str]:
    """The arguments of an ASID that differ from all networks of the paper, such as 'input_range unit'."""
    papers = {'input_range': 'signed', 'position_bias': True, 'channel_scale': 'learned'}
    return [f'{name} {arguments[name]}' for name, value in papers.items() if arguments[name] != value]


def our_layout(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A flat state dict of either layout in our layout."""
    return from_author_layout(state_dict) if is_author_layout(state_dict) else dict(state_dict)


def is_asid(state_dict: Mapping[str, Any]) -> bool:
    """Whether the keys belong to an ASID, in our layout or the authors'; the values are not checked."""
    return any(keys <= state_dict.keys() for keys in (OUR_KEYS, AUTHOR_KEYS))


def is_neosr(state_dict: Mapping[str, Any]) -> bool:
    """Whether the keys are the authors' without position biases, which neosr's ASID lacks."""
    return is_author_layout(state_dict) and not any('rel_pos_bias' in key for key in state_dict)


def infer_arguments(state_dict: Mapping[str, Tensor]) -> dict[str, Any]:
    """Infer the arguments of `ASID` from a state dict.

    With one block, sharing 'inter' and 'none' are the same network; 'inter' is returned. The number of output channels
    is assumed to equal that of the input, if the width of the upsampler allows it.

    Args:
        state_dict: Flat, in our layout or the authors'.

    Raises:
        ValueError: The keys or shapes do not belong to an ASID.
    """
    weights = our_layout(state_dict)
    try:
        num_feat, num_in_ch = shape_of(weights, 'conv_first.weight', 4)[:2]
        num_up = shape_of(weights, 'conv_up.weight', 4)[0]
        window_size = _infer_window(weights)
    except KeyError as error:
        if is_neosr(state_dict):
            raise ValueError(NEOSR_WITHOUT_BIAS) from None
        raise ValueError(f'not the weights of an ASID: {error} is missing') from None
    num_block = count_blocks(weights)
    num_out_ch, upscale = infer_output(num_up, num_in_ch)
    return {
        'num_in_ch': num_in_ch,
        'num_out_ch': num_out_ch,
        'num_feat': num_feat,
        'num_block': num_block,
        'upscale': upscale,
        'window_size': window_size,
        'sharing': _infer_sharing(weights, num_block),
        'distillation': 'body.0.aggregate.weight' in weights,
        'channel_split': 'body.0.units.0.fuse.weight' in weights,
        'input_range': _infer_range(weights),
        'position_bias': WINDOW not in weights,
        'channel_scale': 'learned' if TEMPERATURE in weights else 'fixed',
    }


def shape_of(weights: Mapping[str, Tensor], key: str, ndim: int) -> tuple[int, ...]:
    """The shape of a tensor with `ndim` dimensions, each at least 1.

    Raises:
        KeyError: The tensor is missing.
        ValueError: It has another number of dimensions, or one of 0.
    """
    shape = tuple(weights[key].shape)
    if len(shape) != ndim or 0 in shape:
        raise ValueError(f'{key} has the shape {shape}; it should have {ndim} dimensions, each at least 1')
    return shape


def count_blocks(weights: Mapping[str, Tensor]) -> int:
    """The number of blocks, which must be complete.

    Raises:
        ValueError: A block is missing, or there are more blocks than the tensors allow.
    """
    numbers = block_numbers(weights, r'body\.(\d+)\.')
    missing = {str(n) for n in range(len(numbers))} - numbers
    if missing:
        extra = max(numbers - {str(n) for n in range(len(numbers))}, key=len)
        raise ValueError(f'there is a block body.{extra[:20]}, but no block body.{min(missing, key=int)}')
    return len(numbers)


def window_of(num_biases: int) -> int:
    """The window size P of a table with one bias for each of (2P - 1)^2 positions."""
    return (math.isqrt(num_biases) + 1) // 2


def _infer_window(weights: Mapping[str, Tensor]) -> int:
    if WINDOW in weights:
        return shape_of(weights, WINDOW, 2)[0]
    return window_of(shape_of(weights, POSITION_BIAS, 1)[0])


def _infer_range(weights: Mapping[str, Tensor]) -> str:
    if INPUT_RANGE not in weights:
        return 'signed'
    if shape_of(weights, INPUT_RANGE, 1) != (2,) or weights[INPUT_RANGE].tolist() != [0, 1]:
        raise ValueError(f'{INPUT_RANGE} must be 0 and 1, the only other range')
    return 'unit'


def infer_output(num_up: int, num_in_ch: int) -> tuple[int, int]:
    """Output channels and scale of an upsampler with `num_up` channels, at least 1, before its pixel shuffle."""
    num_out_ch = next(ch for ch in (num_in_ch, 3, 1, num_up) if math.sqrt(num_up / ch).is_integer())
    return num_out_ch, math.isqrt(num_up // num_out_ch)


def _infer_sharing(weights: Mapping[str, Tensor], num_block: int) -> str:
    def shares(block: int, unit: int) -> bool:
        attn = f'body.{block}.units.{unit}.sam.meso_layer.attn'
        return f'{attn}.value.weight' in weights and f'{attn}.query_key.weight' not in weights

    if shares(0, 1):
        return 'intra'
    return 'inter' if num_block == 1 or shares(1, 0) else 'none'
