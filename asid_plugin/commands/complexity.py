"""Print the sizes of every network of the paper at a 1280x720 output as a Markdown table."""

import argparse


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """The command takes no arguments."""


def run(_args: argparse.Namespace) -> None:
    """Print the table."""
    from asid_plugin.cost.complexity import table

    print(table())
