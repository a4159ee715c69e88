"""neosr's ASID once more, as plainly as facts allow: NCHW, one function per part, weights by the authors' names.

Nothing here is shared with `asid_plugin` or with `reference`, the paper's network.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


class Weights(dict):
    """A state dict that is narrowed by prefix."""

    def at(self, prefix: str) -> 'Weights':
        return Weights({k.removeprefix(f'{prefix}.'): v for k, v in self.items() if k.startswith(f'{prefix}.')})


def conv(x: Tensor, w: Weights, **kwargs: int) -> Tensor:
    return F.conv2d(x, w['weight'], w.get('bias'), **kwargs)


def depthwise(x: Tensor, w: Weights) -> Tensor:
    return conv(x, w, padding=1, groups=x.shape[1])


def norm(x: Tensor, w: Weights, eps: float) -> Tensor:
    return F.layer_norm(x.movedim(1, -1), w['weight'].shape, w['weight'], w['bias'], eps).movedim(-1, 1)


def local_block(x: Tensor, w: Weights) -> Tensor:
    y = F.gelu(depthwise(F.gelu(conv(x, w.at('net.fn.0'))), w.at('net.fn.2')))
    hidden = F.silu(y.mean((2, 3)) @ w['net.fn.4.gate.1.weight'].T)
    gate = torch.sigmoid(hidden @ w['net.fn.4.gate.3.weight'].T)
    return x + conv(y * gate[..., None, None], w.at('net.fn.5'))


def feed_forward(x: Tensor, w: Weights) -> Tensor:
    a, b = depthwise(conv(x, w.at('project_in')), w.at('dwconv')).chunk(2, 1)
    return conv(F.gelu(a) * b, w.at('project_out'))


def tokens_of(height: int, width: int, kind: str, p: int) -> list[Tensor]:
    """For each group, the places of its tokens in the flattened map."""
    places = torch.arange(height * width).view(height, width)
    if kind == 'window':
        groups = [places[i : i + p, j : j + p] for i in range(0, height, p) for j in range(0, width, p)]
    elif kind == 'grid of p x p':
        steps = height // p, width // p
        groups = [places[i :: steps[0], j :: steps[1]] for i in range(steps[0]) for j in range(steps[1])]
    else:
        groups = [places[i::p, j::p] for i in range(p) for j in range(p)]
    return [group.flatten() for group in groups]


def spatial_layer(x: Tensor, w: Weights, kind: str, p: int, given: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
    dim, used = x.shape[1], []
    flat, result = norm(x, w.at('norm'), 1e-5).flatten(2), torch.zeros_like(x.flatten(2))
    for number, places in enumerate(tokens_of(*x.shape[2:], kind, p)):
        tokens = flat[:, :, places].transpose(1, 2)
        if given is None:
            q, k, v = (tokens @ w['attn.to_qkv.weight'].T).chunk(3, -1)
            scores = q @ k.transpose(1, 2) / math.sqrt(dim)
            if 'attn.rel_pos_bias.weight' in w:
                row, column = torch.arange(p * p) // p, torch.arange(p * p) % p
                dy, dx = row[:, None] - row, column[:, None] - column
                scores = scores + w['attn.rel_pos_bias.weight'][(dy + p - 1) * (2 * p - 1) + dx + p - 1, 0]
            matrix = scores.softmax(-1)
        else:
            matrix, v = given[number], tokens @ w['attn.to_v.weight'].T
        used.append(matrix)
        result[:, :, places] = (matrix @ v @ w['attn.to_out.0.weight'].T).transpose(1, 2)
    x = x + result.view_as(x)
    return x + feed_forward(norm(x, w.at('cnorm'), 1e-6), w.at('gfn')), used


def channel_attention(x: Tensor, w: Weights, kind: str, p: int, flash: bool) -> Tensor:
    qkv = depthwise(conv(x, w.at('qkv')), w.at('qkv_dwconv')).flatten(2)
    result = torch.zeros_like(x.flatten(2))
    for places in tokens_of(*x.shape[2:], kind, p):
        q, k, v = qkv[:, :, places].chunk(3, 1)
        q, k = q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True)
        if flash:
            result[:, :, places] = F.scaled_dot_product_attention(q, k, v)
        else:
            result[:, :, places] = (q @ k.transpose(1, 2) * w['temperature'][0]).softmax(-1) @ v
    return conv(result.view_as(x), w.at('project_out'))


def channel_part(x: Tensor, w: Weights, p: int, flash: bool) -> Tensor:
    for number, kind in (1, 'window'), (2, 'all of one place in their window'):
        x = x + channel_attention(norm(x, w.at(f'canorm{number}'), 1e-6), w.at(f'cttn{number}'), kind, p, flash)
        x = x + feed_forward(norm(x, w.at(f'cnorm{number}'), 1e-6), w.at(f'gfn{number}'))
    return x


def block(x: Tensor, w: Weights, p: int, flash: bool, given: list | None) -> tuple[Tensor, list]:
    part, kept, used = x.shape[1] // 4, [], []
    for number in (1, 2, 3):
        x = local_block(x, w.at(f'LB{number}'))
        aside, x = x[:, :part], x[:, part:]
        for letter, kind in ('L', 'window'), ('G', 'grid of p x p'):
            shared = given and given[len(used)]
            x, matrices = spatial_layer(x, w.at(f'S{letter}A{number}'), kind, p, shared)
            used.append(matrices)
        if number < 3:
            x = conv(torch.cat([x, aside], 1), w.at(f'pw{number}'))
            kept.append(x[:, :part])
            x = x[:, part:]
    x = conv(torch.cat([*kept, x, aside], 1), w.at('pw3'))
    return channel_part(x, w.at('BlockC'), p, flash), used


def esa(x: Tensor, w: Weights) -> Tensor:
    first = conv(x, w.at('conv1'))
    low = conv(F.max_pool2d(conv(first, w.at('conv2'), stride=2), 7, 3), w.at('conv3'), padding=1)
    low = F.interpolate(low, x.shape[2:], mode='bilinear', align_corners=False)
    return x * conv(low + conv(first, w.at('conv_f')), w.at('conv4')).sigmoid()


def asid(x: Tensor, state_dict: dict[str, Tensor], scale: int, flash: bool, window_size: int = 8) -> Tensor:
    """The picture that `asid` or `asid_d8` makes of one in [0, 1]; `pe` is on where there are position biases."""
    w, (height, width), matrices = Weights(state_dict), x.shape[2:], None
    x = F.pad(x, (0, -width % window_size, 0, -height % window_size))
    shallow = deep = conv(x, w.at('input'), padding=1)
    for number in range(len({key.split('.')[0] for key in w if key.startswith('block')})):
        inner = w.at(f'block{number}.residual_layer').at('0') if number == 0 else w.at(f'block{number}.residual_layer')
        y, used = block(deep, inner, window_size, flash, matrices)
        matrices = matrices or used
        deep = esa(conv(y, w.at(f'block{number}.res_end')) + deep, w.at(f'block{number}.esa'))
    y = F.pixel_shuffle(conv(conv(deep, w.at('output'), padding=1) + shallow, w.at('up.0'), padding=1), scale)
    return y[:, :, : height * scale, : width * scale]
