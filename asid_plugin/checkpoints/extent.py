"""A limit on containers in a checkpoint that are small in the file, but huge to traverse."""

from collections.abc import Iterable, Mapping
from itertools import chain

from .unpickling import UnpicklingError

MOST_VALUES = 1_000_000
"""Most values in a traversal; a training state of ASID has some thousands."""
DEEPEST = 100
"""Most nested containers; a checkpoint of MMEngine has seven."""


def check_extent(content: object) -> None:
    """Refuse containers that no program could traverse, because they repeat others too often or are nested too deep.

    A list that holds another twice, which holds a third twice, and so on, doubles with each level. torch and `str`
    traverse all of it; here each container is visited once.

    Raises:
        UnpicklingError: They have more than `MOST_VALUES` values or `DEEPEST` levels, or one contains itself.
    """
    if _extent(content, {}, DEEPEST) > MOST_VALUES:
        raise UnpicklingError(f'its containers, with repeated references, have more than {MOST_VALUES} values')


def _extent(value: object, known: dict[int, int], levels: int) -> int:
    """The number of values in a value, itself included; `known` has the numbers of visited containers."""
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return 1
    if levels == 0:
        raise UnpicklingError(f'its containers are nested more than {DEEPEST} deep')
    if id(value) not in known:
        parts: Iterable[object] = chain(value.keys(), value.values()) if isinstance(value, Mapping) else value
        known[id(value)] = 1 + sum(_extent(part, known, levels - 1) for part in parts)
    return known[id(value)]
