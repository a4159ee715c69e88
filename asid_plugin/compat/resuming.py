"""Corrections of BasicSR's training loop for interruptions, and the place in an epoch in a training state."""

import functools
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .patching import rebind, replaced


def epochs_begun_anew() -> None:
    """Let a training continue in the middle of an epoch; all versions of BasicSR restart the epoch at every resume.

    A training that is interrupted in every epoch never sees the rest of its data. `ASIDModel` saves the place and
    passes it to the sampler. A crop of `PairedImageDataset` can then be drawn from a given seed; without a seed it is
    drawn as before.
    """
    from basicsr.data.data_sampler import EnlargedSampler
    from basicsr.data.paired_image_dataset import PairedImageDataset

    from .sampling import ResumableSampler, seeded_by_draw

    rebind(EnlargedSampler, type('EnlargedSampler', (ResumableSampler, EnlargedSampler), {}))
    PairedImageDataset.__getitem__ = seeded_by_draw(PairedImageDataset.__getitem__)


def batches_read_for_nothing() -> None:
    """Let prefetchers read batches from the first `reset` or `next` on; the train script resets them before each epoch.

    All versions of BasicSR also begin to read when a prefetcher is created. Those batches are discarded, and with
    `prefetch_mode: cpu` and `persistent_workers` a thread continues to read them and takes some from the first epoch.
    """
    from basicsr.data.prefetch_dataloader import CPUPrefetcher, CUDAPrefetcher

    for prefetcher in (CPUPrefetcher, CUDAPrefetcher):
        prefetcher.__init__ = _reading_nothing_yet(prefetcher.__init__)
        prefetcher.next = _beginning_to_read(prefetcher.next)


def _reading_nothing_yet(original: Any) -> Any:
    @functools.wraps(original)
    def init(self: Any, loader: Any, *args: Any, **kwargs: Any) -> None:
        original(self, (), *args, **kwargs)
        self.ori_loader, self.loader = loader, None

    return init


def _beginning_to_read(original: Any) -> Any:
    @functools.wraps(original)
    def following(self: Any) -> Any:
        if self.loader is None:
            self.reset()
        return original(self)

    return following


def folders_archived_in_one_second() -> None:
    """Let a new training wait for the next second if another began in this second.

    All versions of BasicSR rename an existing folder after the current second; a second folder in the same second
    cannot be renamed.
    """
    from basicsr.utils import misc

    original = misc.mkdir_and_rename

    @functools.wraps(original)
    def mkdir_and_rename(path: str) -> None:
        while Path(f'{path}_archived_{misc.get_time_str()}').exists():
            time.sleep(0.05)
        original(path)

    rebind(original, mkdir_and_rename)


def eta_of_minus_one() -> None:
    """Report the remaining time for the remaining iterations; all versions of BasicSR count one iteration less.

    Their last line says "eta: -1 day, 23:59:59".
    """
    from basicsr.utils.logger import MessageLogger

    original = MessageLogger.__call__

    @functools.wraps(original)
    def log(self: MessageLogger, log_vars: dict[str, Any]) -> None:
        with replaced(self, 'max_iters', self.max_iters + 1):
            original(self, log_vars)

    MessageLogger.__call__ = log


@dataclass(frozen=True)
class Place:
    """The place in an epoch at which a training state was saved.

    Attributes:
        samples: Samples of the epoch that all processes together have trained on.
        total: Samples of the epoch, of the enlarged data set.
        seed: Seed of the crops, flips and rotations of the samples.
    """

    samples: int
    total: int
    seed: int

    def saved(self) -> dict[str, int]:
        """The form in a training state."""
        return asdict(self)


def read_place(state: Mapping[str, Any]) -> Place | None:
    """The place in a training state; None for states of BasicSR or of version 0.1.0.

    Raises:
        ValueError: The state is damaged.
    """
    if 'place' not in state:
        return None
    saved = state['place']
    if not isinstance(saved, dict) or not all(type(saved.get(name)) is int for name in ('samples', 'total', 'seed')):
        raise ValueError('its place in the epoch is not three whole numbers')
    place = Place(saved['samples'], saved['total'], saved['seed'])
    if not 0 <= place.samples <= place.total or place.seed < 0:
        raise ValueError(f'its place in the epoch is {place.samples} of {place.total} samples')
    return place


def trained_samples(place: Place | None, epoch: int, iteration: int, total: int, batch: int) -> int:
    """Samples of its epoch that a training saw before it was interrupted.

    Args:
        place: As `read_place` returns it.
        epoch: Of the training state.
        iteration: Of the training state.
        total: Samples that an epoch has now.
        batch: Samples that all processes together train on in an iteration now.

    Returns:
        A number up to `total`; 0, for the whole epoch, if the size of the data set has changed. Without a place it is
        counted from the first iteration, which is right for a training without earlier interruptions.
    """
    if place is not None:
        return place.samples if place.total == total else 0
    batches = iteration - epoch * (total // batch)
    return batches * batch if 0 <= batches <= total // batch else 0
