"""Figure 7 and the supplement's Figure 1: size of a network, and its PSNR if measured, as a function of one argument.

The paper draws the PSNR of both figures without printing the values, so none are reported here.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asid_plugin.plots.style import BLUE, RC, VERMILLION, check_output, save
from asid_plugin.published import variants
from asid_plugin.published.variants import Variant

from .measured import MeasuredError, read_all
from .tables import Counts, count, series_table


def draw(label: str, series: Mapping[float, Counts], psnr: Mapping[float, float]) -> Figure:
    """Plot parameters, multiply-adds and, if available, PSNR over the argument.

    Args:
        label: Label of the horizontal axis.
        series: Counts by the value of the argument.
        psnr: In dB, by the value of the argument; may be incomplete.
    """
    with rc_context(RC):
        figure = Figure(figsize=(7.8 if psnr else 5.2, 2.5), layout='constrained')
        axes = figure.subplots(1, 3 if psnr else 2)
        _plot(axes[0], 'parameters, K', {'': [c.parameters / 1e3 for c in series.values()]}, series)
        multiply_adds = {
            'all': [c.multiply_adds / 1e9 for c in series.values()],
            'as the paper counts': [_giga(c.paper_flops) for c in series.values()],
        }
        _plot(axes[1], 'multiply-adds, G', multiply_adds, series)
        axes[1].legend(frameon=False)
        if psnr:
            _plot(axes[2], 'PSNR on Urban100, measured, dB', {'': [psnr.get(x, math.nan) for x in series]}, series)
        for ax in axes:
            ax.set(xlabel=label)
    return figure


def _giga(value: int | None) -> float:
    return math.nan if value is None else value / 1e9


def _plot(ax: Axes, title: str, curves: Mapping[str, Sequence[float]], series: Mapping[float, Counts]) -> None:
    for (name, values), colour, marker in zip(curves.items(), (BLUE, VERMILLION), 'os', strict=False):
        ax.plot(list(series), values, color=colour, marker=marker, markersize=4, linewidth=1.2, label=name)
    ax.set(title=title, xticks=list(series), ymargin=0.12)
    ax.grid(color='0.9', linewidth=0.6)
    ax.set_axisbelow(True)


def main(title: str, label: str, series: Mapping[float, Variant], args: argparse.Namespace) -> None:
    """Print the table behind one of the figures, and draw it.

    Raises:
        FigureError: The figure cannot be written.
        MeasuredError: A file of `--measured` is not an evaluation, or has no values for this figure.
    """
    check_output(args.output)
    psnr = _measured_psnr(series, args.measured)
    print(f'{title}\n')
    print(series_table(label, [(f'{x:g}', variant) for x, variant in series.items()]))
    save(draw(label, {x: count(variant, 2) for x, variant in series.items()}, psnr), args.output)


def _measured_psnr(series: Mapping[float, Variant], paths: Sequence[Path]) -> dict[float, float]:
    """PSNR on Urban100 x2 by the value of the argument; from the 200-epoch training if its name is given."""
    psnr: dict[float, float] = {}
    for mean in read_all(paths):
        at = [x for x, variant in series.items() if mean.method.name in _names(variant)]
        if mean.scale == 2 and mean.method.how == 'tiles' and 'Urban100' in mean.figures and at:
            if at[0] in psnr:
                raise MeasuredError(f'{mean.method.name} was measured twice; give each network once')
            psnr[at[0]] = mean.figures['Urban100'].psnr
    if paths and not psnr:
        names = ', '.join(sorted(name for variant in series.values() for name in _names(variant)))
        raise MeasuredError(f'{paths[0]}: no results by tiles on Urban100 x2 for {names}')
    return psnr


def _names(variant: Variant) -> set[str]:
    """Valid names in an evaluation; a network of the full recipe does not count for the ablation study."""
    return {variant.ablation} if variant.full else {variant.ablation, variant.name}


figure7 = partial(
    main,
    'Figure 7, depth: x2 at a 1280x720 output',
    'blocks N',
    {float(depth): variant for depth, variant in variants.depths().items()},
)
supplement_figure1 = partial(
    main,
    'Supplement, Figure 1: Omni-SR of three blocks, x2 at a 1280x720 output',
    'ratio of channels in attention',
    variants.channel_splits(),
)
