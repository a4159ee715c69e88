"""From the old names to the new ones, with a warning."""

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

from asid_plugin.commands.main import main


def warn(old: str, new: str) -> None:
    """Warn that a name has moved; the warning is shown where a program runs the old module itself."""
    warnings.warn(f'{old} has moved to {new}', DeprecationWarning, stacklevel=3)


def lookup(old: str, new: str) -> Callable[[str], Any]:
    """A module's `__getattr__` that finds its attributes in another module.

    Args:
        old: The module's name.
        new: The module that has the attributes now.
    """

    def find(name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(f'module {old!r} has no attribute {name!r}')
        value = getattr(import_module(new), name)
        warnings.warn(f'{old}.{name} has moved to {new}', DeprecationWarning, stacklevel=2)
        return value

    return find


def run(old: str, *command: str) -> None:
    """Run `python -m OLD ...` as `asid COMMAND ...` and end the program with its exit status."""
    print(f'note: python -m {old} is now asid {" ".join(command)}', file=sys.stderr)
    sys.exit(main([*command, *sys.argv[1:]]))
