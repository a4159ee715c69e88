"""Hooks for what MMEngine's own do not do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from asid_plugin.mmengine.registry import HOOKS


@HOOKS.register_module()
class SRVisualizationHook(Hook):
    """Writes SR images, those of every rank, as `WORK_DIR/visualization/WHEN/SET/NAME.png`.

    WHEN is `iter_N` in validation and `test` in testing. MMEngine's `Visualizer` records rank 0's only.

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
        """Write the images of a validation batch, if asked."""
        if self.in_val:
            self.write(Path(runner.work_dir, 'visualization', f'iter_{runner.iter}'), outputs or ())

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[BaseDataElement] | None = None
    ) -> None:
        """Write the images of a test batch, if asked."""
        if self.in_test:
            self.write(Path(runner.work_dir, 'visualization', 'test'), outputs or ())

    @staticmethod
    def write(folder: Path, samples: Sequence[BaseDataElement]) -> None:
        """Write each sample's `sr`, named after its `lq_path`."""
        for sample in samples:
            path = folder / sample.dataset / f'{Path(sample.lq_path).stem}.png'
            mmcv.imwrite(sample.sr.permute(1, 2, 0).cpu().numpy(), str(path))
