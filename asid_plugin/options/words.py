"""Values that a JSON Schema allows, in words."""

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
_LIMIT_WORDS = {'minimum': 'of at least', 'exclusiveMinimum': 'above', 'exclusiveMaximum': 'below'}


def in_words(schema: Schema) -> str:
    """Describe the values that fit a schema: 'a whole number of at least 16, or ~'."""
    choices = schema.get('anyOf') or [{**schema, 'type': kind} for kind in _list(schema.get('type', 'object'))]
    words = [_in_words(choice) for choice in choices if choice.get('type') != 'null']
    return ' or '.join(words) + (', or ~' if len(words) < len(choices) else '')


def _in_words(schema: Schema) -> str:
    if 'enum' in schema:
        *others, last = map(str, schema['enum'])
        return f'{", ".join(others)} or {last}' if others else last
    if kind := schema.get('properties', {}).get('type', {}).get('const'):
        return f'type: {kind}'
    limits = [f'{words} {schema[keyword]}' for keyword, words in _LIMIT_WORDS.items() if keyword in schema]
    kind = 'integer' if schema.get('multipleOf') == 1 else schema['type']
    example = [f'like {schema["examples"][0]}'] if 'examples' in schema else []
    return ' '.join([_TYPE_WORDS[kind], *example, ' and '.join(limits)]).rstrip()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
