"""Generate the documentation of option files from the declarations."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY

from asid_plugin import markdown

from .basicsr_keys import BASICSR_SECTIONS
from .declaration import Needed, Option
from .kinds import Schema
from .schema import KNOWN_MODELS, registered
from .sections import ADDED
from .signatures import needed, parameter_schemas, sentences
from .words import SECTION_WORDS, in_words

_INTRODUCTION = """# Keys of option files

Option files have BasicSR's form, in YAML; [options/](../options) has examples. This page lists the keys that are
checked before a run starts, for these models: {models}. A section with the name of a class (`type`) also takes the
arguments of that class; `~` means no value.

`asid schema --page docs/options.md` generates this page from the declarations in `asid_plugin/options`.
"""
_KINDS = (('Networks', ARCH_REGISTRY), ('Losses', LOSS_REGISTRY), ('Metrics', METRIC_REGISTRY))
_GIVEN = {'img', 'img2'}
"""Arguments that BasicSR passes, not the option file."""


def to_markdown() -> str:
    """The page."""
    return '\n'.join([_INTRODUCTION.format(models=_listed(KNOWN_MODELS)), *_sections(), *_components()])


def _sections() -> Iterator[str]:
    for section in BASICSR_SECTIONS:
        yield f'## {f"`{section.place}`" if section.place else "At the top"}\n'
        yield _table('key', map(_option_row, section.declared().values())) + '\n'
        for added in ADDED:
            if added.place == section.place:
                yield f'Read by {_listed(added.read_by)} only:\n'
                yield _table('key', map(_option_row, added.declared().values())) + '\n'


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f'{", ".join(others)} and {last}' if others else last


def _components() -> Iterator[str]:
    """The arguments of the classes and functions of this package."""
    for title, registry in _KINDS:
        yield f'## {title} of asid_plugin\n'
        for name, function in sorted(registered(registry).items()):
            if function.__module__.startswith('asid_plugin.'):
                yield f'### `type: {name}`\n\n{sentences(function).summary}\n'
                yield _table('argument', _argument_rows(function)) + '\n'


def _table(first: str, rows: Iterable[tuple[Any, ...]]) -> str:
    return markdown.table(
        (first, 'values', 'default', 'meaning'), [[str(cell).replace('|', '\\|') for cell in row] for row in rows]
    )


def _option_row(option: Option[Any, Any]) -> tuple[str, str, str, str]:
    default = option.default.value if isinstance(option.default, Needed) else _yaml(option.default)
    return f'`{option.name}`', _values(option.kind.schema), default, option.sentence


def _argument_rows(function: Callable[..., Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, schema in parameter_schemas(function).items():
        if name not in _GIVEN:
            default = Needed.ALWAYS.value if name in needed(function) else _yaml(schema.get('default'))
            yield f'`{name}`', _values(schema), default, schema.get('description', '')


def _values(schema: Schema) -> str:
    return in_words(schema).replace(SECTION_WORDS, 'a section') if schema.keys() - {'default', 'description'} else 'any'


def _yaml(value: Any) -> str:
    """A default in YAML."""
    plain = {None: '~', True: 'true', False: 'false'}
    return f'`{plain[value] if value is None or isinstance(value, bool) else value}`'
