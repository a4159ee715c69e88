"""A training loop by iterations that resumes at once."""

from collections.abc import Iterator
from itertools import chain, count, repeat
from typing import Any

from mmengine.runner import IterBasedTrainLoop
from torch import nn

from asid_plugin.mmengine.dataset import DatasetError
from asid_plugin.mmengine.registry import LOOPS


@LOOPS.register_module()
class SRTrainLoop(IterBasedTrainLoop):
    """`IterBasedTrainLoop` that goes through the data as BasicSR does.

    MMEngine's, when it resumes, reads and throws away every batch that was trained on, which takes as long as training;
    this goes on at the beginning of the epoch. Nor does it wait for two seconds between epochs.

    Raises:
        DatasetError: There are fewer images than a batch has.
    """

    def run(self) -> nn.Module:
        """Train to the last iteration; returns the trained model."""
        if not len(self.dataloader):
            found = f'{len(self.dataloader.dataset)} images for training'
            raise DatasetError(f'{found}, fewer than the batch of {self.dataloader.batch_size} on every rank')
        skipped = repeat(None, self._iter)  # what MMEngine throws away
        self.dataloader_iterator = chain(skipped, self.batches(self._iter // len(self.dataloader)))
        return super().run()

    def batches(self, epoch: int) -> Iterator[Any]:
        """Batches without end, each epoch in an order of its own."""
        for current in count(epoch):
            self.dataloader.sampler.set_epoch(current)
            yield from self.dataloader
