"""Mistakes in option files: their keys and their messages."""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

Key = tuple[str, ...]
Options = Mapping[str, Any]
_SHOWN = 120


@dataclass(frozen=True)
class Problem:
    """A mistake in an option file: its key, and a message with the mistake and the correct value."""

    key: Key
    message: str

    def __str__(self) -> str:
        return ': '.join((*self.key, self.message))


def is_number(value: Any) -> bool:
    """Whether `value` is an int of 64 bits or a finite float; true and false are not."""
    return is_int(value) or (isinstance(value, float) and math.isfinite(value))


def is_int(value: Any) -> bool:
    """Whether `value` is an int of 64 bits, as torch takes them; true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def shown(value: Any) -> str:
    """A value for a message, truncated if it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known word nearest to a mistyped one, if any; case is ignored."""
    by_lower = {item.lower(): item for item in sorted(known)}
    near = get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None


def unknown(name: Any, known: Iterable[str]) -> str:
    """The message on an unknown key or type, with the nearest known one."""
    known = sorted(known)
    near = nearest(str(name), known)
    return f'unknown; did you mean {near}?' if near else f'unknown; known are {", ".join(known)}'


def mapping(options: Any, *keys: str) -> Options:
    """The section at `keys`; empty if it is missing or not a section."""
    for key in keys:
        options = options.get(key) if isinstance(options, Mapping) else None
    return options if isinstance(options, Mapping) else {}


def no_such_file(path: str | os.PathLike[str]) -> str:
    """The message on an option file that does not exist, with the nearest one beside it or in `options/`."""
    files = [*Path(path).parent.glob('*.yml'), *Path('options').rglob('*.yml')]
    near = nearest(os.fspath(path), map(os.fspath, files))
    return f'{located(path)}: no such file' + (f'; did you mean {near}?' if near else '')


def located(path: str | os.PathLike[str]) -> str:
    """A missing path, with the folder of the search."""
    return f'{path}' if os.path.isabs(path) else f'{path} in {os.getcwd()}'
