"""Mends of MMEngine 0.10 for today's stack, made while the program runs.

Every mend is one function. Its docstring names the fault and its first version; without the fault it changes nothing.
`asid_plugin.mmengine` runs them. No file of MMEngine is touched.
"""

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch

from .lmdbs import mmengine_lmdb_opened_twice
from .mmengine_checkpoints import mmengine_checkpoints
from .mmengine_saving import (
    mmengine_files_cut_short,
    mmengine_names_in_checkpoints,
    mmengine_removed_before_saved,
    mmengine_resume_past_damage,
)
from .patching import leave_process_group_at_exit, on_gloo, replaced
from .ranks import mmengine_one_training, mmengine_ranks_alike


@functools.cache
def mend_mmengine() -> None:
    """Mend what keeps MMEngine from resuming, validating alone and running on a CPU; a second call does nothing."""
    for mend in MMENGINE:
        mend()


def mmengine_dist_without_cuda() -> None:
    """Let `--launcher pytorch` and `slurm` start on a machine without CUDA, which MMEngine takes for given.

    As in BasicSR, see `dist_without_cuda` and `process_group_left_open`.
    """
    from mmengine.dist import utils

    def leaving(original: Callable[..., Any]) -> Callable[..., Any]:
        start = on_gloo(original)

        @functools.wraps(original)
        def init_dist(*args: Any, **kwargs: Any) -> None:
            start(*args, **kwargs)
            leave_process_group_at_exit()

        return init_dist

    for name in ('_init_dist_pytorch', '_init_dist_slurm'):
        setattr(utils, name, leaving(getattr(utils, name)))


def mmengine_ddp_without_cuda() -> None:
    """Let models on the CPU be distributed, where `Runner` names a GPU to DistributedDataParallel."""
    from mmengine.model import MMDistributedDataParallel

    original = MMDistributedDataParallel.__init__

    @functools.wraps(original)
    def init(self: MMDistributedDataParallel, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        if all(parameter.device.type == 'cpu' for parameter in module.parameters()):
            kwargs['device_ids'] = None
        original(self, module, *args, **kwargs)

    MMDistributedDataParallel.__init__ = init


def mmengine_amp_without_cuda() -> None:
    """Let `AmpOptimWrapper` be used on a CPU: it refuses, although MMEngine's own `autocast` has bfloat16 there."""
    from mmengine.optim import AmpOptimWrapper
    from mmengine.optim.optimizer import amp_optimizer_wrapper

    original = AmpOptimWrapper.__init__

    @functools.wraps(original)
    def init(self: AmpOptimWrapper, *args: Any, **kwargs: Any) -> None:
        disabled = functools.partial(torch.amp.GradScaler, 'cpu', enabled=False)  # bfloat16 needs none
        with ExitStack() as stack:
            if not torch.cuda.is_available():
                stack.enter_context(replaced(amp_optimizer_wrapper, 'is_cuda_available', lambda: True))
                stack.enter_context(replaced(amp_optimizer_wrapper, 'GradScaler', disabled))
            original(self, *args, **kwargs)

    AmpOptimWrapper.__init__ = init


def mmengine_val_without_training() -> None:
    """Let `Runner.val` be called alone with a `save_best`, which has nowhere to save to before a training begins."""
    from mmengine.hooks import CheckpointHook

    original = CheckpointHook.after_val_epoch

    @functools.wraps(original)
    def after_val_epoch(self: CheckpointHook, runner: Any, metrics: dict[str, float]) -> None:
        if hasattr(self, 'file_backend'):  # `before_train` sets it
            original(self, runner, metrics)

    CheckpointHook.after_val_epoch = after_val_epoch


MMENGINE = [
    mmengine_checkpoints,
    mmengine_dist_without_cuda,
    mmengine_ddp_without_cuda,
    mmengine_amp_without_cuda,
    mmengine_val_without_training,
    mmengine_lmdb_opened_twice,
    mmengine_files_cut_short,
    mmengine_removed_before_saved,
    mmengine_names_in_checkpoints,
    mmengine_resume_past_damage,
    mmengine_ranks_alike,
    mmengine_one_training,
]
