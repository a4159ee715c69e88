"""Kinds of values of options; each has a JSON Schema, which `words` describes in words."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .problems import Options

Schema = dict[str, Any]
"""A JSON Schema, draft 7."""
Value = TypeVar('Value')
"""Python type of the values of a kind."""


@dataclass(frozen=True)
class Kind(Generic[Value]):
    """A set of values.

    Attributes:
        schema: Its JSON Schema.
        takes_none: Whether `~` is valid.
    """

    schema: Schema
    takes_none: bool = False

    @property
    def is_text(self) -> bool:
        """Whether any text is valid."""
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
    """As `whole`, but also accepts 5000.0, because BasicSR's files give iterations as !!float."""
    return Kind({'type': 'number', 'multipleOf': 1, **_limits(least, most)})


def _limits(least: int, most: int | None) -> Schema:
    return {'minimum': least} if most is None else {'minimum': least, 'maximum': most}


def number(**limits: float) -> Kind[float]:
    """A number within `minimum`, `exclusiveMinimum` or `exclusiveMaximum`."""
    return Kind({'type': 'number', **limits})


def template(example: str) -> Kind[str]:
    """A text with one {} and no other braces."""
    return Kind({'type': 'string', 'pattern': r'^[^{}]*\{\}[^{}]*$', 'examples': [example]})


def part_of_path(slashes: bool) -> Kind[str]:
    """A text for file names, which must not lead out of their folder.

    Args:
        slashes: Whether slashes are allowed.
    """
    pattern, words = (
        (r'^(?![/\\])(?!(.*[/\\])?\.\.?([/\\]|$)).', 'a folder name that does not lead out of its parent folder')
        if slashes
        else (r'^(?!\.\.?$)[^/\\]+$', 'a folder name without slashes')
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
    if kind.schema.get('type') == 'object':  # with anyOf, mistakes inside the section would not be reported
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
    """A section with the name of a class or function (`type`) and its arguments.

    Args:
        definition: Definition in the schema that lists the known classes.
    """
    return Kind({'type': 'object', **refer(definition)})


def components(definition: str) -> Kind[Options]:
    """A section of named sections as in `component`."""
    return Kind({'type': 'object', 'additionalProperties': component(definition).schema})


def name_of(definition: str) -> Kind[str]:
    """A name that is listed in a definition of the schema."""
    return Kind({'type': 'string', **refer(definition)})


def refer(definition: str) -> Schema:
    """Reference to a definition, in an `allOf`, because draft 7 ignores keywords beside `$ref`."""
    return {'allOf': [{'$ref': f'#/definitions/{definition}'}]}
