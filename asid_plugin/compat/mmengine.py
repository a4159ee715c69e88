"""Corrections of MMEngine 0.10 for today's stack, applied at run time.

Every correction is one function. Its docstring names the fault and its first version; without the fault it changes
nothing.
`asid_plugin.mmengine` runs them. No file of MMEngine is touched.
"""

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch

from .gpu import compute_as_built
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
def correct_mmengine() -> None:
    """Let MMEngine resume, validate alone and run on a CPU; a second call does nothing."""
    for correct in MMENGINE:
        correct()


def mmengine_dist_without_cuda() -> None:
    """Let `--launcher pytorch` and `slurm` start on a machine without CUDA, which MMEngine requires.

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
    """Let models on the CPU be distributed; `Runner` passes a GPU to DistributedDataParallel."""
    from mmengine.model import MMDistributedDataParallel

    original = MMDistributedDataParallel.__init__

    @functools.wraps(original)
    def init(self: MMDistributedDataParallel, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        if all(parameter.device.type == 'cpu' for parameter in module.parameters()):
            kwargs['device_ids'] = None
        original(self, module, *args, **kwargs)

    MMDistributedDataParallel.__init__ = init


def mmengine_amp_without_cuda() -> None:
    """Let `AmpOptimWrapper` be used on a CPU: it refuses, although MMEngine's `autocast` supports bfloat16 there."""
    from mmengine.optim import AmpOptimWrapper
    from mmengine.optim.optimizer import amp_optimizer_wrapper

    original = AmpOptimWrapper.__init__

    @functools.wraps(original)
    def init(self: AmpOptimWrapper, *args: Any, **kwargs: Any) -> None:
        disabled = functools.partial(torch.amp.GradScaler, 'cpu', enabled=False)  # bfloat16 needs no scaler
        with ExitStack() as stack:
            if not torch.cuda.is_available():
                stack.enter_context(replaced(amp_optimizer_wrapper, 'is_cuda_available', lambda: True))
                stack.enter_context(replaced(amp_optimizer_wrapper, 'GradScaler', disabled))
            original(self, *args, **kwargs)

    AmpOptimWrapper.__init__ = init


def mmengine_optimizer_as_configured() -> None:
    """Let a resumed optimizer use the implementation in its config; neither MMEngine nor torch does this.

    See `compute_as_built`. Step counts on the GPU would cost two synchronisations for each weight and iteration.
    """
    from mmengine.optim import AmpOptimWrapper, BaseOptimWrapper

    def loading(original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def load_state_dict(self: BaseOptimWrapper, state_dict: dict[str, Any]) -> None:
            compute_as_built(state_dict, self.optimizer)
            original(self, state_dict)

        return load_state_dict

    for wrapper in (BaseOptimWrapper, AmpOptimWrapper):
        wrapper.load_state_dict = loading(wrapper.load_state_dict)


def mmengine_compiled_for_every_batch() -> None:
    """Let a model name the part of it that `compile` of a config compiles: the attribute at `compiled_part`.

    For models without it, MMEngine compiles `train_step`, as before. The `train_step` of `SuperResolver` depends on the
    names of the images, and would be recompiled for every batch until torch gives up.
    """
    from mmengine.model import is_model_wrapper
    from mmengine.runner import Runner

    original = Runner._maybe_compile

    @functools.wraps(original)
    def maybe_compile(self: Runner, target: str) -> None:
        asked = self.cfg.get('compile')
        model = self.model.module if is_model_wrapper(self.model) else self.model
        part = getattr(model, 'compiled_part', None)
        if not asked or part is None:
            original(self, target)
            return
        getattr(model, part).compile(**(asked if isinstance(asked, dict) else {}))
        self.logger.info(f'model.{part} is compiled for training, which makes the first iterations slow.')

    Runner._maybe_compile = maybe_compile


def mmengine_val_without_training() -> None:
    """Let `Runner.val` be called alone with `save_best`, which has no folder to save to before a training begins."""
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
    mmengine_optimizer_as_configured,
    mmengine_compiled_for_every_batch,
    mmengine_val_without_training,
    mmengine_lmdb_opened_twice,
    mmengine_files_cut_short,
    mmengine_removed_before_saved,
    mmengine_names_in_checkpoints,
    mmengine_resume_past_damage,
    mmengine_ranks_alike,
    mmengine_one_training,
]
