"""Train by an option file, as `python basicsr/train.py` does in a source tree of BasicSR.

`experiments/` and `tb_logger/` are written to the current folder, and --auto_resume looks into it.
Several processes: torchrun --nproc_per_node=4 -m asid_plugin train FILE --launcher pytorch
"""

import argparse

from asid_plugin.options.basicsr_keys import RAW

from .arguments import add_basicsr_arguments, run_basicsr

SWITCH = f'datasets:train:type={RAW}'
"""The entry of `--force_yml` by which a training reads raw pixels."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_basicsr_arguments(parser)
    parser.add_argument(
        '--raw',
        action='store_true',
        help='read raw pixels, of the LMDBs that asid prepare ... --raw makes beside those of PNG files: the same '
        f'training, with less work for the processor; short for --force_yml {SWITCH}',
    )


def run(args: argparse.Namespace) -> None:
    """Train."""
    if args.raw:
        args.force_yml = [*(args.force_yml or []), SWITCH]
    run_basicsr('train', args)
