"""Tiny trainings by MMEngine's configs, and their data."""

import random
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from helpers import TINY, write_pairs

CONFIG = Path(__file__).parents[2] / 'options' / 'mmengine' / 'asid_x2_div2k.py'
NETWORK = {key: value for key, value in TINY.items() if key != 'type'}


def write_data(root: Path, num_val: int) -> Path:
    """Write 7 pairs to train on, and some to validate with."""
    write_pairs(root / 'train', 7)
    write_pairs(root / 'val', num_val)
    return root


def tiny_config(data: Path, work_dir: Path, *changes: dict[str, Any]) -> Config:
    """The recipe's config with a tiny network, batches of 2 of this data, and further changes."""
    prefix = {'gt': 'GT', 'lq': 'LR'}
    train_data = {'data_root': str(data / 'train'), 'data_prefix': prefix, 'pipeline': {'1': {'lq_size': 16}}}
    loader = {'batch_size': 2, 'num_workers': 0, 'persistent_workers': False, 'pin_memory': False}
    small = {
        'model': {'generator': NETWORK},
        'train_dataloader': {**loader, 'dataset': train_data},
        'val_dataloader': {'dataset': {'name': 'val', 'data_root': str(data / 'val'), 'data_prefix': prefix}},
        'work_dir': str(work_dir),
    }
    cfg = Config.fromfile(CONFIG)
    for change in (small, *changes):
        cfg.merge_from_dict(change)
    return cfg


def make(cfg: Config) -> Runner:
    """A Runner; MMEngine keeps whatever has a name as long as the process lives, so each has another."""
    cfg.experiment_name = f'tiny_{random.SystemRandom().random()}'
    return Runner.from_cfg(cfg)
