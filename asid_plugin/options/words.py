"""Describe the values of a JSON Schema in words."""

from typing import Any

from .kinds import Schema

SECTION_WORDS = 'a section (lines of key: value below it, indented)'
_TYPE_WORDS = {
    'array': 'a list',
    'boolean': 'true or false',
    'integer': 'a whole number',
    'number': 'a number',
    'object': SECTION_WORDS,
    'string': 'text',
}
_LIMIT_WORDS = {
    'minimum': 'of at least',
    'exclusiveMinimum': 'above',
    'maximum': 'at most',
    'exclusiveMaximum': 'below',
}
_ITEM_WORDS = {'integer': 'whole numbers', 'number': 'numbers', 'string': 'texts'}


def in_words(schema: Schema) -> str:
    """Describe the valid values of a schema: 'a whole number of at least 16, or ~'."""
    choices = schema.get('anyOf') or [{**schema, 'type': kind} for kind in _list(schema.get('type', 'object'))]
    words = [_in_words(choice) for choice in choices if choice.get('type') != 'null']
    return ' or '.join(words) + (', or ~' if len(words) < len(choices) else '')


def _in_words(schema: Schema) -> str:
    if 'enum' in schema:
        *others, last = map(str, schema['enum'])
        return f'{", ".join(others)} or {last}' if others else last
    if kind := schema.get('properties', {}).get('type', {}).get('const'):
        return f'type: {kind}'
    kind = 'integer' if schema.get('multipleOf') == 1 else schema['type']
    if kind == 'array' and 'items' in schema:
        item = schema['items']
        if 'enum' in item:
            return f'{_number_of_items(schema)} of {in_words(item)}'
        return ' '.join([_number_of_items(schema), _ITEM_WORDS[item['type']], *_limits(item)])
    example = [f'like {schema["examples"][0]}'] if 'examples' in schema else []
    return ' '.join([_TYPE_WORDS[kind], *example, *_limits(schema)])


def _limits(schema: Schema) -> list[str]:
    limits = [f'{words} {schema[keyword]}' for keyword, words in _LIMIT_WORDS.items() if keyword in schema]
    return [' and '.join(limits)] if limits else []


def _number_of_items(schema: Schema) -> str:
    least, most = schema.get('minItems', 0), schema.get('maxItems')
    if least == most:
        return f'a list of {least}'
    return f'a list of {least} to {most}' if most else f'a list of {least} or more' if least else 'a list of'


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
