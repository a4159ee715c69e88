"""Mistakes in option files: what they are at, and in which words they are told."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

Key = tuple[str, ...]
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """A mistake in an option file: the key it is at, and in words what is wrong and what would be right."""

    key: Key
    message: str

    def __str__(self) -> str:
        return ': '.join((*self.key, self.message))


def is_number(value: Any) -> bool:
    """Whether `value` is a finite int or float; true and false are not numbers here."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


# Where digits are text all the same.
TEXT_KEYS = {
    'name',
    'type',
    'suffix',
    'filename_tmpl',
    'dataroot_gt',
    'dataroot_lq',
    'meta_info_file',
    'path',
    'wandb',
    'plugin',
}
_NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?', re.IGNORECASE)


def read_numbers(value: Any, problems: list[Problem], key: Key = ()) -> Any:
    """Turn numbers that YAML took for text into numbers.

    YAML 1.1 reads 5e-4 as text (it wants 5.0e-4), and `--force_yml` passes on as text what is not made of digits.

    Args:
        value: Options, or any value in them; not changed.
        problems: Receives one problem for every such number.
        key: Where `value` stands.

    Returns:
        A copy of `value` with the numbers put right, and keys that are text.
    """
    if isinstance(value, Mapping):
        items = ((str(k), v) for k, v in value.items())
        return {k: v if k in TEXT_KEYS else read_numbers(v, problems, (*key, k)) for k, v in items}
    if isinstance(value, list):
        return [read_numbers(v, problems, key) for v in value]
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return value
    mantissa, _, exponent = value.lower().partition('e')
    plain = f'{mantissa if "." in mantissa else mantissa + ".0"}e{int(exponent):+d}' if exponent else value
    problems.append(Problem(key, f"'{value}' is text, not a number; write {plain}, or in --force_yml !!float {value}"))
    return float(value) if exponent or '.' in value else int(value)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of the known words that is nearest to a mistyped one, if any is near; case does not count."""
    by_lower = {item.lower(): item for item in sorted(known)}
    near = get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None


def unknown(name: Any, known: Iterable[str]) -> str:
    """Say that a key or type is unknown, and which known one is nearest to it."""
    known = sorted(known)
    near = nearest(str(name), known)
    return f'unknown; did you mean {near}?' if near else f'unknown; known are {", ".join(known)}'


def mapping(options: Any, *keys: str) -> Options:
    """The section at `keys`; empty where there is none, or something else in its place."""
    for key in keys:
        options = options.get(key) if isinstance(options, Mapping) else None
    return options if isinstance(options, Mapping) else {}
