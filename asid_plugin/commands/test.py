"""Test with an option file, like `python basicsr/test.py` in a source tree of BasicSR.

`results/` is written to the current folder.
"""

import argparse

from .arguments import add_basicsr_arguments, run_basicsr


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_basicsr_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Test."""
    run_basicsr('test', args)
