"""Containers in a checkpoint that are small in the file, and huge to whoever walks through them."""

from collections.abc import Iterable, Mapping
from itertools import chain

from .unpickling import UnpicklingError

MOST_VALUES = 1_000_000
"""That a walk may meet; a training state of ASID has some thousands."""
DEEPEST = 100
"""Containers within each other; a checkpoint of MMEngine has seven."""


def check_extent(content: object) -> None:
    """Refuse containers that share others so often, or are so deep, that no program could walk through them.

    A list that holds another twice, which holds a third twice, and so on, doubles with each level. torch walks through
    all of it, and so does `str`. Here each container is looked at once.

    Raises:
        UnpicklingError: They have more than `MOST_VALUES` values or `DEEPEST` levels, or one contains itself.
    """
    if _extent(content, {}, DEEPEST) > MOST_VALUES:
        raise UnpicklingError(f'its containers share others so often that they have more than {MOST_VALUES} values')


def _extent(value: object, known: dict[int, int], levels: int) -> int:
    """The number of values in a value, itself counted; `known` has those of the containers that were looked at."""
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return 1
    if levels == 0:
        raise UnpicklingError(f'its containers lie in each other, more than {DEEPEST} deep')
    if id(value) not in known:
        parts: Iterable[object] = chain(value.keys(), value.values()) if isinstance(value, Mapping) else value
        known[id(value)] = 1 + sum(_extent(part, known, levels - 1) for part in parts)
    return known[id(value)]
