"""Parameters and multiply-adds of ASID and Omni-SR, by the paper's rule and in full.

`asid complexity` prints the table.
"""

import copy
import math

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from asid_plugin import markdown
from asid_plugin.archs import ASID, OmniSR
from asid_plugin.archs.attention import ChannelAttention, SpatialAttention, SpatialLayer
from asid_plugin.archs.omnisr_arch import OSA, MultiHeadChannelAttention, MultiHeadSpatialAttention
from asid_plugin.published.variants import VARIANTS

OUTPUT_720P = (720, 1280)
"""Height and width of the output image for the paper's FLOPs."""


def input_size(upscale: int) -> tuple[int, int]:
    """Height and width of the LR image for a 1280x720 output."""
    height, width = OUTPUT_720P
    return height // upscale, width // upscale


def count_parameters(net: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in net.parameters())


def thop_parameters(net: ASID | OmniSR) -> int:
    """Number of parameters that the package thop counts, the source of Omni-SR's 792K.

    It misses position biases (in an embedding there), temperatures (a bare parameter), and every LayerNorm except the
    one before spatial attention (a class of the authors).
    """
    counted: list[nn.Module] = [module for module in net.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    counted += [module.norm1 for module in net.modules() if isinstance(module, SpatialLayer | OSA)]
    return sum(parameter.numel() for module in counted for parameter in module.parameters())


def paper_flops(net: ASID | OmniSR, height: int, width: int) -> int:
    """FLOPs by the paper's rule: the multiply-adds that the package thop counts module by module.

    These are the multiply-adds of convolutions and linear layers; for each row of a spatial attention matrix that is
    computed, not shared, 3 * P² - 1 (its softmax); for each element that enters the LayerNorm before spatial attention,
    4; for the matrix products of attention, nothing.

    Args:
        net: The network.
        height: Of the LR image, in pixels.
        width: Of the LR image, in pixels.
    """
    size = net.padded_size(height, width)
    per_pixel = 0
    for module in net.modules():
        if isinstance(module, SpatialLayer | OSA):
            per_pixel += 4 * module.norm1.normalized_shape[0]
        if isinstance(module, SpatialAttention | MultiHeadSpatialAttention):
            per_pixel += num_matrices(module) * (3 * net.window_size**2 - 1)
    return layer_multiply_adds(net, *size) + per_pixel * math.prod(size)


def num_matrices(attention: SpatialAttention | MultiHeadSpatialAttention) -> int:
    """Attention matrices that a spatial attention computes per group: one per head, none with shared ones."""
    if isinstance(attention, MultiHeadSpatialAttention):
        return attention.num_heads
    return 0 if attention.shared else 1


def multiply_adds(net: ASID | OmniSR, height: int, width: int) -> int:
    """All multiply-adds of convolutions, linear layers and attention's matrix products; arguments as `paper_flops`.

    This counts the network as its paper writes it. (Our ASID runs fewer: value and output projection are one product.)
    """
    size = net.padded_size(height, width)
    per_pixel = 0
    for module in net.modules():
        if isinstance(module, SpatialAttention | MultiHeadSpatialAttention):
            per_pixel += (2 if num_matrices(module) else 1) * net.window_size**2 * module.proj.in_features
        elif isinstance(module, ChannelAttention):
            per_pixel += 2 * module.dim**2
        elif isinstance(module, MultiHeadChannelAttention):
            per_pixel += 2 * module.dim**2 // module.num_heads
    return layer_multiply_adds(net, *size) + per_pixel * math.prod(size)


def layer_multiply_adds(net: ASID | OmniSR, height: int, width: int) -> int:
    """Multiply-adds of the convolutions and linear layers on a padded image of this size."""
    strided = [(side - 3) // 2 + 1 for side in (height, width)]  # ESA's conv2
    pooled = [(side - 7) // 3 + 1 for side in strided]  # after its max pool, for conv3
    total = 0
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            positions = {'conv2': strided, 'conv3': pooled, 'reduce': [], 'expand': []}.get(
                name.rpartition('.')[2], (height, width)
            )
            total += module.weight.numel() * math.prod(positions)
    return total


def counted_multiply_adds(net: nn.Module, height: int, width: int) -> int:
    """Multiply-adds of any network's convolutions and matrix products, as PyTorch counts them while it runs.

    Args:
        net: The network, which takes (B, 3, H, W).
        height: Of the LR image, in pixels.
        width: Of the LR image, in pixels.
    """
    net = copy.deepcopy(net).to('meta')  # an implementation without fused operators, which the counter does not know
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, height, width, device='meta'))
    return counter.get_total_flops() // 2


def table() -> str:
    """The sizes of every network of the paper at a 1280x720 output, in Markdown."""
    rows = []
    for variant in VARIANTS:
        for upscale in variant.upscales:
            net = variant.build(upscale)
            counts = (count(net, *input_size(upscale)) / 1e9 for count in (paper_flops, multiply_adds))
            rows.append([f'{variant.name} x{upscale}', f'{count_parameters(net):,}', *(f'{n:.3f}' for n in counts)])
    return markdown.table(['network', 'parameters', 'FLOPs as the paper counts, G', 'all multiply-adds, G'], rows)
