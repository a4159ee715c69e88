"""The fast datasets: BasicSR's samples, without its decoding."""

import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataloader, build_dataset
from basicsr.data.prefetch_dataloader import CPUPrefetcher

from asid_plugin.compat.sampling import Draw
from asid_plugin.data import RawPairedImageDataset
from asid_plugin.prepare import sub_images
from helpers import command, write_pairs

TYPES = ['RawPairedImageDataset', 'CachedPairedImageDataset']


@pytest.fixture(scope='module')
def lmdbs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LMDBs of 64x64 sub-images and their half, as PNG files and raw, and the sub-images in folders."""
    root = tmp_path_factory.mktemp('data')
    write_pairs(root / 'photos', 3, size=96)
    sub_images.prepare(root / 'photos' / 'GT', root, 'x', scales=[2], crop_size=64, step=32, raw=True)
    return root


@pytest.fixture
def dataset(lmdbs: Path) -> Callable[..., torch.utils.data.Dataset]:
    def build(kind: str, **opt: object) -> torch.utils.data.Dataset:
        raw = '_raw' if kind == 'RawPairedImageDataset' else ''
        roots = {'gt': f'x_HR_sub{raw}.lmdb', 'lq': f'x_LR_bicubic_X2_sub{raw}.lmdb'}
        standard = {'name': 'x', 'phase': 'train', 'scale': 2, 'gt_size': 32, 'use_hflip': True, 'use_rot': True}
        paths = {f'dataroot_{key}': str(lmdbs / name) for key, name in roots.items()}
        return build_dataset({**standard, **paths, 'type': kind, 'io_backend': {'type': 'lmdb'}, **opt})

    return build


def assert_same(sample: dict, expected: dict) -> None:
    assert sample.keys() == expected.keys()
    assert (sample['gt_path'], sample['lq_path']) == (expected['gt_path'], expected['lq_path'])
    for key in ('gt', 'lq'):
        assert sample[key].dtype == expected[key].dtype == torch.float32
        assert sample[key].numpy().tobytes() == expected[key].numpy().tobytes()


@pytest.mark.parametrize('kind', TYPES)
@pytest.mark.parametrize(
    'opt',
    [
        {},
        {'use_rot': False},
        {'use_hflip': False, 'gt_size': 64},
        {'phase': 'val'},
        {'color': 'y'},
        {'mean': [0.4, 0.5, 0.6], 'std': [0.1, 0.2, 0.3]},
    ],
    ids=str,
)
def test_the_samples_are_those_of_basicsr(dataset: Callable, kind: str, opt: dict) -> None:
    ours, theirs = dataset(kind, **opt), dataset('PairedImageDataset', **opt)
    assert len(ours) == len(theirs) > 10
    samples = []
    for source in (ours, theirs):
        random.seed(7)
        samples.append([source[i] for i in range(len(source)) for _ in range(4)])
    for sample, expected in zip(*samples, strict=True):
        assert_same(sample, expected)
    if opt.get('phase') != 'val':
        assert len({sample['lq'].numpy().tobytes() for sample in samples[0]}) > len(ours)


@pytest.mark.parametrize('kind', TYPES)
def test_a_draw_is_the_same_sample_whoever_reads_it_and_when(dataset: Callable, kind: str) -> None:
    ours, theirs = dataset(kind), dataset('PairedImageDataset')
    drawn = {}
    for seed in (2**64 + 5, 6):
        random.seed(seed % 7)
        drawn[seed] = ours[Draw(3, seed)]
        assert_same(drawn[seed], theirs[Draw(3, seed)])
        assert_same(drawn[seed], ours[Draw(3, seed)])
    assert len({sample['lq'].numpy().tobytes() for sample in drawn.values()}) == 2


@pytest.mark.slow
@pytest.mark.parametrize('kind', TYPES)
def test_the_batches_of_workers_are_those_of_basicsr(dataset: Callable, kind: str) -> None:
    """Two epochs of two workers that are kept, seeded by BasicSR, through its prefetcher."""
    batches = []
    for name in (kind, 'PairedImageDataset'):
        loading = {'phase': 'train', 'num_worker_per_gpu': 2, 'batch_size_per_gpu': 4, 'persistent_workers': True}
        torch.manual_seed(0)
        loader = build_dataloader(dataset(name), loading, seed=5)
        prefetcher, found = CPUPrefetcher(loader), []
        for _ in range(2):
            prefetcher.reset()
            while (batch := prefetcher.next()) is not None:
                found.append(batch)
        batches.append(found)
    assert len(batches[0]) == len(batches[1]) > 4
    for batch, expected in zip(*batches, strict=True):
        np.testing.assert_array_equal(batch['gt'].numpy(), expected['gt'].numpy())
        np.testing.assert_array_equal(batch['lq'].numpy(), expected['lq'].numpy())
        assert batch['gt_path'] == expected['gt_path']


def test_folders_can_be_cached(dataset: Callable, lmdbs: Path) -> None:
    roots = {'dataroot_gt': str(lmdbs / 'x_HR_sub'), 'dataroot_lq': str(lmdbs / 'x_LR_bicubic' / 'X2_sub')}
    opt = {**roots, 'io_backend': {'type': 'disk'}, 'phase': 'val'}
    cached = dataset('CachedPairedImageDataset', **opt)
    expected = dataset('PairedImageDataset', **opt)
    by_path = {sample['gt_path']: sample for sample in (expected[i] for i in range(len(expected)))}
    for i in range(len(cached)):
        assert_same(cached[i], by_path[cached[i]['gt_path']])


def test_an_lmdb_of_png_files_is_not_raw(dataset: Callable, lmdbs: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(lmdbs / 'x_HR_sub.lmdb', tmp_path / 'x_HR_sub.lmdb')
    png = dataset('RawPairedImageDataset', dataroot_gt=str(alone))
    with pytest.raises(ValueError, match=r'x_HR_sub\.lmdb: 0_s001: \d+ bytes instead of 12288 for 64x64 pixels'):
        png[0]


def test_raw_pixels_are_found_beside_png_files(dataset: Callable, lmdbs: Path) -> None:
    roots = {
        f'dataroot_{key}': str(lmdbs / f'x_{name}.lmdb')
        for key, name in (('gt', 'HR_sub'), ('lq', 'LR_bicubic_X2_sub'))
    }
    found, named = dataset('RawPairedImageDataset', **roots), dataset('RawPairedImageDataset')
    assert Path(found.gt_folder) == Path(named.gt_folder) == lmdbs / 'x_HR_sub_raw.lmdb'
    assert found.paths == named.paths
    assert_same(found[Draw(3, 7)], named[Draw(3, 7)])


@pytest.mark.slow
@pytest.mark.parametrize('switch', [['--raw'], ['--force_yml', 'datasets:train:type=RawPairedImageDataset']])
def test_a_training_on_raw_pixels_is_the_same(
    options: dict, lmdbs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: list[str]
) -> None:
    """One switch for the option file of PNG files: the same weights and optimizer's state, bit for bit."""
    roots = {'dataroot_gt': str(lmdbs / 'x_HR_sub.lmdb'), 'dataroot_lq': str(lmdbs / 'x_LR_bicubic_X2_sub.lmdb')}
    options['datasets']['train'] |= {**roots, 'io_backend': {'type': 'lmdb'}}
    del options['val'], options['datasets']['val']
    (tmp_path / 'run.yml').write_text(yaml.safe_dump(options))
    ends, read, pixels = [], [], RawPairedImageDataset.pixels
    monkeypatch.setattr(RawPairedImageDataset, 'pixels', lambda *args: read.append(args) or pixels(*args))
    for name, arguments in (('png', []), ('raw', switch)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setattr(sys, 'argv', ['asid'])
        assert command('train')(['../run.yml', *arguments]) == 0
        state = torch.load('experiments/tiny/training_states/6.state', weights_only=True)
        ends.append(torch.load('experiments/tiny/models/net_g_latest.pth')['params'] | dict(enumerate(moments(state))))
        assert bool(read) == bool(arguments)
    assert ends[0].keys() == ends[1].keys() and len(ends[0]) > 100
    for key, value in ends[0].items():
        assert torch.equal(value, ends[1][key]), key


def moments(state: dict) -> list[torch.Tensor]:
    [optimizer] = state['optimizers']
    return [moment[name] for moment in optimizer['state'].values() for name in ('exp_avg', 'exp_avg_sq')]
