"""Trainings and tests by configs of MMEngine."""

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
    """Train by a config.

    Args:
        config: The config's file.
        work_dir: Where to write; None for the config's, or `work_dirs/` and the config's name.
        cfg_options: Changes to the config, 'key=value' each, as OpenMMLab's tools take them.
        launcher: That started the processes.
        resume: Continue from the last checkpoint in the work folder.
        amp: Train in mixed precision.

    Raises:
        UsageError: The config cannot be read.
        DatasetError: Weights or images are missing, or do not belong together; nothing was written.
        CheckpointError: The weights to start from are no checkpoint of the network.
        LockedError: Another process trains in the work folder.
        ResumeError: The work folder has checkpoints, and none can be resumed from.
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
    """Test weights in any file that this package reads by a config; arguments and errors as `train`'s."""
    cfg = read_config(config, work_dir, cfg_options, launcher)
    _check_whole(cfg, config, 'test')
    cfg.model.pretrained = checkpoint
    cfg.load_from = None
    with checked_once():
        check_config(cfg, 'test_dataloader')
        allow_tf32(False)
        _runner(cfg).test()


def read_config(config: str, work_dir: str | None, cfg_options: Sequence[str], launcher: Launcher) -> Config:
    """Read a config and change it as the other arguments say; see `train`."""
    if Path(config).suffix != '.py':  # MMEngine reads others by loaders that run code, from files that look like data
        raise UsageError(f'{config}: a config of MMEngine should be a .py file, which everybody knows to be a program')
    try:
        cfg = Config.fromfile(config)
    except Exception as error:  # a config is a program, which fails in any way
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
        raise UsageError(f'{config}: it has no {", ".join(lacking)}; options/mmengine has configs that have')


class TrainingRunner(Runner):
    """A Runner that locks its work folder before it writes anything there."""

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """MMEngine's, after which the processes know each other."""
        super().setup_env(env_cfg)
        hold_work_dir(self)


def _runner(cfg: Config, kind: type[Runner] = Runner) -> Runner:
    if not torch.cuda.is_available():
        keep_freed_memory()
    return kind.from_cfg(cfg)
