"""Translate the state dict of the authors' released checkpoints to ours and back."""

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import product

import torch
from torch import Tensor

# Ours, theirs. {n}: block. {u}, {U}: unit, counted from 0, from 1. {level}, {L}, {i}: meso, L, 1 or global, G, 2.
# {r}: the inner part of a block, which has an extra index in the first one.
LAYERS = (
    ('conv_first', 'input'),
    ('body.{n}.units.{u}.lm.conv_in', '{r}.LB{U}.net.fn.0'),
    ('body.{n}.units.{u}.lm.dwconv', '{r}.LB{U}.net.fn.2'),
    ('body.{n}.units.{u}.lm.gate.reduce', '{r}.LB{U}.net.fn.4.gate.1'),
    ('body.{n}.units.{u}.lm.gate.expand', '{r}.LB{U}.net.fn.4.gate.3'),
    ('body.{n}.units.{u}.lm.conv_out', '{r}.LB{U}.net.fn.5'),
    ('body.{n}.units.{u}.sam.{level}_layer.norm1', '{r}.S{L}A{U}.norm'),
    ('body.{n}.units.{u}.sam.{level}_layer.attn.query_key_value', '{r}.S{L}A{U}.attn.to_qkv'),
    ('body.{n}.units.{u}.sam.{level}_layer.attn.value', '{r}.S{L}A{U}.attn.to_v'),
    ('body.{n}.units.{u}.sam.{level}_layer.attn.proj', '{r}.S{L}A{U}.attn.to_out.0'),
    ('body.{n}.units.{u}.sam.{level}_layer.attn.position_bias', '{r}.S{L}A{U}.attn.rel_pos_bias.weight'),
    ('body.{n}.units.{u}.sam.{level}_layer.norm2', '{r}.S{L}A{U}.cnorm'),
    ('body.{n}.units.{u}.sam.{level}_layer.ffn.proj_in', '{r}.S{L}A{U}.gfn.project_in'),
    ('body.{n}.units.{u}.sam.{level}_layer.ffn.dwconv', '{r}.S{L}A{U}.gfn.dwconv'),
    ('body.{n}.units.{u}.sam.{level}_layer.ffn.proj_out', '{r}.S{L}A{U}.gfn.project_out'),
    ('body.{n}.units.0.fuse', '{r}.pw1'),
    ('body.{n}.units.1.fuse', '{r}.pw2'),
    ('body.{n}.aggregate', '{r}.pw3'),
    ('body.{n}.cam.norm1', '{r}.BlockC.canorm1'),
    ('body.{n}.cam.norm2', '{r}.BlockC.cnorm1'),
    ('body.{n}.cam.norm3', '{r}.BlockC.canorm2'),
    ('body.{n}.cam.norm4', '{r}.BlockC.cnorm2'),
    ('body.{n}.cam.{level}_attn.temperature', '{r}.BlockC.cttn{i}.temperature'),
    ('body.{n}.cam.{level}_attn.qkv', '{r}.BlockC.cttn{i}.qkv'),
    ('body.{n}.cam.{level}_attn.qkv_dwconv', '{r}.BlockC.cttn{i}.qkv_dwconv'),
    ('body.{n}.cam.{level}_attn.proj', '{r}.BlockC.cttn{i}.project_out'),
    ('body.{n}.cam.ffn{i}.proj_in', '{r}.BlockC.gfn{i}.project_in'),
    ('body.{n}.cam.ffn{i}.dwconv', '{r}.BlockC.gfn{i}.dwconv'),
    ('body.{n}.cam.ffn{i}.proj_out', '{r}.BlockC.gfn{i}.project_out'),
    ('body.{n}.conv', 'block{n}.res_end'),
    ('body.{n}.esa.conv1', 'block{n}.esa.conv1'),
    ('body.{n}.esa.conv2', 'block{n}.esa.conv2'),
    ('body.{n}.esa.conv3', 'block{n}.esa.conv3'),
    ('body.{n}.esa.conv4', 'block{n}.esa.conv4'),
    ('body.{n}.esa.conv_f', 'block{n}.esa.conv_f'),
    ('conv_after_body', 'output'),
    ('conv_up', 'up.0'),
)
JUNK = ('total_ops', 'total_params')
"""Last parts of the keys that thop adds to a checkpoint."""
LINEAR = re.compile(r'\.(gate\.\d|to_qkv|to_v|to_out\.0)\.weight$')
"""Their two-dimensional weights; all other two-dimensional weights of ours are 1x1 convolutions there."""


def is_author_layout(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether the keys belong to the authors' network."""
    return 'input.weight' in state_dict and 'block0.res_end.weight' in state_dict


def layer_names(blocks: Iterable[str]) -> dict[str, str]:
    """Our layer names to theirs, for a network with blocks of these numbers."""
    names: dict[str, str] = {}
    for n, u, (level, letter, i) in product(blocks, range(3), (('meso', 'L', 1), ('global', 'G', 2))):
        inner = f'block{n}.residual_layer' + ('.0' if n == '0' else '')
        fields = {'n': n, 'u': u, 'U': u + 1, 'level': level, 'L': letter, 'i': i, 'r': inner}
        names |= {ours.format(**fields): theirs.format(**fields) for ours, theirs in LAYERS}
    return names


def from_author_layout(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate the authors' state dict to ours; unknown keys are unchanged.

    Args:
        state_dict: Flat, as in their released files; thop's `total_ops` and `total_params` entries are dropped.

    Raises:
        ValueError: A tensor has an impossible shape; the message names it.
    """
    names = {theirs: ours for ours, theirs in layer_names(block_numbers(state_dict, r'block(\d+)\.')).items()}
    result = {}
    for key, value in state_dict.items():
        if key.endswith(JUNK):
            continue
        name, leaf = _split(key, names)
        try:
            if name.endswith('query_key_value'):
                width = value.shape[0] // 3
                query_key, own = value.split([2 * width, width])
                result[name.removesuffix('_value') + leaf] = query_key
                result[name.replace('query_key_', '') + leaf] = own
            else:
                result[name + leaf] = _squeeze(key, value)
        except (IndexError, RuntimeError):
            raise ValueError(f'{key} has the shape {tuple(value.shape)}, which no ASID has') from None
    return result


def to_author_layout(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate our state dict to the authors', the inverse of `from_author_layout`."""
    names = layer_names(block_numbers(state_dict, r'body\.(\d+)\.'))
    result = {}
    for key, value in state_dict.items():
        name, leaf = _split(key, names)
        if key.endswith('query_key.weight'):
            name, leaf = _split(key.replace('query_key', 'query_key_value'), names)
            value = torch.cat([value, state_dict[key.replace('query_key', 'value')]])
        elif key.endswith('attn.value.weight') and key.replace('value', 'query_key') in state_dict:
            continue
        result[name + leaf] = _unsqueeze(name + leaf, value)
    return result


def block_numbers(state_dict: Collection[str], pattern: str) -> set[str]:
    """The numbers that `pattern` finds at the starts of keys.

    Raises:
        ValueError: There are more blocks than the keys allow; every block has more than twenty.
    """
    numbers = {match[1] for key in state_dict if (match := re.match(pattern, key))}
    if len(numbers) > 8 + len(state_dict) // 20:
        raise ValueError(f'{len(state_dict)} tensors cannot form {len(numbers)} blocks')
    return numbers


def _split(key: str, names: Mapping[str, str]) -> tuple[str, str]:
    """Translate the layer part of a key; parameters outside of layers (temperature, position_bias) match in full."""
    if key in names:
        return names[key], ''
    layer, _, leaf = key.rpartition('.')
    return names.get(layer, layer), f'.{leaf}'


def _squeeze(key: str, value: Tensor) -> Tensor:
    """Their shape to ours: 1x1 convolutions are linear layers here, scalars have no axes, the bias table has one."""
    if key.endswith('temperature'):
        return value.reshape(())
    if key.endswith('rel_pos_bias.weight'):
        return value.flatten()
    return value.flatten(1) if value.shape[2:] == (1, 1) else value


def _unsqueeze(key: str, value: Tensor) -> Tensor:
    """Our shape to theirs, the inverse of `_squeeze`."""
    if key.endswith('temperature'):
        return value.reshape(1, 1, 1)
    if key.endswith('rel_pos_bias.weight'):
        return value[:, None]
    return value[:, :, None, None] if value.ndim == 2 and not LINEAR.search(key) else value
