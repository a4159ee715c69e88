"""Train and test with configs of MMEngine."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from asid_plugin.compat.ranks import hold_work_dir
from asid_plugin.errors import UsageError
from asid_plugin.inference.memory import keep_freed_memory
from asid_plugin.locks import released_after
from asid_plugin.mmengine.checks import check_config
from asid_plugin.mmengine.dataset import checked_once
from asid_plugin.tf32 import allow_tf32

Launcher = Literal['none', 'pytorch', 'slurm']


def train(
    config: str,
    work_dir: str | None = None,
    cfg_options: Sequence[str] = (),
    launcher: Launcher = 'none',
    resume: bool = False,
    amp: bool = False,
) -> None:
    """Train with a config.

    Args:
        config: The file of the config.
        work_dir: Folder for results; by default `work_dir` of the config, or `work_dirs/CONFIG`.
        cfg_options: Changes of the config, 'key=value' each, as in OpenMMLab's tools.
        launcher: The launcher of the processes.
        resume: Continue from the last checkpoint in the work folder.
        amp: Train in mixed precision.

    Raises:
        UsageError: The config cannot be read.
        DatasetError: Weights or images are missing or do not fit; nothing was written.
        CheckpointError: The weights to start from are not a checkpoint of the network.
        LockedError: Another process trains in the work folder.
        ResumeError: The work folder has checkpoints, but none is usable.
    """
    cfg = read_config(config, work_dir, cfg_options, launcher)
    cfg.resume = resume or cfg.get('resume', False)
    _check_whole(cfg, config, 'train')
    if amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
    with checked_once():
        check_config(cfg, 'train_dataloader', 'val_dataloader')
        with released_after():
            _runner(cfg, TrainingRunner).train()


def test(
    config: str,
    checkpoint: str,
    work_dir: str | None = None,
    cfg_options: Sequence[str] = (),
    launcher: Launcher = 'none',
) -> None:
    """Test weights from any file that this package reads with a config; arguments and errors as in `train`."""
    cfg = read_config(config, work_dir, cfg_options, launcher)
    _check_whole(cfg, config, 'test')
    cfg.model.pretrained = checkpoint
    cfg.load_from = None
    with checked_once():
        check_config(cfg, 'test_dataloader')
        allow_tf32(False)
        _runner(cfg).test()


def read_config(config: str, work_dir: str | None, cfg_options: Sequence[str], launcher: Launcher) -> Config:
    """Read a config and apply the other arguments; see `train`."""
    # MMEngine's loaders for other suffixes also run code, from files that look like data
    if Path(config).suffix != '.py':
        raise UsageError(f'{config}: a config of MMEngine should be a .py file')
    try:
        cfg = Config.fromfile(config)
    except Exception as error:  # a config is a program and may raise any error
        raise UsageError(f'{config}: {type(error).__name__}: {" ".join(str(error).split())}') from error
    if launcher == 'pytorch' and 'RANK' not in os.environ:
        raise UsageError('--launcher pytorch needs torchrun: torchrun --nproc_per_node=N -m asid_plugin mmengine ...')
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    cfg.merge_from_dict(parser.parse_args(['--cfg-options', *cfg_options] if cfg_options else []).cfg_options)
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs', Path(config).stem))
    return cfg


def _check_whole(cfg: Config, config: str, action: Literal['train', 'test']) -> None:
    """Raise a UsageError if a config lacks a section that the action needs."""
    needed = {'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'), 'test': ('test_dataloader', 'test_cfg')}
    lacking = [name for name in ('model', *needed[action]) if name not in cfg]
    if lacking:
        raise UsageError(f'{config}: it has no {", ".join(lacking)}; see the configs in options/mmengine')


class TrainingRunner(Runner):
    """A Runner that locks its work folder before it writes anything there."""

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """As in MMEngine, then lock the folder, when processes are connected."""
        super().setup_env(env_cfg)
        hold_work_dir(self)


def _runner(cfg: Config, kind: type[Runner] = Runner) -> Runner:
    if not torch.cuda.is_available():
        keep_freed_memory()
    return kind.from_cfg(cfg)
