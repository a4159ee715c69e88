"""Figure 1: PSNR against the number of parameters, reported by the paper and measured here."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from asid_plugin.plots.style import GREEN, ORANGE, RC, FigureError, check_output, save
from asid_plugin.published.reported import table1
from asid_plugin.published.variants import TABLE1, reported_in

from .measured import read_means

_OURS = tuple(reported_in(TABLE1))
_REACHES = (9.0, 13.0, 18.0, 26.0, 36.0, 50.0)  # points from a marker to its name
# Colour of the face and marker; every kind has another marker, so that colours need not be distinguished.
_KINDS = {
    'CNN, reported': (GREEN, 'o'),
    'Transformer, reported': (ORANGE, 's'),
    'measured here': ('none', 'D'),  # hollow, because it may cover the reported one
}


@dataclass(frozen=True)
class Point:
    """A method in the plot.

    Attributes:
        name: The label.
        params: Number of parameters.
        psnr: In dB, on Y.
        kind: 'CNN, reported', 'Transformer, reported' or 'measured here'.
    """

    name: str
    params: float
    psnr: float
    kind: str = 'measured here'


def reported_points(scale: int, benchmark: str) -> list[Point]:
    """Table 1 at one scale on one set."""
    return [
        Point(
            row.method,
            1000 * row.params_k,
            row.figures[benchmark].psnr,
            'Transformer, reported' if row.transformer else 'CNN, reported',
        )
        for row in table1()
        if row.scale == scale
    ]


def measured_points(path: Path, scale: int, benchmark: str) -> list[Point]:
    """The networks in the CSV file of an evaluation with their means on one set; bicubic is omitted.

    Raises:
        MeasuredError: The file is not an evaluation.
        FigureError: It has no network at this scale and on this set.
    """
    means = read_means(path)
    points = [
        Point(mean.method.label, mean.method.params, mean.figures[benchmark].psnr)
        for mean in means
        if mean.scale == scale and mean.method.params and benchmark in mean.figures
    ]
    if not points:
        found = dict.fromkeys(f'{name} x{mean.scale}' for mean in means if mean.method.params for name in mean.figures)
        raise FigureError(f'{path}: no network on {benchmark} x{scale}; found {", ".join(found) or "nothing"}')
    return points


def lowest_shown(psnr: Sequence[float]) -> float:
    """Start of the scale: the lowest PSNR, or above a few points that lie far below the rest.

    Few means at most a third, far means over twice the range of the rest. Otherwise one point, such as a network
    trained for minutes, would compress all others.
    """
    ranked = sorted(psnr)
    gaps = [i for i in range(len(ranked) // 3) if ranked[i + 1] - ranked[i] > 2 * (ranked[-1] - ranked[i + 1])]
    return ranked[gaps[-1] + 1] if gaps else ranked[0]


def draw(points: Sequence[Point], title: str) -> Figure:
    """Plot PSNR against parameters, with the name of every point.

    Args:
        points: At least one. Points below `lowest_shown` are drawn at the lower edge, with an arrow and their PSNR.
        title: The set and the scale of the PSNR, for the axis.
    """
    with rc_context(RC):
        figure = Figure(figsize=(5.4, 4.2), layout='constrained')
        FigureCanvasAgg(figure)
        ax = figure.add_subplot()
        _set_axes(ax, points, title)
        floor = _floor(ax)
        for kind, (face, marker) in _KINDS.items():
            group = [p for p in points if p.kind == kind]
            for p in group:
                size, edge = (9, 1.1) if _is_bold(p) or face == 'none' else (6, 0.5)
                ax.plot(p.params, max(p.psnr, floor), marker, ms=size, mfc=face, mec='black', mew=edge, clip_on=False)
            if group:
                label = kind.replace('reported', 'reported by the paper')
                ax.plot([], [], marker, ms=6, mfc=face, mec='black', mew=0.5, label=label)
        figure.legend(loc='outside lower center', ncols=3, frameon=False, columnspacing=1, handletextpad=0.1)
        figure.draw_without_rendering()  # computes the layout, on which the labels depend
        figure.set_layout_engine('none')
        _label(ax, points)
    return figure


def _is_bold(point: Point) -> bool:
    return point.name in _OURS and point.kind != 'measured here'


def _floor(ax: Axes) -> float:
    """PSNR at which points below the scale are drawn."""
    low, high = ax.get_ylim()
    return low + 0.03 * (high - low)


def _set_axes(ax: Axes, points: Sequence[Point], title: str) -> None:
    params, psnr = [p.params for p in points], [p.psnr for p in points]
    low, high = lowest_shown(psnr), max(psnr)
    margin = max(0.12 * (high - low), 0.02)
    ax.set(ylim=(low - margin, high + margin), xlabel='Parameters (thousands)', ylabel=f'PSNR on {title} (dB)')
    if max(params) > 4 * min(params):
        ax.set(xscale='log', xlim=(min(params) / 1.4, max(params) * 1.4))
        ax.set_xlabel('Parameters (thousands, logarithmic)')
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        width = max(params) - min(params) or max(params)
        ax.set_xlim(min(params) - 0.12 * width, max(params) + 0.12 * width)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value / 1000:,.10g}'))
    ax.grid(color='0.9', linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[['top', 'right']].set_visible(False)


def _label(ax: Axes, points: Sequence[Point]) -> None:
    """Place the name of every point where it hides no other name or marker, with a line if it is far."""
    floor = _floor(ax)
    labels = [
        ax.annotate(
            p.name if p.psnr >= floor else f'{p.name} ↓ {p.psnr:.2f}',
            (p.params, max(p.psnr, floor)),
            (0, 0),
            textcoords='offset points',
            ha='center',
            va='center_baseline',
            weight='bold' if _is_bold(p) else 'normal',
            annotation_clip=False,
            arrowprops={'arrowstyle': '-', 'color': '0.5', 'linewidth': 0.5, 'shrinkA': 0, 'shrinkB': 4},
        )
        for p in points
    ]
    point = ax.figure.dpi / 72
    centres = ax.transData.transform([label.xy for label in labels]) / point
    sizes = np.array([label.get_window_extent().size for label in labels]) / point
    frame = np.concatenate([ax.bbox.min, ax.bbox.max]) / point
    for label, size, offset in zip(labels, sizes, place(centres, sizes, frame), strict=True):
        label.set_position(offset)
        if label.arrow_patch and np.hypot(*(np.abs(offset) - size / 2).clip(0)) < _REACHES[1]:
            label.arrow_patch.set_visible(False)


def place(
    centres: NDArray[np.float64], sizes: NDArray[np.float64], frame: NDArray[np.float64], sweeps: int = 4
) -> NDArray[np.float64]:
    """Choose the places of labels.

    Each label in turn takes the best of several places around its marker, given the other labels; this is repeated.

    Args:
        centres: (n, 2), of the markers, in points.
        sizes: (n, 2), width and height of the labels, in points.
        frame: (4,), left, bottom, right and top of where labels may be.
        sweeps: How often every label is moved.

    Returns:
        (n, 2), from a marker's centre to its label's.
    """
    angles = np.arange(0, 2 * math.pi, math.pi / 8)
    compass = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    reach = np.repeat(_REACHES, len(angles))[:, None]
    directions = np.tile(compass, (len(_REACHES), 1))
    markers = np.concatenate([centres - 4, centres + 4], axis=1)
    # A name as near to another marker as to its own could be misread.
    nearby = np.concatenate([centres - 9, centres + 9], axis=1)
    offsets = np.zeros_like(centres)
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    for _ in range(sweeps):
        for i in range(len(centres)):
            tried = directions * reach + np.sign(directions.round(6)) * np.abs(directions) ** 0.5 * sizes[i] / 2
            middle = centres[i] + tried
            candidates = np.concatenate([middle - sizes[i] / 2, middle + sizes[i] / 2], axis=1)
            hidden = sizes[i].prod() - _overlap(candidates, frame[None])[:, 0]
            for others in (boxes, markers):
                hidden += _overlap(candidates, np.delete(others, i, axis=0)).sum(axis=1)
            near = _overlap(candidates, np.delete(nearby, i, axis=0)).sum(axis=1)
            best = (100 * hidden + near + 0.5 * reach[:, 0]).argmin()
            offsets[i], boxes[i] = tried[best], candidates[best]
    return offsets


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas of overlap, (n, m), of the boxes (n, 4) and (m, 4)."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    return sides.clip(0).prod(axis=2)


def main(args: argparse.Namespace) -> None:
    """Write Figure 1.

    Raises:
        FigureError: An argument is invalid, or the figure cannot be written.
        MeasuredError: A CSV file is not an evaluation.
    """
    check_output(args.output)
    points = reported_points(args.scale, args.set)
    for path in args.measured:
        points += measured_points(path, args.scale, args.set)
    for name, params, psnr in args.point:
        try:
            point = Point(name, float(params), float(psnr))
        except ValueError:
            raise FigureError(f'--point {name} {params} {psnr}: PARAMS and PSNR must be numbers') from None
        if not (point.params > 0 and math.isfinite(point.params + point.psnr)):
            raise FigureError(f'--point {name} {params} {psnr}: PARAMS must be above 0, and both finite')
        points.append(point)
    save(draw(points, f'{args.set} ×{args.scale}'), args.output)
