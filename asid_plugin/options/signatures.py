"""JSON Schemas of what classes and functions can be called with, from their signatures and docstrings."""

import functools
import inspect
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from docstring_parser import Docstring, ParseError, google

Schema = dict[str, Any]

_JSON_TYPES = {
    int: 'integer',
    float: 'number',
    bool: 'boolean',
    str: 'string',
    list: 'array',
    tuple: 'array',
    dict: 'object',
    types.NoneType: 'null',
}
# Where nothing is annotated, 1 may stand for 1.0.
_LENIENT = {kind.__name__: name.replace('integer', 'number') for kind, name in _JSON_TYPES.items()} | {'None': 'null'}
_CHOICES = re.compile(r"'\w+'(?:(?:, | \| | or )'\w+')*(?: \| | or )'\w+'")  # 'a' | 'b', or 'a', 'b' or 'c'


def component(
    kinds: Mapping[str, Callable], given: Iterable[str] = (), extra: Mapping[str, Schema] | None = None
) -> Schema:
    """Schema of the keys of a section that names a class or function (`type`) and its arguments, as BasicSR reads it.

    Args:
        kinds: The classes and functions by name.
        given: Arguments that the caller of the class or function gives it.
        extra: Further keys. BasicSR's metrics take `**kwargs` only to overlook theirs (`better`); a mistyped argument
            would be overlooked with it, so with further keys no others are let through.
    """
    return {
        'required': ['type'],
        'properties': {'type': {'enum': sorted(kinds)}},
        'allOf': [
            {'if': of_type([name]), 'then': _arguments(name, kinds[name], given, extra or {})} for name in sorted(kinds)
        ],
    }


def of_type(names: Iterable[str], key: str = 'type') -> Schema:
    """Schema that fits sections of these types."""
    return {'required': [key], 'properties': {key: {'enum': sorted(names)}}}


@functools.cache
def parameters(function: Callable) -> dict[str, inspect.Parameter]:
    """The parameters of a class or function by name, without `**kwargs`."""
    named = inspect.signature(function).parameters
    return {name: parameter for name, parameter in named.items() if parameter.kind is not parameter.VAR_KEYWORD}


def needed(function: Callable) -> set[str]:
    """The parameters that have no default."""
    return {name for name, parameter in parameters(function).items() if parameter.default is parameter.empty}


@functools.cache
def takes_any(function: Callable) -> bool:
    """Whether a class or function takes `**kwargs`."""
    return len(parameters(function)) < len(inspect.signature(function).parameters)


def _arguments(name: str, function: Callable, given: Iterable[str], extra: Mapping[str, Schema]) -> Schema:
    """Schema of the section of one class or function."""
    schemas = {key: schema for key, schema in _parameter_schemas(function).items() if key not in given}
    return {
        'title': name,
        'properties': {'type': _described({}, function, _docstring(function).short_description), **schemas, **extra},
        'required': [key for key in schemas if key in needed(function)],
        'additionalProperties': takes_any(function) and not extra,
    }


@functools.cache
def _parameter_schemas(function: Callable) -> dict[str, Schema]:
    """Schemas of all parameters of a class or function."""
    documented = {entry.arg_name: entry for entry in _docstring(function).params}
    schemas = {}
    for name, parameter in parameters(function).items():
        entry = documented.get(name)
        text, type_name = (entry.description or '', entry.type_name or '') if entry else ('', '')
        schemas[name] = _described(_parameter_schema(parameter, type_name, text), function, text)
    return schemas


@functools.cache
def _docstring(function: Callable) -> Docstring:
    try:
        return google.parse(inspect.getdoc(function) or '')
    except ParseError:  # somebody's, written in another manner
        return Docstring()


def _described(schema: Schema, function: Callable, description: str | None) -> Schema:
    """A schema with a description, where that is ours; other projects' sentences are not for us to hand out."""
    is_ours = function.__module__.startswith('asid_plugin.')
    return {**schema, 'description': ' '.join(description.split())} if is_ours and description else schema


def _parameter_schema(parameter: inspect.Parameter, type_name: str, text: str) -> Schema:
    """Types or choices, and default, of one parameter.

    Args:
        parameter: Of the signature.
        type_name: Its type in the docstring, which counts where the signature has none.
        text: Its description in the docstring.
    """
    default = parameter.default
    schema = _kinds(parameter, type_name)
    listed = _CHOICES.search(' '.join(text.split())) if schema.get('type') == 'string' else None
    if listed:
        schema = {'enum': re.findall(r"'(\w+)'", listed[0])}
    if isinstance(default, (bool, int, float, str, list, tuple)):
        schema['default'] = list(default) if isinstance(default, tuple) else default
    return schema


def _kinds(parameter: inspect.Parameter, type_name: str) -> Schema:
    """Schema of what a parameter may be; {}, anything, where that is not known."""
    default, annotation = parameter.default, parameter.annotation
    if get_origin(annotation) is Literal:
        return {'enum': list(get_args(annotation))}
    if annotation is not inspect.Parameter.empty:
        kinds = list(_annotated(annotation))
    else:
        kinds = [_LENIENT.get(word) for word in re.findall(r'\w+', type_name)]  # `int | tuple(int)`
        if default is not inspect.Parameter.empty and (kinds or default is not None):
            kinds.append(_LENIENT.get(type(default).__name__))
    kinds = list(dict.fromkeys(kinds))
    if not kinds or None in kinds:
        return {}
    return {'type': kinds if len(kinds) > 1 else kinds[0]}


def _annotated(annotation: Any) -> Iterator[str]:
    """JSON types of what YAML can hold of an annotation: of `float | Tensor`, numbers."""
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _annotated(member)
    elif kind := _JSON_TYPES.get(get_origin(annotation) or annotation):
        yield kind
