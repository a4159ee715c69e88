"""Declarations of the keys of option files: one place for all facts about a key.

A section is a class whose attributes are its keys:

    class ValOptions(Section):
        place = 'val'
        pbar = Option(FLAG, 'Show a progress bar.', default=False)

`ValOptions.pbar` is the declaration, from which the schema and the documentation are generated. An instance reads the
options of a file: `ValOptions(opt['val']).pbar` is the value in the file, or else the default.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar, overload

from .kinds import Kind, Schema, Value

Default = TypeVar('Default')


class Needed(Enum):
    """When a key without default is required, in words."""

    ALWAYS = 'needed'
    TRAINING = 'needed in training'
    TESTING = 'needed in testing'


class Option(Generic[Value, Default]):
    """A key of a section.

    Args:
        kind: Its valid values.
        sentence: Its purpose.
        default: The value if the file has none, or a `Needed` if the file must have one.
    """

    def __init__(self, kind: Kind[Value], sentence: str, default: Default) -> None:
        self.kind = kind
        self.sentence = sentence
        self.default = default
        self.name = ''

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, section: None, owner: type) -> 'Option[Value, Default]': ...

    @overload
    def __get__(self: 'Option[Value, Needed]', section: 'Section', owner: type) -> Value: ...

    @overload
    def __get__(self, section: 'Section', owner: type) -> Value | Default: ...

    def __get__(self, section: 'Section | None', owner: type) -> Any:
        """The declaration in a class of options, or the value in an instance.

        Raises:
            KeyError: A required key is missing.
        """
        if section is None:
            return self
        value = section.given.get(self.name)
        if value is not None or (self.kind.takes_none and self.name in section.given):
            return value
        if isinstance(self.default, Needed):
            raise KeyError(self.name)
        return self.default

    @property
    def schema(self) -> Schema:
        """JSON Schema of its values, with default and description for editors."""
        has_default = self.default is not None and not isinstance(self.default, Needed)
        return {**self.kind.schema, **({'default': self.default} if has_default else {}), 'description': self.sentence}


class Section:
    """The options of a section of an option file.

    Args:
        given: Keys and values from the file; None if the section is empty or missing.
    """

    place: ClassVar[str]
    """Key of the section; empty for the keys at the top."""
    read_by: ClassVar[tuple[str, ...]] = ()
    """The only classes, of models or data sets, that read these keys; empty if all do."""

    def __init__(self, given: Mapping[str, Any] | None) -> None:
        self.given = given or {}

    @classmethod
    def declared(cls) -> dict[str, Option[Any, Any]]:
        """The keys in the order of declaration."""
        return {name: option for name, option in vars(cls).items() if isinstance(option, Option)}

    @classmethod
    def properties(cls) -> dict[str, Schema]:
        """The JSON Schema of each key."""
        return {name: option.schema for name, option in cls.declared().items()}

    @classmethod
    def needed(cls, *when: Needed) -> list[str]:
        """The keys that are required at these times."""
        return [name for name, option in cls.declared().items() if option.default in when]
