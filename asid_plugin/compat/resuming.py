"""Corrections of BasicSR's training loop at interruptions, and the place in an epoch that a training state holds."""

import functools
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .patching import rebind, replaced


def epochs_begun_anew() -> None:
    """Let a training continue in the middle of an epoch, where all of BasicSR's versions begin it anew at every resume.

    One that is interrupted more often than an epoch lasts never sees the rest of its data. `ASIDModel` saves the place
    and hands it to the sampler. A crop of `PairedImageDataset` can then be drawn by a seed of its own; without one it
    is drawn as before.
    """
    from basicsr.data.data_sampler import EnlargedSampler
    from basicsr.data.paired_image_dataset import PairedImageDataset

    from .sampling import ResumableSampler, seeded_by_draw

    rebind(EnlargedSampler, type('EnlargedSampler', (ResumableSampler, EnlargedSampler), {}))
    PairedImageDataset.__getitem__ = seeded_by_draw(PairedImageDataset.__getitem__)


def batches_read_for_nothing() -> None:
    """Let prefetchers read batches from the first `reset` or `next` on; the train script resets them before each epoch.

    All of BasicSR's versions begin to read when a prefetcher is made, too. Those batches are thrown away; and with
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
    """Let a training that begins anew in the second in which another did wait for the next one.

    All of BasicSR's versions rename the folder that is there after the second in which that happens; the second folder
    of a second cannot be renamed.
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
    """Tell the time that is left for the iterations that are left, where all of BasicSR's versions count one less.

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
        seed: Of the samples' crops, flips and turns.
    """

    samples: int
    total: int
    seed: int

    def saved(self) -> dict[str, int]:
        """As a training state holds it."""
        return asdict(self)


def read_place(state: Mapping[str, Any]) -> Place | None:
    """The place that a training state holds; None if it is BasicSR's own, or of version 0.1.0.

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
    """Samples of its epoch that a training has seen before it was interrupted.

    Args:
        place: As `read_place` returns it.
        epoch: Of the training state.
        iteration: Of the training state.
        total: Samples that an epoch has now.
        batch: Samples that all processes together train on in an iteration now.

    Returns:
        A number up to `total`; 0, for the whole epoch, where the data set has another size than then. Without a place
        it is counted from the first iteration on, as is right for a training that was not interrupted before.
    """
    if place is not None:
        return place.samples if place.total == total else 0
    batches = iteration - epoch * (total // batch)
    return batches * batch if 0 <= batches <= total // batch else 0
