"""Read the entries of `--force_yml` before BasicSR evaluates them as code."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from basicsr.utils import options as basicsr_options

from asid_plugin.errors import ASIDError

from .problems import Key, Options, mapping, nearest

_KEY = re.compile(r'[\w.-]+')


class ForcedError(ASIDError):
    """An invalid entry; the message is one line."""


@dataclass(frozen=True)
class Forced:
    """An entry of `--force_yml`: its key and value."""

    key: Key
    value: Any


def read_forced(entries: Iterable[str], opt: Options, file: str) -> list[Forced]:
    """Read the entries of `--force_yml`.

    Args:
        entries: Such as 'train:total_iter=1000'.
        opt: Options of the file, which must have the named sections.
        file: Its name.

    Raises:
        ForcedError: An entry is malformed, or belongs to a section that an earlier one replaced.
    """
    forced: list[Forced] = []
    for entry in entries:
        read = _read(entry, opt, file)
        for key in (other.key for other in forced if len(other.key) < len(read.key)):
            if read.key[: len(key)] == key:  # the value of an entry is never a section
                raise ForcedError(f'--force_yml: {entry}: an earlier entry replaces the section {":".join(key)}')
        forced.append(read)
    return forced


def forced_upon(opt: Options, forced: Iterable[Forced]) -> dict[str, Any]:
    """A copy of the options with these changes."""
    changed = _copied(opt)
    for entry in forced:
        *sections, last = entry.key
        section = changed
        for name in sections:
            section = section[name]
        section[last] = entry.value
    return changed


def _read(entry: str, opt: Options, file: str) -> Forced:
    keys, *values = entry.split('=')
    if len(values) != 1:
        raise ForcedError(f'--force_yml: {entry}: should be section:key=value, with one equals sign')
    key = tuple(keys.strip().split(':'))
    for name in key:
        if not _KEY.fullmatch(name):
            raise ForcedError(f'--force_yml: {entry}: {name!r} is not a key; use section:key=value')
    for depth, name in enumerate(key[:-1]):
        section = mapping(opt, *key[:depth])
        if not isinstance(section.get(name), Mapping):
            near = nearest(name, section)
            hint = f'; did you mean {":".join((*key[:depth], near))}?' if near and near != name else ''
            raise ForcedError(f'--force_yml: {entry}: {file} has no section {":".join(key[: depth + 1])}{hint}')
    try:
        value = basicsr_options._postprocess_yml_value(values[0].strip())
        repr(value)  # Python refuses whole numbers of thousands of digits
        return Forced(key, value)
    except Exception:  # an unfinished list, or an invalid number
        raise ForcedError(f'--force_yml: {entry}: {values[0].strip()!r} is not a list or number') from None


def _copied(opt: Options) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in opt.items()}
