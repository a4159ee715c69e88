"""The data set that degrades GT images while training: its samples against references, and trainings with it."""

import pickle
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage import data
from torch.utils.data import DataLoader

import asid_plugin.data  # noqa: F401  # registers the data sets, and before basicsr

# isort: split
from basicsr.data import build_dataset
from basicsr.data.transforms import augment, paired_random_crop

from asid_plugin.checkpoints import load_asid
from asid_plugin.compat.sampling import Draw
from asid_plugin.evaluate.protocol import downscale
from asid_plugin.models import ASIDModel
from asid_plugin.pairs import SampleError
from asid_plugin.prepare import sub_images
from helpers import command

OPTIONS = Path(__file__).parents[2] / 'options'
CLEAN = {
    **{'clean_prob': 0, 'blur_prob': 0, 'noise_prob': 0, 'jpeg_prob': 0},
    **{'kernel_list': ['iso'], 'kernel_prob': [1], 'blur_sigma': [0.2, 1.6]},
    **{'resize_list': ['bicubic'], 'resize_list_prob': [1]},
    **{'noise_range': [0, 15], 'gray_noise_prob': 0, 'jpeg_range': [30, 95]},
}
ALL = {**CLEAN, 'clean_prob': 0.2, 'blur_prob': 0.5, 'noise_prob': 0.5, 'jpeg_prob': 0.5, 'gray_noise_prob': 0.5}
ALL |= {'resize_list': ['bicubic', 'area', 'bilinear', 'cubic', 'lanczos'], 'resize_list_prob': [1, 1, 1, 1, 1]}
ALL |= {'kernel_list': ['iso', 'aniso'], 'kernel_prob': [1, 1]}


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sub-images of 96x96, in a folder, and as LMDBs of PNG files and of raw pixels."""
    root = tmp_path_factory.mktemp('images')
    (root / 'photos').mkdir()
    for name, pixels in (('a', data.astronaut()), ('b', data.coffee())):
        cv2.imwrite(str(root / 'photos' / f'{name}.png'), pixels[60:204, 150:294, ::-1])
    sub_images.prepare(root / 'photos', root, 'x', scales=[2], crop_size=96, step=48, raw=True)
    return root


@pytest.fixture
def dataset(images: Path) -> Callable[..., torch.utils.data.Dataset]:
    def build(**opt: object) -> torch.utils.data.Dataset:
        standard = {'name': 'x', 'type': 'DegradedImageDataset', 'phase': 'train', 'scale': 2, 'gt_size': 48}
        standard |= {'use_hflip': True, 'use_rot': True, 'io_backend': {'type': 'lmdb'}}
        return build_dataset({**standard, 'dataroot_gt': str(images / 'x_HR_sub_raw.lmdb'), **CLEAN, **opt})

    return build


def pixels(tensor: torch.Tensor) -> np.ndarray:
    """(H, W, 3) RGB of 0 to 255."""
    return tensor.permute(1, 2, 0).numpy() * 255


@pytest.mark.parametrize('chance', [{}, {'clean_prob': 1, 'blur_prob': 1, 'noise_prob': 1, 'jpeg_prob': 1}], ids=str)
@pytest.mark.parametrize(('scale', 'gt_size'), [(2, 48), (2, 96), (3, 48), (4, 64)])
def test_clean_patches_are_crops_of_images_that_matlab_makes(
    images: Path, dataset: Callable, chance: dict, scale: int, gt_size: int
) -> None:
    """Also at the borders, which MATLAB mirrors; the crops, flips and turns are BasicSR's of the same seed."""
    ours = dataset(scale=scale, gt_size=gt_size, **chance)
    assert len(ours) == len(list((images / 'x_HR_sub').iterdir())) == 8
    for index in range(8):
        random.seed(index)
        sample = ours[index]
        random.seed(index)
        whole = cv2.imread(str(images / 'x_HR_sub' / f'{sample["gt_path"]}.png'))
        gt, lq = augment([crop.copy() for crop in paired_random_crop(whole, downscale(whole, scale), gt_size, scale)])
        assert np.array_equal(pixels(sample['gt']).round(), gt[..., ::-1])
        difference = np.abs(pixels(sample['lq']).round() - lq[..., ::-1])
        assert difference.max() <= 1 and difference.mean() < 1e-3  # sums in another order, where a half is rounded


def test_area_averages(dataset: Callable) -> None:
    sample = dataset(scale=3, resize_list=['area'])[2]
    expected = pixels(sample['gt']).reshape(16, 3, 16, 3, 3).mean((1, 3))
    np.testing.assert_allclose(pixels(sample['lq']), expected, atol=0.51)


def test_other_kernels_are_opencvs(dataset: Callable) -> None:
    for name in ('bilinear', 'cubic', 'lanczos'):
        sample = dataset(resize_list=[name])[1]
        flag = getattr(cv2, f'INTER_{ {"bilinear": "LINEAR", "cubic": "CUBIC", "lanczos": "LANCZOS4"}[name] }')
        expected = cv2.resize(pixels(sample['gt']), (24, 24), interpolation=flag).clip(0, 255)
        np.testing.assert_allclose(pixels(sample['lq'])[4:-4, 4:-4], expected[4:-4, 4:-4], atol=0.51)


@pytest.mark.slow
def test_kernels_are_drawn_by_their_weights(dataset: Callable) -> None:
    """At x4; at x2 area and bilinear are the same, and at x3 all but area and bicubic."""
    names, weights = ALL['resize_list'], [4, 1, 1, 1, 1]
    alone = [dataset(scale=4, resize_list=[name]) for name in names]
    mixed = dataset(scale=4, resize_list=names, resize_list_prob=weights)
    counts = [0] * len(names)
    for seed in range(160):
        draw = Draw(seed % 8, seed)
        lq = mixed[draw]['lq']
        [kernel] = [index for index, other in enumerate(alone) if torch.equal(other[draw]['lq'], lq)]
        counts[kernel] += 1
    np.testing.assert_allclose(counts, [80, 20, 20, 20, 20], atol=16)


def test_blur_is_gaussian_and_has_its_margin(dataset: Callable) -> None:
    """As where the whole image is blurred before it is made smaller."""
    ours = dataset(blur_prob=1, blur_sigma=[1.3, 1.3001], use_hflip=False, use_rot=False)
    random.seed(3)
    sample = ours[5]
    random.seed(3)
    whole = np.ascontiguousarray(ours.images[sample['gt_path']])
    blurred = gaussian_filter(whole.astype(float), (1.3, 1.3, 0), mode='reflect', truncate=5)
    _, lq = paired_random_crop(whole, downscale(blurred, 2), 48, 2)
    difference = np.abs(pixels(sample['lq']).round() - lq[..., ::-1])
    assert difference.max() <= 2 and difference.mean() < 0.4
    assert np.abs(pixels(sample['lq']) - pixels(dataset(use_hflip=False, use_rot=False)[Draw(5, 3)]['lq'])).mean() > 1


def differences(dataset: Callable, num: int = 40, **opt: Any) -> np.ndarray:
    """The degraded patches less the clean ones, of the same draws."""
    degraded, clean = dataset(**opt), dataset()
    pairs = [(degraded[Draw(seed % 8, seed)], clean[Draw(seed % 8, seed)]) for seed in range(num)]
    assert all(torch.equal(one['gt'], other['gt']) for one, other in pairs)
    return np.array([pixels(one['lq']) - pixels(other['lq']) for one, other in pairs])


def test_noise_has_its_deviation(dataset: Callable) -> None:
    added = differences(dataset, noise_prob=1, noise_range=[8, 8])
    assert np.median(added.std((1, 2, 3))) == pytest.approx(8, rel=0.03)
    assert abs(np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]) < 0.1
    drawn = differences(dataset, noise_prob=1).std((1, 2, 3))
    assert drawn.min() < 2 and 12 < drawn.max() < 16


def test_grey_noise_is_alike_in_all_channels(dataset: Callable) -> None:
    added = differences(dataset, noise_prob=1, noise_range=[8, 8], gray_noise_prob=1)
    assert np.mean(np.abs(added[..., 0] - added[..., 2]) < 0.01) > 0.9  # but where it is clipped


def test_jpeg_is_the_coarser_the_lower_its_quality(dataset: Callable) -> None:
    errors = [differences(dataset, jpeg_prob=1, jpeg_range=[q, q]).std() for q in (30, 50.4, 75, 95)]
    assert errors == sorted(errors, reverse=True)
    assert 5 < errors[0] < 20 and errors[3] < 4


def test_the_blocks_of_jpeg_begin_anywhere(dataset: Callable) -> None:
    """A network of windows must not learn where they begin; at a lowest quality the blocks are flat, and show."""
    ours = dataset(jpeg_prob=1, jpeg_range=[1, 1], use_rot=False, use_hflip=False)
    begins = set()
    for seed in range(40):
        steps = np.abs(np.diff(pixels(ours[Draw(seed % 8, seed)]['lq']), axis=1)).mean((0, 2))
        begins.add(int(np.argmax([steps[phase::8].mean() for phase in range(8)])))
    assert len(begins) >= 7


def test_shares_are_the_probabilities(dataset: Callable) -> None:
    """Half of the samples are clean, and of the others half are noisy."""
    changed = differences(dataset, 200, clean_prob=0.5, noise_prob=0.5, noise_range=[9, 9]).std((1, 2, 3)) > 1
    assert 0.15 < changed.mean() < 0.35


def test_patches_are_of_8_bits(dataset: Callable) -> None:
    for seed in range(30):
        lq = dataset(**ALL)[Draw(seed % 8, seed)]['lq']
        assert lq.dtype == torch.float32 and lq.shape == (3, 24, 24)
        assert torch.equal(lq, (lq * 255).round().clamp(0, 255) / 255)


def test_a_draw_is_the_same_sample_whoever_reads_it_and_when(dataset: Callable) -> None:
    ours = dataset(**ALL)
    samples = []
    for disturbed in (1, 2):
        random.seed(disturbed)
        np.random.seed(disturbed)
        python, numpy = random.getstate(), np.random.get_state()
        samples.append([ours[Draw(seed % 8, seed)]['lq'] for seed in range(2**64, 2**64 + 20)])
        assert random.getstate() == python
        assert all(np.array_equal(one, other) for one, other in zip(np.random.get_state(), numpy, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(*samples, strict=True))
    assert len({sample.numpy().tobytes() for sample in samples[0]}) == 20


def test_folders_and_lmdbs_give_the_same(images: Path, dataset: Callable, tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('b_s002.png (96,96,3)\na_s001.png (96,96,3)\n')
    raw = dataset(**ALL)
    png = dataset(**ALL, dataroot_gt=str(images / 'x_HR_sub.lmdb'))
    disk = {**ALL, 'dataroot_gt': str(images / 'x_HR_sub'), 'io_backend': {'type': 'disk'}}
    files, listed = dataset(**disk), dataset(**disk, meta_info_file=str(tmp_path / 'list.txt'))
    assert len(raw) == len(png) == len(files) == 8 and len(listed) == 2
    for index in range(8):
        expected = raw[Draw(index, index)]
        for other in (png, files):
            assert torch.equal(other[Draw(index, index)]['lq'], expected['lq'])
    place = raw.images.names.index('b_s002')
    assert torch.equal(listed[Draw(0, 5)]['lq'], raw[Draw(place, 5)]['lq'])
    assert listed[0]['gt_path'] == 'b_s002.png'


@pytest.mark.slow
@pytest.mark.parametrize('lmdb', ['x_HR_sub_raw.lmdb', 'x_HR_sub.lmdb'])
def test_workers_read_it(images: Path, dataset: Callable, lmdb: str) -> None:
    """Forked when it has been read already, or started anew with a copy of a data set that has not."""
    ours = dataset(dataroot_gt=str(images / lmdb), use_hflip=False, use_rot=False, gt_size=96, clean_prob=1)
    copy = pickle.loads(pickle.dumps(ours))
    expected = torch.stack([ours[i]['lq'] for i in range(8)])
    loader = DataLoader(ours, batch_size=8, num_workers=2, multiprocessing_context='fork')
    assert torch.equal(next(iter(loader))['lq'], expected)
    assert torch.equal(torch.stack([copy[i]['lq'] for i in range(8)]), expected)


def test_images_that_cannot_be_used_are_named(images: Path, dataset: Callable, tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=r'x_HR_sub_raw\.lmdb: a_s001: 96x96 is below gt_size, 98'):
        dataset(gt_size=98)[0]
    (tmp_path / 'a.png').write_bytes(b'no image')
    disk = {'dataroot_gt': str(tmp_path), 'io_backend': {'type': 'disk'}}
    with pytest.raises(SampleError, match=r'a\.png: '):
        dataset(**disk)[0]
    listed = tmp_path.with_suffix('.txt')
    listed.write_text('b.png\n')
    with pytest.raises(SampleError, match=r'b\.png: No such file'):
        dataset(**disk, meta_info_file=str(listed))[0]


@pytest.mark.slow
@pytest.mark.parametrize(('scale', 'parts'), [(2, ('finetune', 'finish', 'jpeg')), (4, ('finetune', 'finish'))])
def test_the_option_files_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: int, parts: tuple[str, ...]
) -> None:
    """As their first lines say, on small photographs: validated on three sets, each from the weights before."""
    (tmp_path / 'mine').mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / 'mine' / f'{i}.png'), data.astronaut()[64 * i : 64 * i + 256, 100:356, ::-1])
    monkeypatch.chdir(tmp_path)
    crop = ['--crop-size', '256', '--scale', str(scale), '--workers', '1']
    assert command('prepare', 'photos')(['mine', *crop]) == 0
    degrade = ['datasets/photos/held_out', '--scale', str(scale), '-o', 'datasets/degraded']
    assert command('prepare', 'degraded')(degrade) == 0
    forced = ['train:total_iter=2', 'val:val_freq=2', 'logger:print_freq=1', 'datasets:train:batch_size_per_gpu=2']
    forced += ['datasets:train:num_worker_per_gpu=0', 'datasets:train:persistent_workers=false', 'val:at_start=false']
    monkeypatch.setattr(sys, 'argv', ['asid'])
    validated, validation = [], ASIDModel.validation
    monkeypatch.setattr(ASIDModel, 'validation', lambda *args: validated.append(args[1]) or validation(*args))
    start = load_asid(f'packaged:x{scale}')
    for part in parts:
        name = f'{part}_ASID_real_x{scale}'
        validated.clear()
        assert command('train')([str(OPTIONS / 'photos' / f'{name}.yml'), '--force_yml', *forced]) == 0
        assert [loader.dataset.opt['name'] for loader in validated][:3] == ['clean', 'JPEG_50', 'noise_15']
        end = load_asid(Path('experiments', name, 'models', 'net_g_latest.pth'))
        apart = [(one - other).abs().max() for one, other in zip(start.parameters(), end.parameters(), strict=True)]
        assert 0 < max(apart) < 1e-3  # two steps at the beginning of the warm-up
        start = end
