"""Hostile and damaged checkpoints through every way by which the package reads them."""

import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from safetensors.torch import save_file
from tqdm import tqdm

import asid_plugin.mmengine  # noqa: F401
from asid_plugin.archs import ASID
from asid_plugin.checkpoints import CheckpointError, load_asid
from asid_plugin.commands.main import main
from asid_plugin.demo.offers import load_offers
from asid_plugin.layouts.author_layout import to_author_layout
from asid_plugin.printable import printable
from helpers import TINY, write_pairs

# isort: split
import spandrel

from .figures import Row
from .hostile_files import HARM, VICTIM, make, numbers
from .trials import Outcome, attempt

NETWORK = {key: value for key, value in TINY.items() if key != 'type'}
Way = Callable[[Path, Path], object]
"""Reads a file, with the help of the files in a folder."""


def run(folder: Path, seed: int, long: bool) -> Iterator[Row]:
    """Send 500 files through each way, some in the short form; see `WAYS`."""
    torch.set_num_threads(1)
    bases = write_bases(folder)
    for index, (name, (way, kinds, few)) in enumerate(WAYS.items()):
        row = Row(f'checkpoints: {name}')
        drawn = numbers(500 if long else few, seed * len(WAYS) + index)
        for number in tqdm(list(drawn), desc=name, file=sys.stderr, disable=not long, leave=False):
            base = bases[kinds[number % len(kinds)]]
            change, content = make(base, number)
            try_file(row, way, folder, f'{change} of {base.name}, number {number}', content, base.suffix)
        yield row


def try_file(row: Row, way: Way, folder: Path, name: str, content: bytes, suffix: str) -> None:
    """Send one file through one way, in a folder of its own, and count what became of it."""
    trial = folder / 'trial'
    trial.mkdir()
    file = trial / f'hostile{suffix}'
    file.write_bytes(content)
    (trial / VICTIM).touch()
    outcome = attempt(partial(way, file, folder), trial)
    row.add(outcome, name, broken(outcome, trial))
    shutil.rmtree(trial)


def broken(outcome: Outcome, trial: Path) -> str:
    """The promise that is broken beyond those of every trial."""
    if (trial / HARM).exists():
        return 'code was run'
    if not (trial / VICTIM).exists():
        return 'a file was removed'
    lines = outcome.text.splitlines()
    raw = [line for line in lines if outcome.end == 'refused' and printable(line) != line]
    return f'printed raw: {printable(raw[0])}' if raw else ''


def write_bases(folder: Path) -> dict[str, Path]:
    """Whole files that hostile ones are made of, and what the ways need besides, in `folder`."""
    write_pairs(folder / 'pairs', 2)
    cv2.imwrite(str(folder / 'picture.png'), np.zeros((8, 8, 3), np.uint8))
    paths = {name: folder / f'{name}.pth' for name in ('asid', 'authors', 'old', 'mmengine')}
    paths |= {'safetensors': folder / 'asid.safetensors', 'state': folder / '1.state'}
    state_dict = ASID(**NETWORK).state_dict()
    torch.save({'params': state_dict, 'params_ema': {k: v + 1 for k, v in state_dict.items()}}, paths['asid'])
    torch.save(to_author_layout(state_dict), paths['authors'])
    torch.save({'params': state_dict}, paths['old'], _use_new_zipfile_serialization=False)
    save_file(state_dict, paths['safetensors'], {'format': 'pt'})
    main_quietly('train', '-opt', write_options(folder, folder, total_iter=1))
    shutil.copy(folder / 'experiments/tiny/training_states/1.state', paths['state'])
    train_with_mmengine(folder, folder / 'work', 1)
    shutil.copy(folder / 'work/iter_1.pth', paths['mmengine'])
    return paths


def main_quietly(*arguments: object) -> None:
    """Run a command in a process of its own, in the current folder's place."""
    folder = Path(str(arguments[-1])).parent
    outcome = attempt(lambda: main([str(argument) for argument in arguments]), folder)
    assert outcome.end == 'done', outcome.text


def write_options(folder: Path, data: Path, total_iter: int, **path: object) -> Path:
    """Options of a training of few iterations on small data."""
    roots = {f'dataroot_{side}': str(data / 'pairs' / name) for side, name in (('gt', 'GT'), ('lq', 'LR'))}
    train = {'name': 'train', 'type': 'PairedImageDataset', 'io_backend': {'type': 'disk'}, **roots, 'gt_size': 32}
    loading = {'num_worker_per_gpu': 0, 'batch_size_per_gpu': 1, 'use_hflip': False, 'use_rot': False}
    options = {
        'name': 'tiny',
        'model_type': 'ASIDModel',
        'scale': 2,
        'num_gpu': 0,
        'manual_seed': 0,
        'datasets': {'train': train | loading | {'dataset_enlarge_ratio': 1}},
        'network_g': dict(TINY),
        'path': {'pretrain_network_g': None, 'resume_state': None, **path},
        'train': {
            'optim_g': {'type': 'AdamW', 'lr': 1e-3},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [4]},
            'total_iter': total_iter,
            'pixel_opt': {'type': 'L1Loss'},
        },
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 1, 'use_tb_logger': False},
    }
    file = folder / 'options.yml'
    file.write_text(yaml.safe_dump(options))
    return file


def train_with_mmengine(
    data: Path, work_dir: Path, max_iters: int, file: Path | None = None, resume: bool = False
) -> None:
    """Train by MMEngine's Runner on the small data."""
    steps: list[dict[str, Any]] = [
        {'type': 'LoadImagePair'},
        {'type': 'PairedRandomCrop', 'lq_size': 16},
        {'type': 'ImageToTensor', 'keys': ['lq', 'gt']},
        {'type': 'PackPair'},
    ]
    dataset = {
        'type': 'PairedImageDataset',
        'name': 'train',
        'scale': 2,
        'data_root': str(data / 'pairs'),
        'data_prefix': {'gt': 'GT', 'lq': 'LR'},
        'pipeline': steps,
    }
    loader = {'batch_size': 1, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler', 'shuffle': False}}
    checkpoint = {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 1, 'max_keep_ckpts': 3}
    val_data = dataset | {'name': 'val', 'test_mode': True, 'pipeline': [steps[0], *steps[2:]]}
    validation: dict[str, Any] = {
        'val_dataloader': {**loader, 'dataset': val_data},
        'val_evaluator': {'type': 'PSNR'},
        'val_cfg': {},
    }
    for manager in (MessageHub, Visualizer):
        manager._instance_dict.clear()
    Runner(
        model={'type': 'SuperResolver', 'generator': dict(TINY), 'pixel_loss': {'type': 'L1Loss'}},
        work_dir=str(work_dir),
        train_dataloader={**loader, 'dataset': dataset},
        optim_wrapper={'optimizer': {'type': 'AdamW', 'lr': 1e-3}},
        param_scheduler={'type': 'MultiStepLR', 'by_epoch': False, 'milestones': [4]},
        train_cfg={'type': 'SRTrainLoop', 'max_iters': max_iters, 'val_interval': 1},
        default_hooks={
            'checkpoint': checkpoint | {'save_best': 'val/PSNR', 'rule': 'greater'} if resume else checkpoint
        },
        **(validation if resume else {}),
        log_processor={'by_epoch': False},
        log_level='ERROR',
        default_scope='asid',
        load_from=file and str(file),
        resume=resume,
    ).train()


def upscale(file: Path, folder: Path) -> object:
    """Enlarge a picture."""
    return main(['upscale', str(folder / 'picture.png'), '--weights', str(file), '--scale', '2', '-o', 'out'])


def with_spandrel(file: Path, folder: Path) -> object:
    """Load by spandrel, whose errors are of all kinds."""
    try:
        spandrel.ModelLoader().load_from_file(file)
    except Exception as error:
        raise CheckpointError(repr(error)) from error
    return None


def pretrained(file: Path, folder: Path) -> object:
    """Train from weights."""
    options = write_options(Path.cwd(), folder, 1, pretrain_network_g=str(file))
    return main(['train', '-opt', str(options)])


def resumed(file: Path, folder: Path) -> object:
    """Resume a training."""
    shutil.copytree(folder / 'experiments', 'experiments')
    return main(['train', '-opt', str(write_options(Path.cwd(), folder, 2, resume_state=str(file)))])


def evaluate(file: Path, folder: Path) -> object:
    """Evaluate a network."""
    shutil.copytree(folder / 'pairs' / 'GT', 'Set5')
    return main(['evaluate', 'Set5', '--scale', '2', '--network', f'hostile={file}', '-o', 'out'])


def exported(file: Path, folder: Path) -> object:
    """Export to a folder that cannot be made, so that no file is read and then exported for a quarter of a minute."""
    return main(['export', str(file), '/proc/none/out.pt2'])


WAYS: dict[str, tuple[Way, tuple[str, ...], int]] = {
    'upscale': (upscale, ('asid', 'authors', 'old', 'safetensors', 'mmengine'), 4),
    'load_asid': (
        lambda file, folder: bool(load_asid(file)),
        ('asid', 'authors', 'old', 'safetensors', 'mmengine'),
        4,
    ),
    'spandrel': (with_spandrel, ('asid', 'authors', 'old', 'safetensors'), 8),
    'train, pretrained': (pretrained, ('asid', 'authors', 'old', 'safetensors', 'mmengine'), 3),
    'train, resume': (resumed, ('state',), 4),
    'MMEngine, load_from': (
        lambda file, folder: train_with_mmengine(folder, Path('work'), 1, file),
        ('mmengine', 'safetensors', 'asid'),
        3,
    ),
    'MMEngine, resume': (
        lambda file, folder: train_with_mmengine(folder, Path('work'), 2, file, resume=True),
        ('mmengine',),
        3,
    ),
    'evaluate': (evaluate, ('asid', 'authors', 'old', 'safetensors', 'mmengine'), 4),
    'export': (exported, ('asid', 'authors', 'old', 'safetensors', 'mmengine'), 4),
    'convert': (
        lambda file, folder: main(['convert', str(file), 'out.safetensors']),
        ('asid', 'authors', 'old', 'safetensors', 'mmengine'),
        4,
    ),
    'the page': (
        lambda file, folder: bool(load_offers([file])),
        ('asid', 'authors', 'old', 'safetensors', 'mmengine'),
        4,
    ),
}
"""Each way, the files that hostile ones are made of, and how many there are in the short form."""
