"""YAML from strangers: plain values only, no code, and no more of them than an option file has."""

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
"""Of a file; an option file has some thousand."""
MOST_VALUES = 20_000
"""With those that aliases repeat: nine levels of ten aliases each would be a thousand million."""
MOST_LEVELS = 50
"""Of sections and lists in each other."""

MOST_DIGITS = 300
"""Of a number; floating point ends at about 1e308, and to read or write a whole number of 100,000 takes seconds."""

_UNSEEN = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
"""Letters that a terminal would obey, or that no file has in its name; lines may end in a text."""

_SafeLoader: Any = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
_NUMBERS = ('tag:yaml.org,2002:int', 'tag:yaml.org,2002:float')
_NAMES = {'tag:yaml.org,2002:python/name:asid_plugin.__version__': __version__}
"""Python's names that may stand in a file: that one imports this package where its start-up hook is not installed."""


class YAMLError(ASIDError):
    """A file that is not plain YAML, and where."""

    def __init__(self, message: str, node_or_event: Any = None) -> None:
        mark = getattr(node_or_event, 'start_mark', None)
        super().__init__(f'line {mark.line + 1}: {message}' if mark else message)


def read(path: str | os.PathLike[str], any_keys: bool = False) -> Any:
    """Read a file of plain YAML; see `load`.

    Raises:
        YAMLError: It is not one, or no regular file.
        OSError: It cannot be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # a pipe might never end, or never begin
        raise YAMLError('not a file')
    with Path(path).open('rb') as file:
        return load(file.read(MOST_BYTES + 1), any_keys)


def load(content: str | bytes, any_keys: bool = False) -> Any:
    """Read plain YAML: text, numbers, dates, lists, and sections whose keys are text.

    Args:
        content: UTF-8, of at most `MOST_BYTES`.
        any_keys: Keys may also be numbers, dates, true, false and null.

    Returns:
        The value; sections are `OrderedDict`s, as BasicSR has them, and aliases are copies: BasicSR writes into them.

    Raises:
        YAMLError: It is not YAML, or not plain: objects of Python, a key that is no text, an alias inside the value
            that it repeats, too many values, numbers that are too long, or letters that a terminal obeys.
    """
    if len(content) > MOST_BYTES:
        raise YAMLError(f'more than {MOST_BYTES // 1024} KiB, which no option file has')
    try:
        text = content.removeprefix(b'\xef\xbb\xbf').decode() if isinstance(content, bytes) else content
        _check(text)
        return _unshared(yaml.load(text, _AnyKeysLoader if any_keys else _Loader))
    except UnicodeDecodeError as error:
        raise YAMLError(f'not YAML: byte {error.start} is not of UTF-8') from None
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
    """Check the size of the values in a text, before anything is built of it."""
    sizes: dict[str, int] = {}  # of the values with anchors
    levels: list[tuple[str | None, int]] = [(None, 0)]  # those that have begun: their anchors, and sizes so far
    for event in yaml.parse(text, _SafeLoader):
        size, anchor = 0, getattr(event, 'anchor', None)
        if isinstance(event, yaml.CollectionStartEvent):
            levels.append((anchor, 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = levels.pop()
        elif isinstance(event, yaml.AliasEvent):
            if anchor in (begun for begun, _ in levels):
                raise YAMLError(f'*{anchor} stands inside the value that it repeats', event)
            size, anchor = sizes.get(anchor or '', 1), None
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            _check_letters(event)
        if anchor is not None and size:
            sizes[anchor] = size
        begun, before = levels.pop()
        levels.append((begun, before + size))
        if before + size > MOST_VALUES:
            raise YAMLError(f'more than {MOST_VALUES} values, with those that aliases repeat', event)
        if len(levels) > MOST_LEVELS:
            raise YAMLError(f'more than {MOST_LEVELS} sections and lists in each other', event)


def _check_letters(event: Any) -> None:
    if found := _UNSEEN.search(event.value):
        raise YAMLError(f'{found[0]!r} in a text; options are of letters that can be seen', event)


class _Loader(_SafeLoader):
    """PyYAML's loader of plain values, with sections as BasicSR has them, and every failure as a `YAMLError`."""

    any_keys = False

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build the value of a node; for `!!int x`, PyYAML raises any kind of error."""
        if node.tag in _NUMBERS and isinstance(node, yaml.ScalarNode) and len(node.value) > MOST_DIGITS:
            raise YAMLError(f'{_shown(node)} is longer than {MOST_DIGITS} letters, which no number is', node)
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, YAMLError):
                raise
            raise YAMLError(f'{_shown(node)} is no {node.tag.rpartition(":")[2]}', node) from None

    def construct_section(self, node: yaml.MappingNode) -> 'OrderedDict[str, Any]':
        """Build a section."""
        self.flatten_mapping(node)
        for key, _ in node.value:
            if key.tag != self.DEFAULT_SCALAR_TAG and not (self.any_keys and isinstance(key, yaml.ScalarNode)):
                raise YAMLError(f'the key {_shown(key)} is not text{_as_text(key)}', key)
        return OrderedDict(self.construct_pairs(node))

    def construct_name(self, node: yaml.Node) -> str:
        """The value of a name that may stand in a file."""
        return _NAMES[node.tag]

    def refuse(self, node: yaml.Node) -> Any:
        """Refuse a tag that is not of plain YAML."""
        tag = node.tag.replace('tag:yaml.org,2002:', '!!', 1)
        raise YAMLError(f'{tag} is not plain YAML, and nothing else is read', node)


def _shown(node: Any) -> str:
    return repr(node.value)[:60] if isinstance(node, yaml.ScalarNode) else f'a {node.id}'


def _as_text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        return ''
    return f' but, to YAML, {node.tag.rpartition(":")[2]}; write {_shown(node)}, in quotation marks'


_Loader.add_constructor(_Loader.DEFAULT_MAPPING_TAG, _Loader.construct_section)
_Loader.add_constructor(None, _Loader.refuse)
for _tag in ('binary', 'omap', 'pairs', 'set'):  # which no option is
    _Loader.add_constructor(f'tag:yaml.org,2002:{_tag}', _Loader.refuse)
for _tag in _NAMES:
    _Loader.add_constructor(_tag, _Loader.construct_name)


class _AnyKeysLoader(_Loader):
    """The same for files in which keys may be numbers."""

    any_keys = True
