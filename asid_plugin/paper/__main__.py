"""Produce a table or figure of the paper: `python -m asid_plugin.paper table2`, and so on.

What can be counted or measured on this machine is; the paper's own figures stand beside it, marked as reported.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from asid_plugin.checkpoint import CheckpointError
from asid_plugin.cost import CostError
from asid_plugin.evaluate.results import EvaluationError
from asid_plugin.image_io import ImageError
from asid_plugin.paper import attention_maps, crops, curves, realsr, scatter, tables
from asid_plugin.paper.measured import MeasuredError
from asid_plugin.paper.style import FigureError


class Command(NamedTuple):
    """A table or figure: what it shows, and the functions that say what it takes and produce it."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    main: Callable[[argparse.Namespace], None]


COMMANDS = {
    'table1': Command('parameters, PSNR and SSIM', tables.add_table1_arguments, tables.print_table1),
    'table2': Command('parameters, FLOPs, memory, time', tables.add_table2_arguments, tables.print_table2),
    'table3': Command('ablation of the structure', tables.add_no_arguments, tables.print_table3),
    'table4': Command('ablation of attention sharing', tables.add_no_arguments, tables.print_table4),
    'figure1': Command('PSNR against parameters', scatter.add_arguments, scatter.main),
    'figure5': Command('results side by side', crops.add_arguments, crops.main),
    'figure6': Command('attention matrices', attention_maps.add_arguments, attention_maps.main),
    'figure7': Command('depth', partial(curves.add_arguments, default='results/figure7.png'), curves.figure7),
    'supplement-table1': Command('RealSR', realsr.add_arguments, realsr.main),
    'supplement-figure1': Command(
        'channel-split ratio, on Omni-SR',
        partial(curves.add_arguments, default='results/supplement_figure1.png'),
        curves.supplement_figure1,
    ),
    'supplement-figure2': Command('results side by side, as figure5', crops.add_arguments, crops.main),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 2 with one line on stderr if it cannot be carried out, 130 if interrupted."""
    parser = argparse.ArgumentParser(
        prog='python -m asid_plugin.paper',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(metavar='WHAT', required=True)
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.help, description=f'The paper: {command.help}.')
        command.add_arguments(subparser)
        subparser.set_defaults(main=command.main)
        if name == 'supplement-figure2':
            subparser.set_defaults(output=Path('results/supplement_figure2.png'))
    args = parser.parse_args(argv)
    try:
        args.main(args)
    except (CheckpointError, CostError, EvaluationError, FigureError, ImageError, MeasuredError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
