"""Damages of files, as disks, cables and interrupted copies do them."""

import random
from collections import Counter
from collections.abc import Callable

from .figures import Row
from .trials import Outcome

RIGHT, OTHER = 'read right', 'read as another picture'


def flip(content: bytes, rng: random.Random) -> bytes:
    """One bit turned."""
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def cut(content: bytes, rng: random.Random) -> bytes:
    """The end is missing."""
    return content[: rng.randrange(len(content))]


def hole(content: bytes, rng: random.Random) -> bytes:
    """A block of zeros, as of a file that was copied with gaps."""
    return _overwritten(content, rng, bytes)


def noise(content: bytes, rng: random.Random) -> bytes:
    """A block of other bytes."""
    return _overwritten(content, rng, rng.randbytes)


def swapped(content: bytes, rng: random.Random) -> bytes:
    """A block in the place of another."""
    return _overwritten(content, rng, lambda length: content[(at := rng.randrange(len(content))) : at + length])


def lost(content: bytes, rng: random.Random) -> bytes:
    """A block is missing, and what follows has moved up."""
    at, length = rng.randrange(len(content)), rng.choice((1, 64, 512))
    return content[:at] + content[at + length :]


DAMAGES = {damage.__name__: damage for damage in (flip, cut, hole, noise, swapped, lost)}


def _overwritten(content: bytes, rng: random.Random, block: Callable[[int], bytes]) -> bytes:
    at, length = rng.randrange(len(content)), rng.choice((16, 512, 4096))
    return (content[:at] + block(min(length, len(content) - at)) + content[at + length :])[: len(content)]


def count(row: Row, outcome: Outcome, trial: str, name: str, promised: bool) -> None:
    """Count the trial of a reader that returns whether it has read what was there before the damage.

    Args:
        row: Of its way.
        outcome: Its outcome.
        trial: By which it can be repeated.
        name: That a refusal must have in it.
        promised: Another picture than that before is a broken promise.
    """
    broken = ''
    if outcome.end == 'done' and promised and not outcome.value:
        broken = OTHER
    elif outcome.end == 'refused' and name not in outcome.text:
        broken = f'{name} is not named: {outcome.text[:200]}'
    row.add(outcome, trial, broken)
    if outcome.end == 'done':
        row.ends['done'] -= 1
        row.ends[RIGHT if outcome.value else OTHER] += 1
        row.ends += Counter()  # which drops those that are 0
