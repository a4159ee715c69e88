"""Hooks that MMEngine lacks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
from mmengine.hooks import CheckpointHook, Hook, LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from asid_plugin.mmengine.registry import HOOKS
from asid_plugin.models.divergence import LossWatch
from asid_plugin.models.sent_losses import SentLosses


@HOOKS.register_module()
class SRRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's hook without its wait for the GPU in every iteration, and with an end for a diverging training.

    Losses are read an iteration later, or at once if the log, a checkpoint or a validation needs them; see `LossWatch`.

    Raises:
        DivergedError: A loss or a weight is nan or infinite; existing checkpoints are unchanged.
    """

    watch: LossWatch

    def before_run(self, runner: Runner) -> None:
        """Start watching the losses."""
        scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        self.watch = LossWatch(
            weights=lambda: runner.model.state_dict(),
            scales=scaler is not None and scaler.is_enabled(),
            kept=f'the checkpoints in {runner.work_dir}',
            warn=runner.logger.warning,
        )
        super().before_run(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Log and check the losses of the previous iteration, and of this one if needed."""
        sent = SentLosses.send(runner.iter + 1, outputs) if outputs else None
        self.look(runner)
        self.watch.sent = sent
        if self.are_needed(runner, batch_idx):
            self.look(runner)

    def are_needed(self, runner: Runner, batch_idx: int) -> bool:
        """Whether another hook reads the losses after this iteration."""
        last = self.is_last_train_iter(runner) or self.end_of_epoch(runner.train_dataloader, batch_idx)
        intervals = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook | CheckpointHook)]
        return last or any(
            self.every_n_train_iters(runner, each) or self.every_n_inner_iters(batch_idx, each) for each in intervals
        )

    def before_val(self, runner: Runner) -> None:
        """Check the losses first."""
        self.look(runner)
        super().before_val(runner)

    def after_train(self, runner: Runner) -> None:
        """Log and check the remaining losses."""
        self.look(runner)
        super().after_train(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check the losses, and the weights to save."""
        self.look(runner)
        self.watch.check_weights(f'iteration {checkpoint["meta"]["iter"]}', checkpoint['state_dict'])

    def look(self, runner: Runner) -> None:
        """Log and check the sent losses, if any."""
        for name, value in (self.watch.look() or {}).items():
            runner.message_hub.update_scalar(f'train/{name}', value)


@HOOKS.register_module()
class SRVisualizationHook(Hook):
    """Writes SR images of all ranks as `WORK_DIR/visualization/WHEN/SET/NAME.png`.

    WHEN is `iter_N` in validation and `test` in testing. MMEngine's `Visualizer` records only rank 0.

    Args:
        in_val: Write at every validation.
        in_test: Write in testing.
    """

    def __init__(self, in_val: bool = False, in_test: bool = True) -> None:
        self.in_val = in_val
        self.in_test = in_test

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[BaseDataElement] | None = None
    ) -> None:
        """Write the images of a validation batch, if enabled."""
        if self.in_val:
            self.write(Path(runner.work_dir, 'visualization', f'iter_{runner.iter}'), outputs or ())

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[BaseDataElement] | None = None
    ) -> None:
        """Write the images of a test batch, if enabled."""
        if self.in_test:
            self.write(Path(runner.work_dir, 'visualization', 'test'), outputs or ())

    @staticmethod
    def write(folder: Path, samples: Sequence[BaseDataElement]) -> None:
        """Write `sr` of each sample, named after its `lq_path`."""
        for sample in samples:
            path = folder / sample.dataset / f'{Path(sample.lq_path).stem}.png'
            mmcv.imwrite(sample.sr.permute(1, 2, 0).cpu().numpy(), str(path))
