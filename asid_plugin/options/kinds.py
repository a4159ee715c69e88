"""Kinds of values that an option can have; each knows its JSON Schema, which `words` puts into words."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .problems import Options

Schema = dict[str, Any]
"""A JSON Schema, draft 7."""
Value = TypeVar('Value')
"""A value that a kind allows, in Python."""


@dataclass(frozen=True)
class Kind(Generic[Value]):
    """A set of values.

    Attributes:
        schema: Its JSON Schema.
        takes_none: `~` is one of them.
    """

    schema: Schema
    takes_none: bool = False

    @property
    def is_text(self) -> bool:
        """Whether its values are texts of any letters."""
        return any(choice.get('type') == 'string' for choice in self.schema.get('anyOf', [self.schema]))


ANY: Kind[Any] = Kind({}, takes_none=True)
FLAG: Kind[bool] = Kind({'type': 'boolean'})
FLAG_OR_SECTION: Kind[bool | Options] = Kind({'type': ['boolean', 'object']})
LIST: Kind[list[Any]] = Kind({'type': 'array'})
SECTION: Kind[Options] = Kind({'type': 'object'})
TEXT: Kind[str] = Kind({'type': 'string', 'minLength': 1})


def one_of(*values: str) -> Kind[str]:
    """One of some words."""
    return Kind({'enum': list(values)})


def whole(least: int, most: int | None = None) -> Kind[int]:
    """A whole number of at least `least`, and at most `most`."""
    return Kind({'type': 'integer', **_limits(least, most)})


def count(least: int, most: int | None = None) -> Kind[float]:
    """As `whole`, but 5000.0 will do: BasicSR's own files count iterations in !!float."""
    return Kind({'type': 'number', 'multipleOf': 1, **_limits(least, most)})


def _limits(least: int, most: int | None) -> Schema:
    return {'minimum': least} if most is None else {'minimum': least, 'maximum': most}


def number(**limits: float) -> Kind[float]:
    """A number within `minimum`, `exclusiveMinimum` or `exclusiveMaximum`."""
    return Kind({'type': 'number', **limits})


def template(example: str) -> Kind[str]:
    """A text with one {} in it, and no other braces."""
    return Kind({'type': 'string', 'pattern': r'^[^{}]*\{\}[^{}]*$', 'examples': [example]})


def part_of_path(slashes: bool) -> Kind[str]:
    """A text of which names of files are made, which must not lead out of their folder.

    Args:
        slashes: It may have some.
    """
    pattern, words = (
        (r'^(?![/\\])(?!(.*[/\\])?\.\.?([/\\]|$)).', 'the name of a folder, inside the one that it is written to')
        if slashes
        else (r'^(?!\.\.?$)[^/\\]+$', 'a name of one folder, without slashes')
    )
    return Kind({'type': 'string', 'pattern': pattern, 'errorMessage': f'it should be {words}'})


def numbers(items: Schema, least: int, most: int | None = None) -> Kind[list[float]]:
    """A list of `least` to `most` numbers of one kind."""
    return Kind({'type': 'array', 'items': items, 'minItems': least, **({'maxItems': most} if most else {})})


def either(one: Kind[Any], other: Kind[Any]) -> Kind[Any]:
    """A value of one of two kinds."""
    return Kind({'anyOf': [one.schema, other.schema]})


def or_none(kind: Kind[Value]) -> Kind[Value | None]:
    """A value of a kind, or ~."""
    if kind.schema.get('type') == 'object':  # with anyOf, mistakes inside the section would not be named
        return Kind({**kind.schema, 'type': ['object', 'null']}, takes_none=True)
    message = {key: f'{value}, or ~' for key, value in kind.schema.items() if key == 'errorMessage'}
    return Kind({'anyOf': [kind.schema, {'type': 'null'}], **message}, takes_none=True)


def typed_section(*types: str) -> Kind[Options]:
    """A section with one of some types, and nothing else."""
    return Kind(
        {
            'anyOf': [
                {'type': 'object', 'required': ['type'], 'properties': {'type': {'const': name}}} for name in types
            ],
            'properties': {'type': True},
            'additionalProperties': False,
        }
    )


def component(definition: str) -> Kind[Options]:
    """A section that names a class or function (`type`) and has its arguments.

    Args:
        definition: Of the schema, which knows the classes that there are.
    """
    return Kind({'type': 'object', **refer(definition)})


def components(definition: str) -> Kind[Options]:
    """A section of sections as `component` describes them, under any names."""
    return Kind({'type': 'object', 'additionalProperties': component(definition).schema})


def name_of(definition: str) -> Kind[str]:
    """A name that a definition of the schema knows."""
    return Kind({'type': 'string', **refer(definition)})


def refer(definition: str) -> Schema:
    """Schema that is a definition; in an `allOf`, beside which draft 7 allows other keywords."""
    return {'allOf': [{'$ref': f'#/definitions/{definition}'}]}
