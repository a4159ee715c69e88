"""The network once more, as plainly as facts allow: NCHW, one function per paper part, weights by our names.

There are two kinds of attention: `PIXEL_BY_PIXEL` spells out which tokens are in a group, and is what the tests hold
the network against; `VECTORISED` is what one would write first, and is what the benchmark holds it against.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Weights(dict):
    """A state dict that is narrowed by prefix."""

    def at(self, prefix: str) -> 'Weights':
        return Weights({k.removeprefix(f'{prefix}.'): v for k, v in self.items() if k.startswith(f'{prefix}.')})

    def has(self, prefix: str) -> bool:
        return any(key.startswith(f'{prefix}.') for key in self)


def conv1x1(x: Tensor, w: Weights) -> Tensor:
    return F.conv2d(x, w['weight'][:, :, None, None], w.get('bias'))


def conv(x: Tensor, w: Weights, **kwargs: int) -> Tensor:
    return F.conv2d(x, w['weight'], w.get('bias'), **kwargs)


def layer_norm(x: Tensor, w: Weights, eps: float) -> Tensor:
    mean = x.mean(1, keepdim=True)
    var = (x - mean).square().mean(1, keepdim=True)
    return (x - mean) / (var + eps).sqrt() * w['weight'][:, None, None] + w['bias'][:, None, None]


def depthwise(x: Tensor, w: Weights) -> Tensor:
    return conv(x, w, padding=1, groups=x.shape[1])


def lm(x: Tensor, w: Weights) -> Tensor:
    y = F.gelu(depthwise(F.gelu(conv1x1(x, w.at('conv_in'))), w.at('dwconv')))
    gate = F.linear(F.silu(F.linear(y.mean((2, 3)), w['gate.reduce.weight'])), w['gate.expand.weight']).sigmoid()
    return x + conv1x1(y * gate[:, :, None, None], w.at('conv_out'))


def gffn(x: Tensor, w: Weights) -> Tensor:
    a, b = depthwise(conv1x1(x, w.at('proj_in')), w.at('dwconv')).chunk(2, 1)
    return conv1x1(F.gelu(a) * b, w.at('proj_out'))


def groups_of_tokens(x: Tensor, level: str, p: int, channel: bool) -> list[tuple[Tensor, Tensor]]:
    """Row and column indices of each group's tokens, spelled out pixel by pixel."""
    h, w = x.shape[2:]
    ys, xs = torch.arange(h), torch.arange(w)
    if level == 'meso':
        rows, columns = ys.reshape(-1, p), xs.reshape(-1, p)
    elif channel:
        rows, columns = ys.reshape(-1, p).T, xs.reshape(-1, p).T
    else:
        rows, columns = ys.reshape(p, -1).T, xs.reshape(p, -1).T
    return [(r.repeat_interleave(len(c)), c.repeat(len(r))) for r in rows for c in columns]


def spatial_attention(
    x: Tensor, w: Weights, level: str, p: int, shared: list[Tensor] | None
) -> tuple[Tensor, list[Tensor]]:
    dim, out, used = x.shape[1], torch.zeros_like(x), []
    if shared is None:
        bias = torch.empty(p * p, p * p, dtype=x.dtype)
        for i in range(p * p):
            for j in range(p * p):
                dy, dx = i // p - j // p, i % p - j % p
                bias[i, j] = w['position_bias'][(dy + p - 1) * (2 * p - 1) + dx + p - 1]
    for g, (rows, columns) in enumerate(groups_of_tokens(x, level, p, channel=False)):
        tokens = x[:, :, rows, columns].transpose(1, 2)  # B, P², C
        if shared is None:
            q, k = F.linear(tokens, w['query_key.weight']).split(dim, -1)
            attn = (q @ k.transpose(1, 2) * dim**-0.5 + bias).softmax(-1)
        else:
            attn = shared[g]
        used.append(attn)
        y = F.linear(attn @ F.linear(tokens, w['value.weight']), w['proj.weight'])
        out[:, :, rows, columns] = y.transpose(1, 2)
    return out, used


def channel_attention(x: Tensor, w: Weights, level: str, p: int) -> Tensor:
    qkv, out = depthwise(conv1x1(x, w.at('qkv')), w.at('qkv_dwconv')), torch.zeros_like(x)
    for rows, columns in groups_of_tokens(x, level, p, channel=True):
        q, k, v = qkv[:, :, rows, columns].chunk(3, 1)  # B, C, tokens
        attn = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(1, 2) * w['temperature']).softmax(-1)
        out[:, :, rows, columns] = attn @ v
    return conv1x1(out, w.at('proj'))


def grouped(x: Tensor, rows: int, columns: int, level: str) -> Tensor:
    """(B, C, H, W) to (B * groups, C, tokens), groups of rows x columns pixels: neighbours, or far apart."""
    b, c, h, w = x.shape
    if level == 'meso':
        x = x.reshape(b, c, h // rows, rows, w // columns, columns).permute(0, 2, 4, 1, 3, 5)
    else:
        x = x.reshape(b, c, rows, h // rows, columns, w // columns).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(-1, c, rows * columns)


def ungrouped(x: Tensor, rows: int, columns: int, level: str, size: tuple[int, int]) -> Tensor:
    c, (h, w) = x.shape[1], size
    x = x.reshape(-1, h // rows, w // columns, c, rows, columns)
    x = x.permute(0, 3, 1, 4, 2, 5) if level == 'meso' else x.permute(0, 3, 4, 1, 5, 2)
    return x.reshape(-1, c, h, w)


def vectorised_spatial_attention(
    x: Tensor, w: Weights, level: str, p: int, shared: Tensor | None
) -> tuple[Tensor, Tensor]:
    dim, tokens, attn = x.shape[1], grouped(x, p, p, level).transpose(1, 2), shared
    if attn is None:
        y, x_ = torch.meshgrid(torch.arange(p), torch.arange(p), indexing='ij')
        dy, dx = (position.flatten()[:, None] - position.flatten() + p - 1 for position in (y, x_))
        q, k = F.linear(tokens, w['query_key.weight']).split(dim, -1)
        attn = (q @ k.transpose(1, 2) * dim**-0.5 + w['position_bias'][dy * (2 * p - 1) + dx]).softmax(-1)
    y = F.linear(attn @ F.linear(tokens, w['value.weight']), w['proj.weight'])
    return ungrouped(y.transpose(1, 2), p, p, level, x.shape[2:]), attn


def vectorised_channel_attention(x: Tensor, w: Weights, level: str, p: int) -> Tensor:
    group = (p, p) if level == 'meso' else (x.shape[2] // p, x.shape[3] // p)
    q, k, v = grouped(depthwise(conv1x1(x, w.at('qkv')), w.at('qkv_dwconv')), *group, level).chunk(3, 1)
    attn = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(1, 2) * w['temperature']).softmax(-1)
    return conv1x1(ungrouped(attn @ v, *group, level, x.shape[2:]), w.at('proj'))


class Attention(NamedTuple):
    spatial: Callable[..., tuple[Tensor, list[Tensor] | Tensor]]
    channel: Callable[..., Tensor]


PIXEL_BY_PIXEL = Attention(spatial_attention, channel_attention)
VECTORISED = Attention(vectorised_spatial_attention, vectorised_channel_attention)


def sam(x: Tensor, w: Weights, p: int, shared: tuple | None, attention: Attention) -> tuple[Tensor, tuple]:
    used = []
    for i, level in enumerate(('meso', 'global')):
        layer = w.at(f'{level}_layer')
        normed, given = layer_norm(x, layer.at('norm1'), 1e-5), shared and shared[i]
        y, attn = attention.spatial(normed, layer.at('attn'), level, p, given)
        x = x + y
        x = x + gffn(layer_norm(x, layer.at('norm2'), 1e-6), layer.at('ffn'))
        used.append(attn)
    return x, tuple(used)


def cam(x: Tensor, w: Weights, p: int, attention: Attention) -> Tensor:
    x = x + attention.channel(layer_norm(x, w.at('norm1'), 1e-6), w.at('meso_attn'), 'meso', p)
    x = x + gffn(layer_norm(x, w.at('norm2'), 1e-6), w.at('ffn1'))
    x = x + attention.channel(layer_norm(x, w.at('norm3'), 1e-6), w.at('global_attn'), 'global', p)
    return x + gffn(layer_norm(x, w.at('norm4'), 1e-6), w.at('ffn2'))


def esa(x: Tensor, w: Weights) -> Tensor:
    c1 = conv1x1(x, w.at('conv1'))
    low = conv(F.max_pool2d(conv(c1, w.at('conv2'), stride=2), 7, 3), w.at('conv3'), padding=1)
    low = F.interpolate(low, x.shape[2:], mode='bilinear', align_corners=False)
    return x * conv1x1(low + conv1x1(c1, w.at('conv_f')), w.at('conv4')).sigmoid()


def idb(
    x: Tensor, w: Weights, p: int, q: int, shared: list | None, sharing: str, attention: Attention
) -> tuple[Tensor, list]:
    split, refined, used, coarse = w.has('units.0.fuse'), [], [], x
    num_units = 3 if w.has('aggregate') else 1
    for u in range(num_units):
        unit = w.at(f'units.{u}')
        y = lm(coarse, unit.at('lm'))
        local, y = (y[:, :q], y[:, q:]) if split else (None, y)
        given = shared[u] if shared else used[0] if sharing == 'intra' and used else None
        y, attn = sam(y, unit.at('sam'), p, given, attention)
        used.append(attn)
        y = torch.cat([y, local], 1) if split else y
        y = conv1x1(y, unit.at('fuse')) if unit.has('fuse') else y
        if u < num_units - 1:
            refined.append(y[:, :q])
            coarse = y[:, q:]
    y = torch.cat([*refined, y], 1)
    y = conv1x1(y, w.at('aggregate')) if w.has('aggregate') else y
    return esa(conv1x1(cam(y, w.at('cam'), p, attention), w.at('conv')) + x, w.at('esa')), used


def asid(
    x: Tensor,
    state_dict: dict[str, Tensor],
    upscale: int,
    sharing: str = 'inter',
    attention: Attention = PIXEL_BY_PIXEL,
) -> Tensor:
    """The output of an ASID with these weights on (B, 3, H, W)."""
    w, (height, width), window_size = Weights(state_dict), x.shape[2:], 8
    x = (x - 0.5) / 0.5
    sides = (max(16, -(-side // window_size) * window_size) for side in (height, width))
    pad_h, pad_w = (to - side for to, side in zip(sides, (height, width), strict=True))
    shallow = conv(F.pad(x, (0, pad_w, 0, pad_h)), w.at('conv_first'), padding=1)
    y, shared = shallow, None
    for n in range(1 + max(int(key.split('.')[1]) for key in w if key.startswith('body.'))):
        y, used = idb(y, w.at(f'body.{n}'), window_size, len(w['conv_first.weight']) // 4, shared, sharing, attention)
        shared = used if sharing == 'inter' else None
    y = conv(y, w.at('conv_after_body'), padding=1) + shallow
    y = F.pixel_shuffle(conv(y, w.at('conv_up'), padding=1), upscale)
    return y[:, :, : height * upscale, : width * upscale] * 0.5 + 0.5


class PlainASID(torch.nn.Module):
    """An `ASID` whose forward is the vectorised one of this file.

    Args:
        net: The network that has the weights; sharing 'inter'.
    """

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        weights = dict(self.net.named_parameters())
        return asid(x, weights, self.net.upscale, attention=VECTORISED)
