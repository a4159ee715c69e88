"""Infer the arguments of Omni-SR from a state dict, and translate its released layout to ours and back."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from .author_layout import JUNK, LINEAR, block_numbers
from .state_dict import count_blocks, infer_output, shape_of, window_of

# Ours, theirs. {n}: group. The numbers are places in their block's list, where modules without weights count too.
LAYERS = (
    ('conv_first', 'input'),
    ('body.{n}.lm.conv_in', '{block}.0.fn.0'),
    ('body.{n}.lm.dwconv', '{block}.0.fn.2'),
    ('body.{n}.lm.gate.reduce', '{block}.0.fn.4.gate.1'),
    ('body.{n}.lm.gate.expand', '{block}.0.fn.4.gate.3'),
    ('body.{n}.lm.conv_out', '{block}.0.fn.5'),
    ('body.{n}.conv', 'residual_layer.{n}.residual_layer.1'),
    ('body.{n}.esa.conv1', 'residual_layer.{n}.esa.conv1'),
    ('body.{n}.esa.conv2', 'residual_layer.{n}.esa.conv2'),
    ('body.{n}.esa.conv3', 'residual_layer.{n}.esa.conv3'),
    ('body.{n}.esa.conv4', 'residual_layer.{n}.esa.conv4'),
    ('body.{n}.esa.conv_f', 'residual_layer.{n}.esa.conv_f'),
    ('conv_after_body', 'output'),
    ('conv_up', 'up.0'),
)
OSA_LAYERS = (
    ('norm1', '{spatial}.norm'),
    ('spatial_attn.qkv', '{spatial}.fn.to_qkv'),
    ('spatial_attn.proj', '{spatial}.fn.to_out.0'),
    ('norm2', '{ffn1}.norm'),
    ('ffn1.proj_in', '{ffn1}.fn.project_in'),
    ('ffn1.dwconv', '{ffn1}.fn.dwconv'),
    ('ffn1.proj_out', '{ffn1}.fn.project_out'),
    ('norm3', '{channel}.norm'),
    ('channel_attn.qkv', '{channel}.fn.qkv'),
    ('channel_attn.qkv_dwconv', '{channel}.fn.qkv_dwconv'),
    ('channel_attn.proj', '{channel}.fn.project_out'),
    ('norm4', '{ffn2}.norm'),
    ('ffn2.proj_in', '{ffn2}.fn.project_in'),
    ('ffn2.dwconv', '{ffn2}.fn.dwconv'),
    ('ffn2.proj_out', '{ffn2}.fn.project_out'),
)
PLACES = {
    'meso': {'spatial': 2, 'ffn1': 4, 'channel': 5, 'ffn2': 6},
    'global': {'spatial': 8, 'ffn1': 10, 'channel': 11, 'ffn2': 12},
}
POSITION_BIAS = ('spatial_attn.position_bias', '{spatial}.fn.rel_pos_bias.weight')
TEMPERATURE = ('channel_attn.temperature', '{channel}.fn.temperature')


def is_released_layout(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether the keys belong to Omni-SR's released files."""
    return 'input.weight' in state_dict and 'residual_layer.0.residual_layer.0.layer.0.fn.0.weight' in state_dict


def parameter_names(blocks: Iterable[str]) -> dict[str, str]:
    """Our parameter names to theirs, for a network with groups of these numbers."""
    names = {}
    for n in blocks:
        block = f'residual_layer.{n}.residual_layer.0.layer'
        for ours, theirs in LAYERS:
            for leaf in ('.weight', '.bias'):
                names[ours.format(n=n) + leaf] = theirs.format(n=n, block=block) + leaf
        for level, places in PLACES.items():
            fields = {part: f'{block}.{place}' for part, place in places.items()}
            leaves = [(ours + leaf, theirs + leaf) for ours, theirs in OSA_LAYERS for leaf in ('.weight', '.bias')]
            for ours, theirs in (*leaves, POSITION_BIAS, TEMPERATURE):
                names[f'body.{n}.{level}_osa.{ours}'] = theirs.format(**fields)
    return names


def from_released_layout(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate a released state dict to ours; unknown keys are unchanged.

    Args:
        state_dict: Flat; thop's `total_ops` and `total_params` entries are dropped.

    Raises:
        ValueError: A tensor has an impossible shape; the message names it.
    """
    blocks = block_numbers(state_dict, r'residual_layer\.(\d+)\.')
    names = {theirs: ours for ours, theirs in parameter_names(blocks).items()}
    result = {}
    for key, value in state_dict.items():
        if key.endswith('rel_pos_bias.weight'):
            if value.ndim != 2:
                raise ValueError(f'{key} has the shape {tuple(value.shape)}, which no Omni-SR has')
            value = value.T
        elif value.shape[2:] == (1, 1):  # 1x1 convolutions are linear layers here
            value = value.flatten(1)
        if not key.endswith(JUNK):
            result[names.get(key, key)] = value
    return result


def to_released_layout(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate our state dict to the released layout, the inverse of `from_released_layout`.

    Raises:
        ValueError: The network is not Omni-SR itself, but one with a channel-split ratio below 1.
    """
    ratio = infer_arguments(state_dict)['channel_split']
    if ratio != 1:
        raise ValueError(f'only a network with channel_split=1 is Omni-SR, not one with {ratio:g}')
    names = parameter_names(block_numbers(state_dict, r'body\.(\d+)\.'))
    result = {}
    for key, value in state_dict.items():
        name = names.get(key, key)
        if name.endswith('rel_pos_bias.weight'):
            value = value.T
        elif value.ndim == 2 and not LINEAR.search(name):
            value = value[:, :, None, None]
        result[name] = value
    return result


def our_layout(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A flat state dict of either layout in our layout."""
    return from_released_layout(state_dict) if is_released_layout(state_dict) else dict(state_dict)


def infer_arguments(state_dict: Mapping[str, Tensor]) -> dict[str, Any]:
    """Infer the arguments of `OmniSR` from a state dict.

    The number of output channels is assumed to equal that of the input, if the width of the upsampler allows it.

    Args:
        state_dict: Flat, in our layout or that of the released files.

    Raises:
        ValueError: The keys or shapes do not belong to an Omni-SR.
    """
    weights = our_layout(state_dict)
    try:
        num_feat, num_in_ch = shape_of(weights, 'conv_first.weight', 4)[:2]
        num_up = shape_of(weights, 'conv_up.weight', 4)[0]
        num_attn = shape_of(weights, 'body.0.meso_osa.norm1.weight', 1)[0]
        table = shape_of(weights, 'body.0.meso_osa.spatial_attn.position_bias', 2)[1]
    except KeyError as error:
        raise ValueError(f'not the weights of an Omni-SR: {error} is missing') from None
    num_out_ch, upscale = infer_output(num_up, num_in_ch)
    return {
        'num_in_ch': num_in_ch,
        'num_out_ch': num_out_ch,
        'num_feat': num_feat,
        'num_block': count_blocks(weights),
        'upscale': upscale,
        'window_size': window_of(table),
        'channel_split': num_attn / num_feat,
    }
