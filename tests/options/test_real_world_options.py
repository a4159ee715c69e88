"""Messages for mistakes in option files that let BasicSR degrade images, or train with a discriminator."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

import asid_plugin  # noqa: F401  # before basicsr
from helpers import DELETED

# isort: split
import basicsr

from asid_plugin.options.declaration import Needed
from asid_plugin.options.real_world_keys import (
    DegradationOptions,
    DegradedDatasetOptions,
    RealESRGANOptions,
    RealESRNetOptions,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started_with: Callable) -> Callable[..., list]:
    """`started_with` the option file for x2."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'datasets/DF2K/some'
    folder.mkdir(parents=True)
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(folder / name), np.zeros((40, 50, 3), np.uint8))
    Path('datasets/DF2K.txt').write_text('some/a.png\nsome/b.png\n')
    written = yaml.safe_load((ROOT / 'options/realesrgan/train_ASID_realesrnet_x2.yml').read_text())
    written['datasets']['train'] |= {'num_worker_per_gpu': 1, 'dataset_enlarge_ratio': 1000}
    written['train']['total_iter'] = 100
    written['logger']['use_tb_logger'] = False
    return started_with(written)


def test_the_files_are_right(problems: Callable[..., list]) -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ('edits', 'lines'),
    [
        ({'gt_usn': True}, ['gt_usn: unknown; did you mean gt_usm?']),
        ({'jpeg_range': DELETED}, ['jpeg_range: missing; RealESRNetModel needs it']),
        ({'resize_prob': [0.5, 0.5]}, ['resize_prob: [0.5, 0.5] should be a list of 3 numbers of at least 0']),
        ({'jpeg_range': [30, 100]}, ['jpeg_range: 100 should be a number of at least 1 and below 100']),
        ({'noise_range2': [9, 1]}, ['noise_range2: [9, 1] should be in ascending order']),
        ({'l1_gt_usm': True}, ['l1_gt_usm: read by RealESRGANModel only, and model_type is RealESRNetModel']),
        ({'queue_size': 100}, ['queue_size: 100 is not a multiple of batch_size_per_gpu, 12']),
        ({'gt_size': 402}, ['gt_size: 402 should be a multiple of scale, 2, up to 400']),
        (
            {'datasets:train:kernel_list': ['iso', 'anios']},
            ["datasets: train: kernel_list: 'anios' should be iso, aniso, generalized_iso, generalized_aniso, "
             'plateau_iso or plateau_aniso; did you mean aniso?'],
        ),
        (
            {'datasets:train:kernel_prob2': [1, 2]},
            ['datasets: train: kernel_prob2: 2 numbers, but kernel_list2 has 6 kinds'],
        ),
        ({'datasets:train:blur_sigma': [2, 2]}, ['datasets: train: blur_sigma: [2, 2] should be in ascending order']),
        ({'datasets:train:sinc_pro': 0.1}, ['datasets: train: sinc_pro: unknown; did you mean sinc_prob?']),
        (
            {'datasets:train:meta_info': DELETED},
            [
                'datasets: train: meta_info: missing; it should list the images, one a line; create it by '
                '(cd datasets/DF2K && find * -type f) > datasets/DF2K.txt'
            ],
        ),
        ({'train:amp': 'bf16'}, ['train: amp: read by ASIDModel only, and model_type is RealESRNetModel']),
        (
            {'network_g:num_in_ch': 1, 'network_g:num_out_ch': 1, 'path:pretrain_network_g': None},
            [f'network_g: {key}: 1, but the images of datasets:train have 3' for key in ('num_in_ch', 'num_out_ch')],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)  # fmt: skip
def test_mistakes_are_named(problems: Callable[..., list], edits: dict[str, Any], lines: list[str]) -> None:
    assert problems(edits) == lines


def test_keys_of_degradations_are_for_models_that_degrade(problems: Callable[..., list]) -> None:
    found = problems({'model_type': 'SRModel', 'path:pretrain_network_g': None})
    assert 'gt_usm: read by RealESRNetModel only, and model_type is SRModel' in found
    assert any("'lq' of a sample is missing" in line for line in found)


def test_a_list_that_is_not_of_the_folder(problems: Callable[..., list]) -> None:
    Path('datasets/DF2K.txt').write_text('some/a.png\nsome/c.png\n')
    assert problems() == ['datasets: train: meta_info: no some/c.png in datasets/DF2K, which datasets/DF2K.txt lists']
    Path('datasets/DF2K/some/c.png').write_bytes(b'no image')
    [line] = problems()
    assert line.startswith('datasets: train: dataroot_gt: datasets/DF2K/some/c.png: ')


def test_a_batch_of_several_gpus_is_mixed_whole(problems: Callable[..., list], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    lines = ['queue_size: 180 is not a multiple of batch_size_per_gpu, 12, times 2 GPUs']
    assert problems({'num_gpu': 2}) == lines
    assert problems({'num_gpu': 2, 'queue_size': 192}) == []


def test_a_list_may_have_a_number_for_its_name(problems: Callable[..., list]) -> None:
    Path('datasets/DF2K.txt').rename('1e5')
    assert problems({'datasets:train:meta_info': '1e5'}) == []


def test_a_folder_is_quoted_in_the_command(problems: Callable[..., list]) -> None:
    Path('datasets/DF2K').rename('datasets/a; touch harm')
    [line] = problems({'datasets:train:dataroot_gt': 'datasets/a; touch harm', 'datasets:train:meta_info': None})
    assert line.endswith("(cd 'datasets/a; touch harm' && find * -type f) > 'datasets/a; touch harm.txt'")


def test_pairs_need_no_keys_of_degradations(problems: Callable[..., list]) -> None:
    edits = dict.fromkeys(DegradationOptions.needed(Needed.TRAINING), DELETED)
    [line] = problems({**edits, 'high_order_degradation': False})
    assert line.startswith('datasets: train: type: RealESRGANDataset, but high_order_degradation is false')


@pytest.mark.slow
def test_a_discriminator_is_needed(problems: Callable[..., list]) -> None:
    gan = {'model_type': 'RealESRGANModel', 'gt_usm': DELETED}
    assert sorted(problems(gan)) == [
        *(f'{key}: missing; RealESRGANModel needs it' for key in ('gan_gt_usm', 'l1_gt_usm', 'network_d')),
        'percep_gt_usm: missing; RealESRGANModel needs it',
        *(f'train: {key}: missing; RealESRGANModel needs it' for key in ('gan_opt', 'optim_d')),
    ]
    right = {
        **gan,
        **dict.fromkeys(('l1_gt_usm', 'percep_gt_usm', 'gan_gt_usm'), True),
        'network_d': {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3},
        'train:gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla'},
        'train:optim_d': {'type': 'Adam', 'lr': 1e-4},
    }
    assert problems(right) == problems(right | {'train:pixel_opt': DELETED}) == []
    wrong = {'train:ldl_opt': {'type': 'L1Loss'}, 'train:ema_decay': 0, 'train:net_d_itres': 1}
    assert sorted(problems(right | wrong)) == [
        'train: ema_decay: missing; ldl_opt compares with the averaged network',
        'train: net_d_itres: unknown; did you mean net_d_iters?',
    ]


def keys_read(file: str, owner: str) -> set[str]:
    """The keys that a file of BasicSR reads of `OWNER[...]` or `OWNER.get(...)`."""
    read = set()
    for node in ast.walk(ast.parse((Path(basicsr.__file__).parent / file).read_text(encoding='utf-8'))):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == owner:
            read.add(ast.literal_eval(node.slice))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == f'{owner}.get':
            read.add(ast.literal_eval(node.args[0]))
    return read


def test_the_keys_are_those_that_basicsr_reads() -> None:
    common = DegradationOptions.declared().keys() | {'scale'}
    models = {'realesrnet': RealESRNetOptions, 'realesrgan': RealESRGANOptions}
    for name, section in models.items():
        file = f'models/{name}_model.py'
        assert keys_read(file, 'self.opt') | keys_read(file, 'opt') == common | section.declared().keys()
    file = 'data/realesrgan_dataset.py'
    read = keys_read(file, 'self.opt') | keys_read(file, 'opt')
    assert DegradedDatasetOptions.declared().keys() - read == {'gt_size'}
    assert read - DegradedDatasetOptions.declared().keys() == {'dataroot_gt', 'io_backend', 'use_hflip', 'use_rot'}
