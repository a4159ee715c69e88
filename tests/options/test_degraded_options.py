"""Messages for mistakes in option files whose training set degrades GT images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

import asid_plugin  # noqa: F401  # before basicsr
from asid_plugin.data.degradation import Degradation
from asid_plugin.options.degraded_keys import RESIZES, DegradedImageOptions
from asid_plugin.prepare import sub_images
from helpers import DELETED

ROOT = Path(__file__).parents[2]
FILES = [f'options/photos/finetune_ASID_real_x{scale}.yml' for scale in (2, 4)]
DISK = {'datasets:train:dataroot_gt': 'photos', 'datasets:train:io_backend:type': 'disk'}


@pytest.fixture
def problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, started_with: Callable
) -> Callable[..., list]:
    """`started_with` the option file for x2."""
    monkeypatch.chdir(tmp_path)
    Path('photos').mkdir()
    for name in ('a.png', 'b.png'):
        cv2.imwrite(f'photos/{name}', np.random.default_rng(0).integers(0, 256, (140, 150, 3), np.uint8))
    sub_images.prepare(Path('photos'), Path('lmdbs'), 'photos', scales=[2], crop_size=128, step=64, raw=True)
    Path('datasets').mkdir()
    Path('lmdbs').rename('datasets/photos')
    capsys.readouterr()
    written = yaml.safe_load((ROOT / FILES[0]).read_text())
    written['datasets'] = {'train': written['datasets']['train']}
    written['datasets']['train'] |= {'dataset_enlarge_ratio': 1000}
    written['train']['total_iter'] = 100
    del written['val']
    return started_with(written)


@pytest.mark.slow
def test_raw_pixels_png_files_and_folders_are_right(problems: Callable[..., list]) -> None:
    assert problems() == []
    assert problems({'datasets:train:dataroot_gt': 'datasets/photos/photos_HR_sub.lmdb'}) == []
    assert problems(DISK) == []
    Path('list.txt').write_text('b.png (140,150,3)\n')
    assert problems({**DISK, 'datasets:train:meta_info_file': 'list.txt'}) == []


@pytest.mark.parametrize(
    ('edits', 'lines'),
    [
        ({'noise_rang': [1, 2]}, ['noise_rang: unknown; did you mean noise_range?']),
        ({'jpeg_prob': DELETED}, ['jpeg_prob: missing; it must be a number of at least 0 and at most 1']),
        ({'clean_prob': 1.5}, ['clean_prob: 1.5 should be a number of at least 0 and at most 1']),
        ({'jpeg_range': [95, 30]}, ['jpeg_range: [95, 30] should be in ascending order']),
        ({'blur_sigma': [1, 1]}, ['blur_sigma: [1, 1] should be in ascending order']),
        ({'blur_sigma': [0, 1]}, ['blur_sigma: 0 should be a number above 0 and at most 10']),
        ({'resize_list': ['area'], 'resize_list_prob': [0]}, ['resize_list_prob: at least one number must be above 0']),
        ({'kernel_prob': [1]}, ['kernel_prob: 1 numbers, but kernel_list has 2 kinds']),
        (
            {'resize_list': ['bicubik'], 'resize_list_prob': [1]},
            ["resize_list: 'bicubik' should be bicubic, area, bilinear, cubic or lanczos; did you mean bicubic?"],
        ),
        ({'gt_size': 97}, ['gt_size: 97 is not a multiple of scale 2; use 96 (LR patches of 48) or 98 '
                           '(LR patches of 49)']),
        ({'gt_size': 130}, ['gt_size: 130 does not fit into a_s001, 128 pixels wide or high; use at most 128']),
        ({'dataroot_lq': 'x'}, ['dataroot_lq: unknown']),
        (
            {'dataset_enlarge_ratio': 1, 'batch_size_per_gpu': 10},
            ['dataset_enlarge_ratio: 1 x 8 images are less than one batch of 10; use at least 2'],
        ),
        (
            {'dataroot_gt': 'datasets/photos/nothing.lmdb'},
            ['dataroot_gt: no folder datasets/photos/nothing.lmdb in '],
        ),
        (
            {'dataroot_gt': 'photos'},
            ['dataroot_gt: photos is a folder of images; use io_backend: type: disk'],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)  # fmt: skip
def test_mistakes_are_named(problems: Callable[..., list], edits: dict[str, Any], lines: list[str]) -> None:
    found = problems({f'datasets:train:{key}': value for key, value in edits.items()})
    assert len(found) == len(lines)
    for line, beginning in zip(found, lines, strict=True):
        assert line.startswith(f'datasets: train: {beginning}')


@pytest.mark.slow
def test_images_that_cannot_be_used_are_named(problems: Callable[..., list]) -> None:
    Path('photos/b.png').write_bytes(Path('photos/b.png').read_bytes()[:-200])
    Path('photos/c.txt').write_text('notes')
    [line] = problems(DISK)
    assert line.startswith('datasets: train: dataroot_gt: photos/c.txt is not an image, but BasicSR reads every file')
    Path('photos/c.txt').unlink()
    [line] = problems(DISK)
    assert line.startswith('datasets: train: dataroot_gt: photos/b.png: ')
    Path('list.txt').write_text('a.png\nz.png\n')
    [line] = problems({**DISK, 'datasets:train:meta_info_file': 'list.txt'})
    assert line == 'datasets: train: meta_info_file: no z.png in photos'
    Path('datasets/photos/photos_HR_sub_raw.lmdb/meta_info.txt').write_text('nonsense\n')
    [line] = problems()
    assert line.startswith('datasets: train: dataroot_gt: datasets/photos/photos_HR_sub_raw.lmdb/meta_info.txt, line 1')


def test_it_is_for_training(problems: Callable[..., list]) -> None:
    [options] = [yaml.safe_load((ROOT / FILES[0]).read_text())['datasets']['train']]
    loading = ('gt_size', 'use_hflip', 'use_rot', 'num_worker_per_gpu', 'batch_size_per_gpu')
    tested = {key: value for key, value in options.items() if key not in (*loading, 'persistent_workers')}
    [line] = problems({'datasets:val': {**tested, 'name': 'other'}, 'val': {'val_freq': 10, 'save_img': False}})
    assert line == (
        'datasets: val: type: DegradedImageDataset draws new samples each time, so it is for training only; use '
        'PairedImageDataset with the pairs of asid prepare degraded'
    )


def test_the_channels_are_three(problems: Callable[..., list]) -> None:
    edits = {'network_g:num_in_ch': 1, 'network_g:num_out_ch': 1, 'path:pretrain_network_g': None}
    assert problems(edits) == [
        f'network_g: {key}: 1, but the images of datasets:train have 3' for key in ('num_in_ch', 'num_out_ch')
    ]


def test_every_declared_key_is_read_and_no_other() -> None:
    """By the part that degrades; the data set itself reads those that all have."""
    options = yaml.safe_load((ROOT / FILES[0]).read_text())['datasets']['train']
    assert DegradedImageOptions.declared().keys() <= options.keys()
    read = set()

    class Noting(dict):
        def __getitem__(self, key: str) -> Any:
            read.add(key)
            return super().__getitem__(key)

    always = {'clean_prob': 0, 'blur_prob': 1, 'noise_prob': 1, 'jpeg_prob': 1, 'scale': 2}
    degrade = Degradation(Noting(options | always))
    side = 2 * (64 + 2 * degrade.margin)
    for name in RESIZES:
        degrade.opt = Noting(degrade.opt | {'resize_list': [name], 'resize_list_prob': [1]})
        assert degrade(np.zeros((side, side, 3), np.uint8)).shape == (64, 64, 3)
    assert read == {*DegradedImageOptions.declared(), 'scale', 'gt_size'}
