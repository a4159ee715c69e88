"""Reproduce a table or figure of the paper (`asid paper table2`), or plan its trainings (`asid paper plan`).

Values are counted or measured on this machine where possible. The values of the paper are marked as reported.
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
        subparser = subparsers.add_parser(name, help=part.help, description=f'{part.help[0].upper()}{part.help[1:]}.')
        part.add_arguments(subparser)
        subparser.set_defaults(produce=part.produce)


def run(args: argparse.Namespace) -> None:
    """Produce the named table or figure."""
    call(f'asid_plugin.paper.{args.produce}', args)


def add_table1_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper table1`."""
    parser.add_argument('--scale', type=int, choices=[2, 3, 4], help='only this scale (default: all)')
    add_measured(parser, 'add measured rows')


def add_table2_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper table2`."""
    add = parser.add_argument
    add('--scale', '--upscale', type=int, choices=[2, 3, 4], default=4, help='default: %(default)s, as in the paper')
    add(
        '--no-measure',
        action='store_true',
        help='count only; measuring memory and time takes a minute or two on an idle machine',
    )
    add('--repeat', type=int, default=3, help='number of passes; the table shows the median time (default: 3)')
    add('--threads', type=int, default=2, help='CPU threads (default: 2)')
    add('--device', choices=['cpu', 'cuda'], default='cpu')


def add_figure1_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper figure1`."""
    parser.add_argument('--scale', type=int, choices=(2, 3, 4), default=2, help='scale (default: %(default)s)')
    parser.add_argument('--set', choices=BENCHMARKS, default='Urban100', help='benchmark (%(default)s)')
    add_measured(parser, 'add measured networks')
    parser.add_argument(
        '--point',
        nargs=3,
        action='append',
        default=[],
        metavar=('NAME', 'PARAMS', 'PSNR'),
        help='add a measured network, PARAMS with all digits: --point mine 297516 31.9; may be repeated',
    )
    add_figure_output(parser, 'results/figure1.png')


def add_crops_arguments(parser: argparse.ArgumentParser, output: str) -> None:
    """Add the arguments of `asid paper figure5` and `supplement-figure2`."""
    add = parser.add_argument
    add('--gt', type=Path, metavar='FILE', help='HR image (default: the photograph of a cat in scikit-image)')
    add('--lq', type=Path, metavar='FILE', help='its LR image (default: made from the HR image by imresize)')
    add('--scale', type=int, default=4, help='scale (default: %(default)s)')
    add_networks(
        parser,
        '[NAME=]FILE, any number, as in asid evaluate (default: the packaged weights). Bicubic is always included',
    )
    add('--how', choices=('tiles', 'whole'), default='tiles', help='run networks by tiles or at once (%(default)s)')
    add(
        '--box',
        type=int,
        nargs=4,
        metavar=('X', 'Y', 'W', 'H'),
        help='the detail in HR pixels (default: the square where bicubic differs most from HR)',
    )
    add('--columns', type=int, help='columns of details (default: as many as two rows need)')
    add_figure_output(parser, output)


def add_figure6_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper figure6`."""
    add = parser.add_argument
    add('--image', type=Path, metavar='FILE', help='image (default: the photograph of a cat in scikit-image)')
    add(
        '--window',
        type=int,
        nargs=2,
        metavar=('ROW', 'COL'),
        help='row and column of the window, in windows of 8x8 pixels from 0 (default: the window whose pixels vary '
        'most)',
    )
    add('--weights', type=Path, metavar='FILE', help='a checkpoint of ASID, which determines the sharing')
    add('--sharing', choices=SHARING, help='without --weights, sharing of an untrained ASID (default: none)')
    add('--seed', type=int, default=0, help='seed of the untrained ASID (default: %(default)s)')
    add_figure_output(parser, 'results/figure6.png')


def add_curve_arguments(parser: argparse.ArgumentParser, output: str) -> None:
    """Add the arguments of `asid paper figure7` and `supplement-figure1`."""
    add_figure_output(parser, output)
    add_measured(parser, 'draw the PSNR of these networks, measured by tiles on Urban100 x2')


def add_realsr_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper supplement-table1`."""
    add_measured(parser, 'add results measured on the set RealSR at x3 or x4')


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid paper plan`."""
    add = parser.add_argument
    add(
        'parts', nargs='*', metavar='PART', help='a table or figure, such as table3 (default: all that need a training)'
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument('--next', action='store_true', help='print only the next command to run, without measuring')
    action.add_argument('--run', action='store_true', help='run the remaining trainings one after another')
    action.add_argument('--slurm', type=Path, metavar='DIR', help='write SLURM job arrays for the trainings')
    action.add_argument('--json', action='store_true', help='print the plan as JSON')
    add('--options', type=Path, default=Path('options'), metavar='DIR', help='folder of option files (%(default)s)')
    add(
        '--iterations',
        type=int,
        metavar='N',
        help='shorten each training to N iterations, as a test; the experiments are named NAME_N_iterations',
    )
    add(
        '--force_yml',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='change options of all trainings, as in asid train, such as the data or the batch',
    )
    add(
        '--device',
        default='auto',
        choices=['auto', 'cpu', 'cuda'],
        help='device to measure; auto takes CUDA if available (default: auto)',
    )
    add('--no-measure', action='store_true', help='estimate hours only from rates that were measured before')
    add(
        '-o',
        '--output',
        type=Path,
        default=Path('results/plan'),
        metavar='DIR',
        help='folder for the measured rates (default: %(default)s)',
    )
    parser.set_defaults(continues='interrupted; run the same command to continue')


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
    'plan': Part('progress and remaining hours of the trainings', add_plan_arguments, 'plan:main'),
}
