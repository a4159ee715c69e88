"""BasicSR's sampler with a stored place, so that a resumed training continues in the middle of an epoch.

The correction `epochs_begun_anew` imports this module while BasicSR is imported, so it does not import BasicSR.
"""

import functools
import random
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch.utils.data import Dataset, Sampler


class Draw(NamedTuple):
    """One sample of a training: the index of the image, and the seed of its crop, flips and rotations."""

    image: int
    seed: int


def seeded_by_draw(getitem: Callable[[Any, int], Any]) -> Callable[[Any, int | Draw], Any]:
    """Let `__getitem__` of a dataset also accept a `Draw`, without side effects on Python's random numbers."""

    @functools.wraps(getitem)
    def seeded(self: Any, index: int | Draw) -> Any:
        if not isinstance(index, Draw):
            return getitem(self, index)
        state = random.getstate()
        random.seed(index.seed)
        try:
            return getitem(self, index.image)
        finally:
            random.setstate(state)

    seeded.takes_draws = True  # type: ignore[attr-defined]
    return seeded


class ResumableSampler(Sampler[Any]):
    """Lets BasicSR's `EnlargedSampler`, the base beside it, begin in the middle of an epoch, in the same order.

    Attributes:
        seed: If it is a number of at least 0, datasets whose `__getitem__` is `seeded_by_draw` are given draws.
        trained: Samples of this epoch that this process has trained on, counted by the model; the next iteration begins
            after them.
    """

    dataset: Dataset[Any]
    num_replicas: int
    rank: int
    total_size: int
    epoch: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seed: int | None = None
        self.trained = 0
        self._resumed = (-1, 0)
        _LATEST[:] = [weakref.ref(self)]

    def resume(self, epoch: int, samples: int) -> None:
        """Continue an epoch after `samples` samples of all processes."""
        self._resumed = epoch, -(-samples // self.num_replicas)

    def set_epoch(self, epoch: int) -> None:
        """Begin or continue an epoch."""
        super().set_epoch(epoch)  # type: ignore[misc]
        self.trained = self._resumed[1] if epoch == self._resumed[0] else 0

    def __iter__(self) -> Iterator[Any]:
        indices = list(super().__iter__())
        first = self.epoch * self.total_size + self.rank
        takes_draws = getattr(type(self.dataset).__getitem__, 'takes_draws', False)
        for i in range(self.trained, len(indices)):
            if takes_draws and self.seed is not None:
                yield Draw(indices[i], self.seed * 2**64 + first + i * self.num_replicas)
            else:
                yield indices[i]


def training_sampler() -> ResumableSampler | None:
    """The sampler created last: in BasicSR's train script, the sampler of the training set."""
    return _LATEST[0]() if _LATEST else None


_LATEST: list[weakref.ref[ResumableSampler]] = []
