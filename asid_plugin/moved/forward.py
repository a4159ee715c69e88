"""What the old names have in common: a warning, and the way to the new ones."""

import sys
import warnings
from importlib import import_module
from typing import Any

from asid_plugin.commands.main import main


def warn(old: str, new: str) -> None:
    """Warn that a name has moved; the warning is shown where a program runs the old module itself."""
    warnings.warn(f'{old} has moved to {new}', DeprecationWarning, stacklevel=3)


def lookup(old: str, new: str, names: dict[str, str] | None = None) -> Any:
    """A module's `__getattr__` that finds attributes in another one.

    Args:
        old: The module's name.
        new: The module that has the attributes now.
        names: Attributes that are elsewhere, with the module of each.
    """

    def find(name: str) -> Any:
        module = (names or {}).get(name, new)
        if name.startswith('__'):
            raise AttributeError(f'module {old!r} has no attribute {name!r}')
        value = getattr(import_module(module), name)
        warnings.warn(f'{old}.{name} has moved to {module}', DeprecationWarning, stacklevel=3)
        return value

    return find


def run(old: str, *command: str) -> None:
    """Run `python -m OLD ...` as `asid COMMAND ...` and end the program with its exit status."""
    print(f'note: python -m {old} is now asid {" ".join(command)}', file=sys.stderr)
    sys.exit(main([*command, *sys.argv[1:]]))
