"""Figure 6: the attention of one pixel to others in each spatial attention layer that computes a matrix.

For a network without sharing it shows the meso layers, as in the paper: nine, three blocks x three depths. For a
network with sharing it shows the computed matrices: six of the first block with 'inter', two of every block with
'intra'.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import skimage.data
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from asid_plugin.archs import ASID
from asid_plugin.archs.asid_arch import Sharing
from asid_plugin.archs.attention import SpatialLayer
from asid_plugin.archs.idb import IDB, DistillationUnit
from asid_plugin.checkpoints import load_asid
from asid_plugin.images import read_image
from asid_plugin.plots.style import RC, FigureError, bare, check_output, outline, save

CMAP = 'viridis'


class Layer(NamedTuple):
    """A spatial attention layer; block and depth start at 1, as in the paper. `level` is 'meso' or 'global'."""

    block: int
    depth: int
    level: str

    def __str__(self) -> str:
        return f'IDB {self.block}, SAM {self.depth} ({self.level})'


@dataclass(frozen=True)
class AttentionRow:
    """The row of an attention matrix for one pixel: its weight on each token of its group.

    Attributes:
        weights: (P, P), not negative, with sum 1.
        y: (P,), rows of the tokens in the padded input, in pixels.
        x: (P,), the columns.
    """

    weights: NDArray[np.float32]
    y: NDArray[np.int64]
    x: NDArray[np.int64]


def spatial_layers(net: ASID) -> dict[Layer, SpatialLayer]:
    """All spatial attention layers in execution order."""
    return {
        Layer(block, depth, level): layer
        for block, idb in enumerate(net.body, start=1)
        if isinstance(idb, IDB)
        for depth, unit in enumerate(idb.units, start=1)
        if isinstance(unit, DistillationUnit)
        for level, layer in (('meso', unit.sam.meso_layer), ('global', unit.sam.global_layer))
    }


@torch.inference_mode()
def collect_matrices(
    net: ASID, image: Tensor, keep: Callable[[Layer, Tensor], Tensor] = lambda layer, matrix: matrix
) -> dict[Layer, Tensor]:
    """Run a network and collect its computed attention matrices, without the shared ones.

    Args:
        net: In any mode.
        image: (B, C, H, W), in [0, 1].
        keep: Function that reduces each matrix, for images whose full matrices need too much memory.

    Returns:
        By (block, depth, level), each (B * HW/P², P², P²) with H and W as padded; groups in the order of the layer's
        `partition`; the rows, one a query, sum to 1.
    """
    found: dict[Layer, Tensor] = {}

    def hook_for(layer: Layer) -> Callable[..., None]:
        def hook(_module: torch.nn.Module, _inputs: tuple[Tensor, ...], outputs: tuple[Tensor, Tensor]) -> None:
            found[layer] = keep(layer, outputs[1])

        return hook

    computing = {name: module.attn for name, module in spatial_layers(net).items() if not module.attn.shared}
    handles = [attn.register_forward_hook(hook_for(name)) for name, attn in computing.items()]
    try:
        net(image)
    finally:
        for handle in handles:
            handle.remove()
    return found


def rows_of_pixel(net: ASID, image: Tensor, y: int, x: int) -> dict[Layer, AttentionRow]:
    """The row of each computed matrix for one pixel of an image.

    Args:
        net: The network.
        image: (1, C, H, W), in [0, 1].
        y: Row of the pixel, below H.
        x: Column of the pixel, below W.
    """
    layers = spatial_layers(net)
    height, width = net.padded_size(*image.shape[2:])
    # The layer's partition is applied to the indexes of the pixels, to find the token of the pixel.
    numbers = torch.arange(height * width).reshape(1, height, width, 1)
    groups = {layer: module.attn.partition(numbers, module.attn.group)[..., 0] for layer, module in layers.items()}
    places = {layer: (group == y * width + x).nonzero()[0].tolist() for layer, group in groups.items()}

    def keep(layer: Layer, matrix: Tensor) -> Tensor:
        bar.update()
        group, token = places[layer]
        return matrix[group, token].clone()

    with tqdm(desc='attention', unit='matrix', leave=False, delay=1, disable=None) as bar:
        kept = collect_matrices(net, image, keep)
    rows = {}
    for layer, weights in kept.items():
        tokens = groups[layer][places[layer][0]].reshape(layers[layer].attn.group).numpy()
        shown = weights.float().reshape(tokens.shape).numpy()
        rows[layer] = AttentionRow(shown, tokens[:, 0] // width, tokens[0] % width)
    return rows


def busiest_window(grey: NDArray[np.float32], p: int) -> tuple[int, int]:
    """Row and column, in windows, of the P x P window with the largest standard deviation.

    Args:
        grey: (H, W), both at least P. Windows beyond the border are ignored.
        p: P.
    """
    rows, columns = (side // p for side in grey.shape)
    windows = grey[: rows * p, : columns * p].reshape(rows, p, columns, p)
    return divmod(int(windows.std(axis=(1, 3)).argmax()), columns)


def shown(net: ASID) -> list[list[Layer]]:
    """The layers of the figure, row by row: meso by block and depth, or the computed ones of a sharing network."""
    layers = spatial_layers(net)
    computed = [layer for layer, module in layers.items() if not module.attn.shared]
    if len(computed) == len(layers):
        return [[layer for layer in computed if layer[::2] == (n + 1, 'meso')] for n in range(len(net.body))]
    return [[layer for layer in computed if layer.level == level] for level in ('meso', 'global')]


def draw(net: ASID, image: NDArray[np.float32], window: tuple[int, int], title: str) -> Figure:
    """Draw the rows for the centre pixel of a window: its place at the left, heat maps of all layers at the right.

    Args:
        net: The network, for 3 channels.
        image: (H, W, 3), in [0, 1].
        window: Row and column in windows of P x P pixels, completely inside the image.
        title: Title of the figure.

    Raises:
        FigureError: The window does not exist, or the attention is not finite.
    """
    p = net.window_size
    top, left = (index * p for index in window)
    height, width = image.shape[:2]
    if min(window) < 0 or top + p > height or left + p > width:
        raise FigureError(
            f'--window {window[0]} {window[1]}: the image has {height // p} x {width // p} whole windows of {p}x{p} '
            'pixels, counted from 0'
        )
    query = top + p // 2, left + p // 2
    rows = rows_of_pixel(net, torch.from_numpy(image).permute(2, 0, 1)[None], *query)
    if not all(np.isfinite(row.weights).all() for row in rows.values()):
        raise FigureError("the network's attention is not finite (damaged weights)")
    grid = shown(net)
    # A weight far above the others must not hide their differences.
    norm = PowerNorm(0.5, 0, max(rows[layer].weights.max() for line in grid for layer in line))

    columns = max(map(len, grid))
    # A panel is a square window, or has the aspect ratio of the image within limits.
    tall = [1 if line[0].level == 'meso' else min(max(height / width, 0.4), 1.6) for line in grid]

    with rc_context(RC):
        figure = Figure(figsize=(2.5 + 1.6 * columns, 0.4 + sum(0.3 + 1.45 * t for t in tall)), layout='constrained')
        [(at_left, at_right)] = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.8, 1.6 * columns + 0.7))
        _draw_place(at_left, image, top, left, p, query)
        axes = at_right.subplots(len(grid), columns, squeeze=False, height_ratios=[0.3 + 1.45 * t for t in tall])
        for line, layers in zip(axes, grid, strict=True):
            for ax, layer in zip(line, layers, strict=True):
                _draw_row(ax, image, rows[layer], query, norm, fill=0.86 if layer.level == 'meso' else 0.6)
                ax.set_title(str(layer))
        # As high as the panels. With a panchor, narrow panels would move to the right.
        bar = at_right.colorbar(
            ScalarMappable(norm, CMAP), ax=axes, fraction=0.15 / columns, aspect=12 * sum(tall), pad=0.02, panchor=False
        )
        bar.set_label(f'attention weight (the {p * p} of a panel sum to 1)')
        bar.outline.set_linewidth(0.6)
        figure.suptitle(title)
    return figure


def _draw_place(
    figure: SubFigure, image: NDArray[np.float32], top: int, left: int, p: int, query: tuple[int, int]
) -> None:
    """The image with the window outlined, and the window enlarged with the query outlined."""
    whole, detail = figure.subplots(2, 1)
    whole.imshow(image)
    outline(whole, left - 0.5, top - 0.5, p, p)
    whole.set_title(f'window ({top // p}, {left // p})')
    detail.imshow(image)
    detail.set(xlim=(left - 0.5, left + p - 0.5), ylim=(top + p - 0.5, top - 0.5))
    detail.set_title(f'the window, and its pixel ({query[0] - top}, {query[1] - left})')
    outline(detail, query[1] - 0.5, query[0] - 0.5, 1, 1)
    for ax in (whole, detail):
        bare(ax)


def _draw_row(
    ax: Axes, image: NDArray[np.float32], row: AttentionRow, query: tuple[int, int], norm: Normalize, fill: float
) -> None:
    """Coloured squares at the tokens, over the part of the image that they span."""
    dy, dx = row.y[1] - row.y[0], row.x[1] - row.x[0]
    top, left = row.y[0] // dy * dy - 0.5, row.x[0] // dx * dx - 0.5
    side = fill * min(dy, dx)
    ax.set_facecolor('0.9')  # where the network pads with zeros
    ax.imshow(image.mean(axis=2), cmap='gray', vmin=0, vmax=1)
    ax.set(xlim=(left, left + len(row.x) * dx), ylim=(top + len(row.y) * dy, top))
    squares = [Rectangle((x - side / 2, y - side / 2), side, side) for y in row.y for x in row.x]
    # Squares at the border of the image may exceed it.
    ax.add_collection(
        PatchCollection(squares, cmap=CMAP, norm=norm, array=row.weights.ravel(), linewidth=0, clip_on=False)
    )
    outline(ax, query[1] - side / 2, query[0] - side / 2, side, side)
    ax.spines[:].set_visible(False)
    bare(ax)


def main(args: argparse.Namespace) -> None:
    """Write Figure 6.

    Raises:
        FigureError: An argument or the image is unsuitable, or the figure cannot be written.
        CheckpointError: The weights do not belong to an ASID.
        ImageError: The image cannot be read.
    """
    check_output(args.output)
    net, name = _network(args)
    image = read_image(args.image).rgb if args.image else skimage.data.chelsea().astype(np.float32) / 255
    p = net.window_size
    if min(image.shape[:2]) < p:
        raise FigureError(f'{args.image}: {image.shape[1]}x{image.shape[0]} pixels, less than a window of {p}x{p}')
    window = args.window or busiest_window(image.mean(axis=2), p)
    save(draw(net, image, tuple(window), f'Spatial attention, {name}'), args.output)


def _network(args: argparse.Namespace) -> tuple[ASID, str]:
    """The network, and its name in the figure."""
    if args.weights is None:
        if not 0 <= args.seed < 2**63:
            raise FigureError(f'--seed {args.seed}: should be from 0 to {2**63 - 1}')
        sharing: Sharing = args.sharing or 'none'
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(args.seed)
            return ASID(sharing=sharing).eval(), f'untrained ASID (sharing {sharing}, seed {args.seed})'
    if args.sharing:
        raise FigureError(f'--sharing {args.sharing}: {args.weights} determines the sharing; omit --sharing')
    net = load_asid(args.weights)
    if net.conv_first.in_channels != 3:
        raise FigureError(f'{args.weights}: the network takes {net.conv_first.in_channels} channels, but images have 3')
    return net, f'{args.weights.name} (sharing {net.arguments["sharing"]})'
