"""An iteration-based training loop that resumes at once with the next sample."""

from collections.abc import Generator, Iterator
from itertools import count, islice
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.runner import IterBasedTrainLoop
from torch import nn
from torch.utils.data import BatchSampler

from asid_plugin.mmengine.dataset import DatasetError, too_few
from asid_plugin.mmengine.order import Order, Place
from asid_plugin.mmengine.registry import LOOPS
from asid_plugin.tf32 import allow_tf32


@LOOPS.register_module()
class SRTrainLoop(IterBasedTrainLoop):
    """`IterBasedTrainLoop` with the data order of BasicSR.

    When MMEngine's loop resumes, it reads and discards every earlier batch, which takes as long as training. This loop
    continues the epoch with its remaining samples, in the same order, and repeats an interrupted validation. Every
    sample of our datasets has its own seed, so that an interrupted and resumed training equals an uninterrupted one,
    bit for bit on a CPU. It also does not wait for two seconds between epochs.

    Args:
        *args: Arguments of `IterBasedTrainLoop`.
        tf32: Use TF32 for float32 on a GPU in training, not in validation: faster, with errors of a few thousandths.
        **kwargs: Arguments of `IterBasedTrainLoop`.

    Raises:
        DatasetError: There are fewer images than in a batch.
    """

    def __init__(self, *args: Any, tf32: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tf32 = tf32
        batches = self.dataloader.batch_sampler
        self.order = Order(getattr(batches, 'sampler', self.dataloader.sampler))
        if hasattr(batches, 'sampler'):
            batches.sampler = self.order
        self.skips_unread = type(batches) is BatchSampler  # another may not use indexes in order

    @property
    def batch(self) -> int:
        """Samples of an iteration in all processes."""
        return self.dataloader.batch_sampler.batch_size * get_world_size()

    def run(self) -> nn.Module:
        """Train to the last iteration; returns the trained model."""
        if not len(self.dataloader):
            raise DatasetError(too_few(len(self.dataloader.dataset), self.dataloader.batch_size))
        batches = self.dataloader_iterator = self.batches(self.find_place())
        if self.tf32:
            self.runner.logger.info('train_cfg.tf32 is on: float32 has the precision of TF32 in training.')
        try:
            self.train(batches)
        finally:
            batches.close()
            self.dataloader._iterator = None  # garbage collection would wait 5 s for each of its workers
        return self.runner.model

    def train(self, batches: Iterator[Any]) -> None:
        """Train on batches, with all of MMEngine's hooks."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        if self._iter and self.runner.message_hub.runtime_info.get('last_validation') != self._iter:
            self.validate_if_due()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            allow_tf32(self.tf32)
            self.run_iter(next(batches))
            self.validate_if_due()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')

    def validate_if_due(self) -> None:
        """Validate after iterations that are multiples of `val_interval`, and after the last."""
        self._decide_current_val_interval()
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        if self.runner.val_loop is not None and self._iter >= self.val_begin and due:
            self.runner.message_hub.update_info('last_validation', self._iter)  # for a checkpoint that it saves
            allow_tf32(False)
            self.runner.val_loop.run()

    def find_place(self) -> Place:
        """The place to continue: from the checkpoint, or from its iteration if MMEngine's loop wrote it."""
        info = self.runner.message_hub.runtime_info
        total = self.order.total
        place = Place.read(info.get('place'))
        if isinstance(self.order.sampler, InfiniteSampler):  # the next epoch begins automatically
            return Place(self._iter, 0, self._iter * self.batch, total)
        if place is None or place.iteration != self._iter:  # written by a loop that begins each epoch with all samples
            epoch, batches = divmod(self._iter, len(self.dataloader))
            return Place(self._iter, epoch, batches * self.batch, total)
        return place if place.total == total else Place(self._iter, place.epoch, 0, total)

    def batches(self, place: Place) -> Generator[Any]:
        """Endless batches, each epoch in another order; the place after each batch is recorded for checkpoints."""
        info = self.runner.message_hub
        sampler = self.order.sampler
        self.order.seed = self.runner.seed
        if hasattr(sampler, 'seed'):  # drawn at the start of the training
            sampler.seed = info.runtime_info.get('sampler_seed', sampler.seed) if self._iter else sampler.seed
            info.update_info('sampler_seed', sampler.seed)
        iterations, samples = count(place.iteration + 1), place.samples
        for epoch in count(place.epoch):
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)
            self.order.epoch = epoch
            self.order.begin = -(-samples // get_world_size()) if self.skips_unread else 0
            skipped = 0 if self.skips_unread else samples // self.batch
            for batch in islice(self.dataloader, skipped, None):
                samples += self.batch
                info.update_info('place', Place(next(iterations), epoch, samples, place.total).saved())
                yield batch
            samples = 0
