"""Forward old names to new ones, with a warning."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from asid_plugin.commands.main import main


def warn(old: str, new: str) -> None:
    """Warn that a name has moved; Python shows the warning if a program runs the old module."""
    warnings.warn(f'{old} has moved to {new}', DeprecationWarning, stacklevel=3)


def lookup(old: str, new: str, **others: str) -> Callable[[str], Any]:
    """A module `__getattr__` that finds attributes in another module.

    Args:
        old: The module's name.
        new: The new module of the attributes.
        **others: Attributes in other modules or with other names, as 'module:name'.
    """

    def find(name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(f'module {old!r} has no attribute {name!r}')
        module, _, attribute = others.get(name, f'{new}:{name}').partition(':')
        value = getattr(import_module(module), attribute)
        place = module if attribute == name else f'{module}.{attribute}'
        warnings.warn(f'{old}.{name} has moved to {place}', DeprecationWarning, stacklevel=2)
        return value

    return find


def command(old: str, *name: str) -> Callable[[Sequence[str] | None], int]:
    """The function `main` of a former command module."""

    def run_command(argv: Sequence[str] | None = None) -> int:
        warn(f'{old}.main', f'asid {" ".join(name)}')
        return main([*name, *(sys.argv[1:] if argv is None else argv)])

    return run_command


def run(old: str, *command: str) -> None:
    """Run `python -m OLD ...` as `asid COMMAND ...` and end the program with its exit status."""
    if 'LOCAL_RANK' not in os.environ:  # torchrun starts many processes by module
        print(f'note: python -m {old} is now asid {" ".join(command)}', file=sys.stderr)
    sys.exit(main([*command, *sys.argv[1:]]))
