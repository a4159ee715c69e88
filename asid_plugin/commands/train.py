"""Train with an option file, like `python basicsr/train.py` in a source tree of BasicSR.

`experiments/` and `tb_logger/` are written to the current folder, where --auto_resume finds them.
Several processes: torchrun --nproc_per_node=4 -m asid_plugin train FILE --launcher pytorch
"""

import argparse

from asid_plugin.options.basicsr_keys import RAW

from .arguments import add_basicsr_arguments, run_basicsr

SWITCH = f'datasets:train:type={RAW}'
"""The entry of `--force_yml` that makes a training read raw pixels."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_basicsr_arguments(parser)
    parser.add_argument(
        '--raw',
        action='store_true',
        help='read the LMDBs of raw pixels that asid prepare ... --raw makes: the same training with less work for '
        f'the CPU; short for --force_yml {SWITCH}',
    )


def run(args: argparse.Namespace) -> None:
    """Train."""
    if args.raw:
        args.force_yml = [*(args.force_yml or []), SWITCH]
    run_basicsr('train', args)
