"""Trainings and tests by configs of MMEngine."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from asid_plugin.errors import UsageError
from asid_plugin.inference.memory import keep_freed_memory

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
        DatasetError: Images are missing, or do not belong together.
        CheckpointError: The weights to start from are no checkpoint of the network.
    """
    cfg = read_config(config, work_dir, cfg_options, launcher)
    cfg.resume = resume or cfg.get('resume', False)
    if amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
    _runner(cfg).train()


def test(
    config: str,
    checkpoint: str,
    work_dir: str | None = None,
    cfg_options: Sequence[str] = (),
    launcher: Launcher = 'none',
) -> None:
    """Test weights in any file that this package reads by a config; arguments and errors as `train`'s."""
    cfg = read_config(config, work_dir, cfg_options, launcher)
    cfg.model.pretrained = checkpoint
    cfg.load_from = None
    _runner(cfg).test()


def read_config(config: str, work_dir: str | None, cfg_options: Sequence[str], launcher: Launcher) -> Config:
    """Read a config and change it as the other arguments say; see `train`."""
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


def _runner(cfg: Config) -> Runner:
    if not torch.cuda.is_available():
        keep_freed_memory()
    return Runner.from_cfg(cfg)
