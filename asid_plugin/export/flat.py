"""ASID for one image of a fixed size, with tensors of at most five axes.

Core ML allows no more. The partitions of `asid_plugin.archs.attention` use six, including the batch.
"""

import copy

from torch import Tensor

from asid_plugin.archs import ASID
from asid_plugin.archs.attention import (
    ChannelAttention,
    SpatialAttention,
    grid_partition,
    grid_reverse,
    window_partition,
    window_reverse,
)

MOST_AXES = 5


def flattened(net: ASID) -> ASID:
    """A copy of a network that takes one image at a time, with bitwise equal results."""
    net = copy.deepcopy(net)
    for layer in net.modules():
        if isinstance(layer, SpatialAttention | ChannelAttention):
            layer.partition, layer.reverse = _PARTITIONS[layer.partition], _REVERSES[layer.reverse]
    return net


def _windows(x: Tensor, window_size: tuple[int, int]) -> Tensor:
    """`window_partition` for (1, H, W, C)."""
    (h, w), (height, width, c) = window_size, x.shape[1:]
    return x.reshape(height // h, h, width // w, w * c).permute(0, 2, 1, 3).reshape(-1, h * w, c)


def _from_windows(windows: Tensor, window_size: tuple[int, int], residual: Tensor) -> Tensor:
    """`window_reverse` to (1, H, W, C)."""
    (h, w), (height, width, c) = window_size, residual.shape[1:]
    x = windows.reshape(height // h, width // w, h, w * c).permute(0, 2, 1, 3)
    return residual + x.reshape(residual.shape)


def _grid(x: Tensor, grid_size: tuple[int, int]) -> Tensor:
    """`grid_partition` for (1, H, W, C)."""
    (h, w), (height, width, c) = grid_size, x.shape[1:]
    return x.reshape(h, height // h, w, width // w, c).permute(1, 3, 0, 2, 4).reshape(-1, h * w, c)


def _from_grid(groups: Tensor, grid_size: tuple[int, int], residual: Tensor) -> Tensor:
    """`grid_reverse` to (1, H, W, C)."""
    (h, w), (height, width, c) = grid_size, residual.shape[1:]
    x = groups.reshape(height // h, width // w, h, w, c).permute(2, 0, 3, 1, 4)
    return residual + x.reshape(residual.shape)


_PARTITIONS = {window_partition: _windows, grid_partition: _grid}
_REVERSES = {window_reverse: _from_windows, grid_reverse: _from_grid}
