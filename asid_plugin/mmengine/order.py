"""The order of the samples of a training, for resuming, and the seed of each sample."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler


class Draw(int):
    """The index of a sample, with a seed of its crop, flips and rotations that is unique in a training.

    Wrappers of datasets in MMEngine compute with the index; results are also draws.
    """

    seed: int

    def __new__(cls, index: int, seed: int = 0) -> 'Draw':
        """Make a draw from an index."""
        draw = super().__new__(cls, index)
        draw.seed = seed
        return draw

    def __sub__(self, other: int) -> 'Draw':
        return Draw(int(self) - other, self.seed)

    def __mod__(self, other: int) -> 'Draw':
        return Draw(int(self) % other, self.seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the random numbers of Python, NumPy and torch within the context.

    Args:
        seed: Any non-negative number; all bits are used.
    """
    numpys, torchs = np.random.SeedSequence(seed).generate_state(2, np.uint64)  # they accept 32 and 64 bits
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=()):
        random.seed(seed)
        np.random.seed(int(numpys) % 2**32)
        torch.default_generator.manual_seed(int(torchs))
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


class Order(Sampler[Draw]):
    """The order of a sampler from any place, as draws.

    The seeds equal those of a training in BasicSR, see `asid_plugin.data`.

    Attributes:
        sampler: Sampler of the indexes of this process.
        seed: Seed of the training.
        epoch: The current epoch; the seeds of samples depend on it.
        begin: The number of samples of this process that the next iteration skips.
    """

    def __init__(self, sampler: Sampler[int]) -> None:
        self.sampler = sampler
        self.seed = 0
        self.epoch = 0
        self.begin = 0

    def __getattr__(self, name: str) -> Any:  # a batch sampler may access more attributes, such as the dataset
        if name == 'sampler':
            raise AttributeError(name)
        return getattr(self.sampler, name)

    @property
    def total(self) -> int:
        """Samples of an epoch in all processes."""
        return len(self.sampler) * get_dist_info()[1]  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Draw]:
        rank, world_size = get_dist_info()
        first = self.seed * 2**64 + self.epoch * self.total + rank
        for i, index in enumerate(islice(self.sampler, self.begin, None), self.begin):
            yield Draw(index, first + i * world_size)


@dataclass(frozen=True)
class Place:
    """The place of a training in its sequence of samples.

    Attributes:
        iteration: Finished iterations.
        epoch: The current epoch.
        samples: Samples of the epoch that all processes have trained on.
        total: All samples of the epoch.
    """

    iteration: int
    epoch: int
    samples: int
    total: int

    def saved(self) -> dict[str, int]:
        """The form in a checkpoint."""
        return asdict(self)

    @classmethod
    def read(cls, saved: Any) -> 'Place | None':
        """The place in a checkpoint; None if it is missing or impossible."""
        names = cls.__dataclass_fields__
        if not isinstance(saved, Mapping) or not all(type(saved.get(name)) is int for name in names):
            return None
        place = cls(**{name: saved[name] for name in names})
        return place if min(asdict(place).values()) >= 0 else None
