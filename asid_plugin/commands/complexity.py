"""Print the sizes of every network of the paper at a 1280x720 output as a Markdown table."""

import argparse

from .arguments import add_no_arguments

add_arguments = add_no_arguments


def run(_args: argparse.Namespace) -> None:
    """Print the table."""
    from asid_plugin.cost.complexity import table

    print(table())
