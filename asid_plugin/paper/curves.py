"""Figure 7 and the supplement's Figure 1: how a network's size, and where measured its PSNR, follow one argument.

The paper draws the PSNR of both figures without printing the values, so none are reported here.
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from asid_plugin import variants
from asid_plugin.variants import Variant

from .measured import read_means
from .style import BLUE, GREEN, RC, VERMILLION, add_output, check_output, save
from .tables import Counts, count, series_table

Curve = tuple[str, Sequence[float], str, str]
"""Label of the axis, values, colour, marker."""


def add_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """What both figures take."""
    add_output(parser, default)
    parser.add_argument(
        '--measured',
        type=Path,
        nargs='+',
        default=[],
        metavar='CSV',
        help='draw the PSNR on Urban100 that asid_plugin.evaluate measured of all these networks',
    )


def draw(label: str, series: Mapping[float, Counts], psnr: Mapping[float, float]) -> Figure:
    """Parameters, multiply-adds and, if there are any, PSNR over the argument.

    Args:
        label: Of the horizontal axis.
        series: Counts by the argument's value.
        psnr: In dB, by the argument's value; may lack values.
    """
    curves: list[Curve] = [
        ('parameters, K', [c.parameters / 1e3 for c in series.values()], BLUE, 'o'),
        ('FLOPs as the paper counts, G', [(c.paper_flops or 0) / 1e9 for c in series.values()], GREEN, 's'),
    ]
    if psnr:
        curves.append(('PSNR on Urban100, measured, dB', [psnr.get(x, float('nan')) for x in series], VERMILLION, 'D'))
    with rc_context(RC):
        figure = Figure(figsize=(2.6 * len(curves), 2.4), layout='constrained')
        FigureCanvasAgg(figure)
        for ax, (name, values, colour, marker) in zip(
            figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True
        ):
            ax.plot(list(series), values, color=colour, marker=marker, markersize=4, linewidth=1.2)
            ax.set(xlabel=label, title=name, xticks=list(series), ymargin=0.12)
            ax.grid(color='0.9', linewidth=0.6)
            ax.set_axisbelow(True)
    return figure


def main(title: str, label: str, series: Mapping[float, Variant], args: argparse.Namespace) -> None:
    """Print the table behind one of the figures, and draw it.

    Raises:
        FigureError: The figure cannot be written.
        MeasuredError: A file of `--measured` is not an evaluation's.
    """
    check_output(args.output)
    measured = {
        mean.method.name: mean.figures['Urban100'][0]
        for path in args.measured
        for mean in read_means(path)
        if mean.scale == 2 and 'Urban100' in mean.figures
    }
    psnr = {x: measured[variant.name] for x, variant in series.items() if variant.name in measured}
    print(series_table(title, label, [(f'{x:g}', variant) for x, variant in series.items()]))
    save(draw(label, {x: count(variant, 2) for x, variant in series.items()}, psnr), args.output)


figure7 = partial(main, 'Figure 7, depth: x2 at a 1280x720 output', 'blocks N', variants.depths())
supplement_figure1 = partial(
    main,
    'Supplement, Figure 1: Omni-SR of three blocks, x2 at a 1280x720 output',
    'ratio of channels in attention',
    variants.channel_splits(),
)
