"""Produce a table or figure of the paper: `asid paper table2`, and so on; `asid paper plan` is for the trainings.

Figures that can be counted or measured on this machine are; the paper's own stand beside them, marked as reported.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .arguments import add_figure_output, add_measured, add_networks, add_no_arguments, call

BENCHMARKS = ('Set5', 'Set14', 'B100', 'Urban100')
SHARING = ('inter', 'intra', 'none')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a sub-command for each table and figure."""
    subparsers = parser.add_subparsers(metavar='TABLE_OR_FIGURE', required=True)
    for name, part in PARTS.items():
        subparser = subparsers.add_parser(name, help=part.help, description=f'The paper: {part.help}.')
        part.add_arguments(subparser)
        subparser.set_defaults(produce=part.produce)


def run(args: argparse.Namespace) -> None:
    """Produce the table or figure that is named."""
    call(f'asid_plugin.paper.{args.produce}', args)


def add_table1_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper table1`."""
    parser.add_argument('--scale', type=int, choices=[2, 3, 4], help='only this scale (default: all)')
    add_measured(parser, 'add rows that were measured')


def add_table2_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper table2`."""
    add = parser.add_argument
    add('--scale', '--upscale', type=int, choices=[2, 3, 4], default=4, help="(%(default)s, as the paper's table)")
    add(
        '--no-measure',
        action='store_true',
        help='count only; to measure memory and time takes a minute or two, on a machine that does nothing else',
    )
    add('--repeat', type=int, default=3, help='passes of which the median time is taken (default: 3)')
    add('--threads', type=int, default=2, help='that the CPU uses (default: 2)')
    add('--device', choices=['cpu', 'cuda'], default='cpu')


def add_figure1_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper figure1`."""
    parser.add_argument('--scale', type=int, choices=(2, 3, 4), default=2, help='(%(default)s)')
    parser.add_argument('--set', choices=BENCHMARKS, default='Urban100', help='benchmark (%(default)s)')
    add_measured(parser, 'add the networks that were measured')
    parser.add_argument(
        '--point',
        nargs=3,
        action='append',
        default=[],
        metavar=('NAME', 'PARAMS', 'PSNR'),
        help='add one that was measured here, PARAMS in full: --point mine 297516 31.9; may be repeated',
    )
    add_figure_output(parser, 'results/figure1.png')


def add_crops_arguments(parser: argparse.ArgumentParser, output: str) -> None:
    """Add the arguments of `asid paper figure5` and `supplement-figure2`."""
    add = parser.add_argument
    add('--gt', type=Path, metavar='FILE', help="HR image; default: scikit-image's photograph of a cat")
    add('--lq', type=Path, metavar='FILE', help='its LR image (default: made from it by imresize)')
    add('--scale', type=int, default=4, help='(%(default)s)')
    add_networks(
        parser,
        '[NAME=]FILE, any number: as for asid evaluate (default: the weights in the package). Bicubic is always there',
    )
    add('--how', choices=('tiles', 'whole'), default='tiles', help='how networks see the image (%(default)s)')
    add(
        '--box',
        type=int,
        nargs=4,
        metavar=('X', 'Y', 'W', 'H'),
        help='the detail in HR pixels (default: the square where bicubic differs most from HR)',
    )
    add('--columns', type=int, help='of details (default: in two rows)')
    add_figure_output(parser, output)


def add_figure6_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper figure6`."""
    add = parser.add_argument
    add('--image', type=Path, metavar='FILE', help="default: scikit-image's photograph of a cat")
    add(
        '--window',
        type=int,
        nargs=2,
        metavar=('ROW', 'COL'),
        help='counted in windows of 8x8 pixels, from 0 (default: the one whose pixels differ most)',
    )
    add('--weights', type=Path, metavar='FILE', help='a checkpoint of ASID, which says what it shares')
    add('--sharing', choices=SHARING, help='without --weights, of an untrained ASID (none, as in the paper)')
    add('--seed', type=int, default=0, help='of the untrained ASID (%(default)s)')
    add_figure_output(parser, 'results/figure6.png')


def add_curve_arguments(parser: argparse.ArgumentParser, output: str) -> None:
    """Add the arguments of `asid paper figure7` and `supplement-figure1`."""
    add_figure_output(parser, output)
    add_measured(parser, 'draw the PSNR on Urban100 x2 that was measured of these networks by tiles')


def add_realsr_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper supplement-table1`."""
    add_measured(parser, 'add figures that were measured on the set RealSR at x3 or x4')


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper plan`."""
    add = parser.add_argument
    add(
        'parts', nargs='*', metavar='PART', help='a table or figure, such as table3 (default: all that are trained for)'
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument('--next', action='store_true', help='print the one command to type now, and measure nothing')
    action.add_argument('--run', action='store_true', help='train whatever is not done, one after another')
    action.add_argument('--slurm', type=Path, metavar='DIR', help='write job arrays of SLURM that train it')
    action.add_argument('--json', action='store_true', help='print the plan in JSON')
    add('--options', type=Path, default=Path('options'), metavar='DIR', help='folder of option files (%(default)s)')
    add(
        '--iterations',
        type=int,
        metavar='N',
        help='of each training, as a test; their experiments are named NAME_N_iterations, so that nobody takes them '
        "for the paper's",
    )
    add(
        '--force_yml',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='change options of all trainings, as asid train does: of data and batch, say',
    )
    add(
        '--device',
        default='auto',
        choices=['auto', 'cpu', 'cuda'],
        help='that is measured (auto: CUDA if there is any)',
    )
    add('--no-measure', action='store_true', help='hours only where the rate is known from an earlier time')
    add(
        '-o',
        '--output',
        type=Path,
        default=Path('results/plan'),
        metavar='DIR',
        help='where the rates are kept that were measured (%(default)s)',
    )
    parser.set_defaults(goes_on='interrupted; the same command goes on')


class Part(NamedTuple):
    """A table or figure: its help, the function that adds its arguments, and MODULE:FUNCTION that produces it."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    produce: str


PARTS = {
    'table1': Part('parameters, PSNR and SSIM', add_table1_arguments, 'tables:print_table1'),
    'table2': Part('parameters, FLOPs, memory, time', add_table2_arguments, 'tables:print_table2'),
    'table3': Part('ablation of the structure', add_no_arguments, 'tables:print_table3'),
    'table4': Part('ablation of attention sharing', add_no_arguments, 'tables:print_table4'),
    'figure1': Part('PSNR against parameters', add_figure1_arguments, 'scatter:main'),
    'figure5': Part('results side by side', partial(add_crops_arguments, output='results/figure5.png'), 'crops:main'),
    'figure6': Part('attention matrices', add_figure6_arguments, 'attention_maps:main'),
    'figure7': Part('depth', partial(add_curve_arguments, output='results/figure7.png'), 'curves:figure7'),
    'supplement-table1': Part('RealSR', add_realsr_arguments, 'realsr:main'),
    'supplement-figure1': Part(
        'channel-split ratio, on Omni-SR',
        partial(add_curve_arguments, output='results/supplement_figure1.png'),
        'curves:supplement_figure1',
    ),
    'supplement-figure2': Part(
        'results side by side, as figure5',
        partial(add_crops_arguments, output='results/supplement_figure2.png'),
        'crops:main',
    ),
    'plan': Part(
        'every training behind it: how far it is, and the hours that are left', add_plan_arguments, 'plan:main'
    ),
}
