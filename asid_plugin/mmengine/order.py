"""The order of a training's samples, in which a resumed training continues, and the seed of each."""

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
    """The index of a sample, with the seed of its crop, flips and turns, which no other sample of a training has.

    What MMEngine's wrappers of datasets compute of an index is again one.
    """

    seed: int

    def __new__(cls, index: int, seed: int = 0) -> 'Draw':
        """Make one of an index."""
        draw = super().__new__(cls, index)
        draw.seed = seed
        return draw

    def __sub__(self, other: int) -> 'Draw':
        return Draw(int(self) - other, self.seed)

    def __mod__(self, other: int) -> 'Draw':
        return Draw(int(self) % other, self.seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's random numbers as long as the context lasts.

    Args:
        seed: Of any size, at least 0; all of its bits count.
    """
    numpys, torchs = np.random.SeedSequence(seed).generate_state(2, np.uint64)  # they take 32 and 64 bits
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
    """A sampler's order, from any place on, as draws.

    The seeds are those of BasicSR's way of training, see `asid_plugin.data`.

    Attributes:
        sampler: That gives the indices of this process.
        seed: Of the training.
        epoch: The current one; the seeds of samples depend on it.
        begin: The number of samples of this process that the next iteration leaves out.
    """

    def __init__(self, sampler: Sampler[int]) -> None:
        self.sampler = sampler
        self.seed = 0
        self.epoch = 0
        self.begin = 0

    def __getattr__(self, name: str) -> Any:  # a sampler of batches may ask for more, such as the dataset
        if name == 'sampler':
            raise AttributeError(name)
        return getattr(self.sampler, name)

    @property
    def total(self) -> int:
        """Samples of an epoch, of all processes."""
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
    """The place of a training in its samples.

    Attributes:
        iteration: Iterations done.
        epoch: The current one.
        samples: Of the epoch, those trained on by all processes.
        total: All of the epoch.
    """

    iteration: int
    epoch: int
    samples: int
    total: int

    def saved(self) -> dict[str, int]:
        """As a checkpoint holds it."""
        return asdict(self)

    @classmethod
    def read(cls, saved: Any) -> 'Place | None':
        """The place that a checkpoint holds; None if it holds none that can be."""
        names = cls.__dataclass_fields__
        if not isinstance(saved, Mapping) or not all(type(saved.get(name)) is int for name in names):
            return None
        place = cls(**{name: saved[name] for name in names})
        return place if min(asdict(place).values()) >= 0 else None
