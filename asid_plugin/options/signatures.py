"""JSON Schemas of the arguments of classes and functions, from their signatures.

Other facts are declared: types and choices in `basicsr_arguments`, sentences in `asid_arguments`.
"""

import functools
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from .asid_arguments import SENTENCES, Sentences
from .basicsr_arguments import ARGUMENTS
from .kinds import Schema

_JSON_TYPES: dict[Any, str] = {
    int: 'integer',
    float: 'number',
    bool: 'boolean',
    str: 'string',
    list: 'array',
    tuple: 'array',
    dict: 'object',
    types.NoneType: 'null',
}


def component(
    kinds: Mapping[str, Callable[..., Any]], given: Iterable[str] = (), extra: Mapping[str, Schema] | None = None
) -> Schema:
    """Schema of a section with the name of a class or function (`type`) and its arguments, as in BasicSR.

    Args:
        kinds: The classes and functions by name.
        given: Arguments from the caller of the class or function.
        extra: Further keys. BasicSR's metrics take `**kwargs` only to ignore such keys (`better`). A mistyped argument
            would be ignored too, so with further keys no others are allowed.
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
def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a class or function by name, without `**kwargs`."""
    named = inspect.signature(function).parameters
    return {name: parameter for name, parameter in named.items() if parameter.kind is not parameter.VAR_KEYWORD}


def needed(function: Callable[..., Any]) -> set[str]:
    """The parameters without default."""
    return {name for name, parameter in parameters(function).items() if parameter.default is parameter.empty}


@functools.cache
def takes_any(function: Callable[..., Any]) -> bool:
    """Whether a class or function takes `**kwargs`."""
    return len(parameters(function)) < len(inspect.signature(function).parameters)


def is_known(function: Callable[..., Any]) -> bool:
    """Whether a class or function is BasicSR's or ours, so that it can be tried safely."""
    return function.__module__.startswith(('asid_plugin.', 'basicsr.'))


def sentences(function: Callable[..., Any]) -> Sentences:
    """The sentences on one of our classes or functions and on its arguments; empty for others."""
    is_ours = function.__module__.startswith('asid_plugin.')
    return SENTENCES.get(function.__name__, Sentences()) if is_ours else Sentences()


@functools.cache
def parameter_schemas(function: Callable[..., Any]) -> dict[str, Schema]:
    """Schemas of all parameters of a class or function."""
    declared, said = _declared(function), sentences(function).arguments
    schemas = {}
    for name, parameter in parameters(function).items():
        schema = declared.get(name) or _kinds(parameter)
        if isinstance(parameter.default, bool | int | float | str | list | tuple):
            default = parameter.default
            schema = {**schema, 'default': list(default) if isinstance(default, tuple) else default}
        schemas[name] = _described(schema, said.get(name))
    return schemas


def _arguments(name: str, function: Callable[..., Any], given: Iterable[str], extra: Mapping[str, Schema]) -> Schema:
    """Schema of the section of one class or function."""
    schemas = {key: schema for key, schema in parameter_schemas(function).items() if key not in given}
    return {
        'title': name,
        'properties': {'type': _described({}, sentences(function).summary), **schemas, **extra},
        'required': [key for key in schemas if key in needed(function)],
        'additionalProperties': takes_any(function) and not extra,
    }


def _described(schema: Schema, sentence: str | None) -> Schema:
    return {**schema, 'description': sentence} if sentence else schema


def _declared(function: Callable[..., Any]) -> Mapping[str, Schema]:
    """The declaration in `basicsr_arguments` of a function, or of the class that owns a class's `__init__`."""
    classes = inspect.getmro(function) if inspect.isclass(function) else ()
    owner = next((ancestor for ancestor in classes if '__init__' in vars(ancestor)), function)
    return ARGUMENTS.get(owner.__name__, {}) if owner.__module__.startswith('basicsr.') else {}


def _kinds(parameter: inspect.Parameter) -> Schema:
    """Schema of the values of a parameter; {}, anything, if the signature does not define it."""
    annotation, default = parameter.annotation, parameter.default
    if get_origin(annotation) is Literal:
        return {'enum': list(get_args(annotation))}
    if annotation is not parameter.empty:
        kinds = list(dict.fromkeys(_annotated(annotation)))
    elif default is None or type(default) not in _JSON_TYPES:
        kinds = []
    else:  # without annotation, 1 may mean 1.0
        kinds = [_JSON_TYPES[type(default)].replace('integer', 'number')]
    return {'type': kinds if len(kinds) > 1 else kinds[0]} if kinds else {}


def _annotated(annotation: Any) -> Iterator[str]:
    """JSON types of an annotation in YAML: numbers for `float | Tensor`."""
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _annotated(member)
    elif kind := _JSON_TYPES.get(get_origin(annotation) or annotation):
        yield kind
