"""Convert numbers that YAML reads as text."""

import re
from collections.abc import Mapping
from typing import Any

from .problems import Key, Problem
from .sections import SECTIONS

TEXT_KEYS = {'type', 'path', 'wandb', 'plugin'} | {
    name for section in SECTIONS for name, option in section.declared().items() if option.kind.is_text
}
"""Keys whose digits are text."""
_NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?', re.IGNORECASE)


def read_numbers(value: Any, problems: list[Problem], key: Key = ()) -> Any:
    """Convert numbers that YAML read as text.

    YAML 1.1 reads 5e-4 as text (it expects 5.0e-4), and `--force_yml` passes everything except digits as text.

    Args:
        value: Options, or any value in them; not changed.
        problems: Receives one problem for every such number.
        key: Key of `value`.

    Returns:
        A copy of `value` with converted numbers, and with text keys.
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
