"""Compare options with their JSON Schema, and describe the differences in words."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jsonschema import Draft4Validator, Draft7Validator, validators

from .kinds import Schema
from .problems import Key, Options, Problem, is_int, is_number, nearest, shown, unknown
from .sections import SECTIONS
from .words import in_words

_extend: Any = validators.extend  # which jsonschema does not annotate
# As in draft 4 and most programs, 8.0 is not an integer; numbers beyond torch's types are not numbers.
_TYPES = Draft4Validator.TYPE_CHECKER.redefine_many(
    {'integer': lambda _, value: is_int(value), 'number': lambda _, value: is_number(value)}
)
_Validator = _extend(Draft7Validator, type_checker=_TYPES)


def structural_problems(options: Any, schema: Schema, key: Key = ()) -> list[Problem]:
    """Find the mistakes in options by a schema: unknown keys, missing ones, impossible values.

    Args:
        options: Any value.
        schema: Draft 7; its `errorMessage`, if any, is the message.
        key: Key of the options.

    Returns:
        At most one problem for each key.
    """
    found: dict[Key, Problem] = {}
    for error in _Validator(schema).iter_errors(options):
        for problem in _problems(error, key, options):
            found.setdefault(problem.key, problem)
    return list(found.values())


def without(options: Options, keys: Iterable[Key]) -> dict[str, Any]:
    """A copy of options without the values at some keys."""
    keys = set(keys)
    deeper = {name: [key[1:] for key in keys if key[0] == name and len(key) > 1] for name in options}
    return {
        name: without(value, deeper[name]) if isinstance(value, Mapping) else value
        for name, value in options.items()
        if (name,) not in keys
    }


def elsewhere(name: str, options: Any, place: Key = ()) -> Iterator[str]:
    """The places of keys with this name in options, in the form of `--force_yml`."""
    if isinstance(options, Mapping):
        for key, value in options.items():
            if key == name:
                yield ':'.join((*place, key))
            yield from elsewhere(name, value, (*place, key))


def _keys(path: Iterable[str | int]) -> Iterator[str]:
    """The keys of a path, without indexes of lists."""
    for part in path:
        if isinstance(part, int):
            return
        yield str(part)


def _unknown(key: Key, known: Iterable[str], options: Any, base: Key) -> str:
    name = key[-1]
    declared = [f'{section.place}:{name}' for section in SECTIONS if name in section.declared() and section.place]
    here = ':'.join(key)
    others = [place for place in elsewhere(name, options, base) if place != here]
    places = [place for place in dict.fromkeys(others or declared) if place != here]
    if nearest(name, known) or not places:
        return unknown(name, known)
    return f'unknown; did you mean {" or ".join(places[:3])}?'


def _problems(error: Any, base: Key, options: Any) -> Iterator[Problem]:
    """The problems in one `ValidationError` of jsonschema, for options at `base`."""
    key = (*base, *_keys(error.absolute_path))
    schema, value = error.schema, error.instance
    message, title = schema.get('errorMessage'), schema.get('title')
    if error.validator == 'additionalProperties':
        known = schema['properties']
        for name in (name for name in value if name not in known):
            yield Problem((*key, name), _unknown((*key, name), known, options, base) + (f' ({title})' if title else ''))
    elif error.validator == 'required':
        for name in (name for name in error.validator_value if name not in value):
            yield Problem((*key, name), message or _missing(name, schema))
    elif message and 'propertyNames' in error.relative_schema_path:
        yield Problem((*key, value), message)
    else:
        wrong = f'{shown(value)}; {message}' if message and error.validator in ('anyOf', 'pattern', 'type') else message
        yield Problem(key, wrong or _wrong(value, schema, key[-1] if key else ''))


def _missing(name: str, schema: Schema) -> str:
    rule = schema.get('properties', {}).get(name, {})
    if name == 'type' and 'enum' in rule:  # a missing, an empty and a mistyped type are reported alike
        return _wrong(None, rule, name)
    return f'missing; {schema["title"]} needs it' if 'title' in schema else f'missing; it must be {in_words(rule)}'


def _wrong(value: Any, schema: Schema, name: str) -> str:
    choices = schema.get('enum', ())
    if name in ('type', 'model_type') and choices:
        return f'{shown(value)} is {unknown(value, choices)}'
    near = nearest(value, choices) if isinstance(value, str) else None
    return f'{shown(value)} should be {in_words(schema)}' + (f'; did you mean {near}?' if near else '')
