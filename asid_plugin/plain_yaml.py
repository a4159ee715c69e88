"""Read untrusted YAML: only plain values, no code, within the limits of option files."""

import os
import re
import stat
from collections import OrderedDict
from pathlib import Path
from typing import Any

import yaml

from .errors import ASIDError
from .version import __version__

MOST_BYTES = 1 << 18
"""Most bytes of a file; an option file has a few thousand."""
MOST_VALUES = 20_000
"""Most values, including repetitions by aliases: nine levels of ten aliases each would be a billion."""
MOST_LEVELS = 50
"""Most levels of nested sections and lists."""

MOST_DIGITS = 300
"""Most digits of a number; floating point ends at about 1e308, and a whole number of 100,000 digits takes seconds."""

_UNSEEN = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
"""Control characters for terminals, and characters that no file name has; line breaks are allowed."""

_SafeLoader: Any = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
_NUMBERS = ('tag:yaml.org,2002:int', 'tag:yaml.org,2002:float')
_NAMES = {'tag:yaml.org,2002:python/name:asid_plugin.__version__': __version__}
"""Permitted Python names: this one imports the package if its start-up hook is not installed."""


class YAMLError(ASIDError):
    """A file that is not plain YAML, with the line."""

    def __init__(self, message: str, node_or_event: Any = None) -> None:
        mark = getattr(node_or_event, 'start_mark', None)
        super().__init__(f'line {mark.line + 1}: {message}' if mark else message)


def read(path: str | os.PathLike[str], any_keys: bool = False) -> Any:
    """Read a file of plain YAML; see `load`.

    Raises:
        YAMLError: It is not plain YAML, or not a regular file.
        OSError: It cannot be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # reading a pipe may block
        raise YAMLError('not a file')
    with Path(path).open('rb') as file:
        return load(file.read(MOST_BYTES + 1), any_keys)


def load(content: str | bytes, any_keys: bool = False) -> Any:
    """Read plain YAML: text, numbers, dates, lists, and sections whose keys are text.

    Args:
        content: UTF-8, of at most `MOST_BYTES`.
        any_keys: Keys may also be numbers, dates, true, false and null.

    Returns:
        The value; sections are `OrderedDict`s, as in BasicSR, and aliases are copies, because BasicSR modifies them.

    Raises:
        YAMLError: It is not YAML, or not plain: Python objects, keys that are not text, recursive aliases, too many
            values, too long numbers, or control characters.
    """
    if len(content) > MOST_BYTES:
        raise YAMLError(f'more than {MOST_BYTES // 1024} KiB, the limit for option files')
    try:
        text = content.removeprefix(b'\xef\xbb\xbf').decode() if isinstance(content, bytes) else content
        _check(text)
        return _unshared(yaml.load(text, _AnyKeysLoader if any_keys else _Loader))
    except UnicodeDecodeError as error:
        raise YAMLError(f'not YAML: byte {error.start} is not UTF-8') from None
    except yaml.MarkedYAMLError as error:
        where = f'line {error.problem_mark.line + 1}: ' if error.problem_mark else ''
        raise YAMLError(f'{where}not YAML: {error.problem or error.context}') from None
    except yaml.YAMLError as error:
        raise YAMLError(f'not YAML: {" ".join(str(error).split())}') from None


def _unshared(value: Any) -> Any:
    if isinstance(value, dict):
        return OrderedDict((key, _unshared(item)) for key, item in value.items())
    return [_unshared(item) for item in value] if isinstance(value, list) else value


def _check(text: str) -> None:
    """Check the number of values in a text before building them."""
    sizes: dict[str, int] = {}  # sizes of values with anchors
    levels: list[tuple[str | None, int]] = [(None, 0)]  # open collections: their anchors, and sizes so far
    for event in yaml.parse(text, _SafeLoader):
        size, anchor = 0, getattr(event, 'anchor', None)
        if isinstance(event, yaml.CollectionStartEvent):
            levels.append((anchor, 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = levels.pop()
        elif isinstance(event, yaml.AliasEvent):
            if anchor in (begun for begun, _ in levels):
                raise YAMLError(f'*{anchor} is an alias inside its own value', event)
            size, anchor = sizes.get(anchor or '', 1), None
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            _check_letters(event)
        if anchor is not None and size:
            sizes[anchor] = size
        begun, before = levels.pop()
        levels.append((begun, before + size))
        if before + size > MOST_VALUES:
            raise YAMLError(f'more than {MOST_VALUES} values, including repetitions by aliases', event)
        if len(levels) > MOST_LEVELS:
            raise YAMLError(f'more than {MOST_LEVELS} levels of nested sections and lists', event)


def _check_letters(event: Any) -> None:
    if found := _UNSEEN.search(event.value):
        raise YAMLError(f'{found[0]!r} in a text; only visible characters are allowed', event)


class _Loader(_SafeLoader):
    """PyYAML's loader for plain values, with sections as in BasicSR, and all failures as `YAMLError`."""

    any_keys = False

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build the value of a node; for `!!int x`, PyYAML raises any kind of error."""
        if node.tag in _NUMBERS and isinstance(node, yaml.ScalarNode) and len(node.value) > MOST_DIGITS:
            raise YAMLError(f'{_shown(node)} is a number of more than {MOST_DIGITS} characters', node)
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, YAMLError):
                raise
            raise YAMLError(f'{_shown(node)} is not a valid {node.tag.rpartition(":")[2]}', node) from None

    def construct_section(self, node: yaml.MappingNode) -> 'OrderedDict[str, Any]':
        """Build a section."""
        self.flatten_mapping(node)
        for key, _ in node.value:
            if key.tag != self.DEFAULT_SCALAR_TAG and not (self.any_keys and isinstance(key, yaml.ScalarNode)):
                raise YAMLError(f'the key {_shown(key)} is not text{_as_text(key)}', key)
        return OrderedDict(self.construct_pairs(node))

    def construct_name(self, node: yaml.Node) -> str:
        """The value of a permitted name."""
        return _NAMES[node.tag]

    def refuse(self, node: yaml.Node) -> Any:
        """Refuse a tag outside plain YAML."""
        tag = node.tag.replace('tag:yaml.org,2002:', '!!', 1)
        raise YAMLError(f'{tag} is not plain YAML; only plain values are read', node)


def _shown(node: Any) -> str:
    return repr(node.value)[:60] if isinstance(node, yaml.ScalarNode) else f'a {node.id}'


def _as_text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        return ''
    return f' but {node.tag.rpartition(":")[2]} in YAML; write {_shown(node)} in quotation marks'


_Loader.add_constructor(_Loader.DEFAULT_MAPPING_TAG, _Loader.construct_section)
_Loader.add_constructor(None, _Loader.refuse)
for _tag in ('binary', 'omap', 'pairs', 'set'):  # options never have these types
    _Loader.add_constructor(f'tag:yaml.org,2002:{_tag}', _Loader.refuse)
for _tag in _NAMES:
    _Loader.add_constructor(_tag, _Loader.construct_name)


class _AnyKeysLoader(_Loader):
    """The same loader for files with numbers as keys."""

    any_keys = True
