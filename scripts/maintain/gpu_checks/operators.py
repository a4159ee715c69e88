"""Depthwise convolution and LayerNorm in both layouts: cuDNN's depthwise in channels-last is suspected to be slow."""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from asid_plugin.cost.timing import timed_round
from asid_plugin.tf32 import allow_tf32
from measuring import copy_rate

from .setup import Setup, Table, Tables, error_line

CHANNELS = (12, 24, 36, 48, 72, 96, 144)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
HEADER = (
    'channels',
    'precision',
    'forward µs, NCHW',
    'forward µs, channels-last',
    'backward µs, NCHW',
    'backward µs, channels-last',
    'forward, channels-last: of the copy rate',
)
Layer = Callable[[Tensor, list[Tensor]], Tensor]


def depthwise(x: Tensor, parameters: list[Tensor]) -> Tensor:
    """3x3, of (B, C, H, W)."""
    return F.conv2d(x, parameters[0], padding=1, groups=x.shape[1])


def depthwise_parameters(channels: int) -> list[Tensor]:
    """Its weight."""
    return [torch.rand(channels, 1, 3, 3)]


def layer_norm(x: Tensor, parameters: list[Tensor]) -> Tensor:
    """Over the channels of (B, C, H, W), which are the last axis in memory where x is channels-last."""
    return F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],), *parameters).permute(0, 3, 1, 2)


def layer_norm_then_weights(x: Tensor, parameters: list[Tensor]) -> Tensor:
    """The same in two steps: PyTorch sums the gradients of LayerNorm's own weights slowly."""
    weight, bias = parameters
    return torch.addcmul(bias, layer_norm(x, []).permute(0, 2, 3, 1), weight).permute(0, 3, 1, 2)


def layer_norm_parameters(channels: int) -> list[Tensor]:
    """Its weight and bias."""
    return [torch.rand(channels), torch.rand(channels)]


LAYERS: dict[str, tuple[Layer, Callable[[int], list[Tensor]]]] = {
    'Depthwise 3x3 convolution': (depthwise, depthwise_parameters),
    'LayerNorm': (layer_norm, layer_norm_parameters),
    'LayerNorm without weights': (layer_norm, lambda channels: []),
    'LayerNorm without weights, then addcmul': (layer_norm_then_weights, layer_norm_parameters),
}


def seconds(setup: Setup, layer: Layer, parameters: list[Tensor], x: Tensor) -> tuple[float, float]:
    """Seconds of forward without gradients, and of backward."""
    with torch.inference_mode():
        ahead = timed_round(lambda: layer(x, parameters), setup.device)
    inputs = [x, *parameters]
    for tensor in inputs:
        tensor.requires_grad_()
    y = layer(x, parameters)
    grad = torch.ones_like(y)
    return ahead, timed_round(lambda: torch.autograd.grad(y, inputs, grad, retain_graph=True), setup.device)


def row(setup: Setup, name: str, channels: int, dtype: torch.dtype, bandwidth: float) -> list[str]:
    """A layer in both layouts."""
    layer, make = LAYERS[name]
    size = (1, channels, 8, 8) if setup.small else (16, channels, 64, 64)
    found = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        x = torch.rand(size, device=setup.device, dtype=dtype).contiguous(memory_format=memory_format)
        parameters = [parameter.to(setup.device, dtype) for parameter in make(channels)]
        found.append(seconds(setup, layer, parameters, x))
    (ahead, back), (ahead_last, back_last) = found
    share = 2 * x.nbytes / bandwidth / ahead_last
    times = [f'{1e6 * s:.1f}' for s in (ahead, ahead_last, back, back_last)]
    return [str(channels), str(dtype).removeprefix('torch.'), *times, f'{100 * share:.0f} %']


def run(setup: Setup) -> Tables:
    """Every width in three precisions."""
    torch.set_num_threads(setup.threads)
    allow_tf32(False)
    bandwidth = copy_rate(setup.device, setup.copied)
    channels = CHANNELS[::3] if setup.small else CHANNELS
    for name in LAYERS:
        table = Table(name, HEADER)
        table.notes.append('A small map stays in the cache, so its share of the copy rate may be above 100 %.')
        for width, dtype in product(channels, DTYPES):
            try:
                table.rows.append(row(setup, name, width, dtype, bandwidth))
            except RuntimeError as error:
                table.failures.append(f'{width} channels in {dtype}: {error_line(error)}')
            yield table
