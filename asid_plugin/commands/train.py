"""Train by an option file, as `python basicsr/train.py` does in a source tree of BasicSR.

`experiments/` and `tb_logger/` are written to the current folder, and --auto_resume looks into it.
Several processes: torchrun --nproc_per_node=4 -m asid_plugin train FILE --launcher pytorch
"""

import argparse

from .arguments import add_basicsr_arguments, run_basicsr


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_basicsr_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Train."""
    run_basicsr('train', args)
