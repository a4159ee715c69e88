"""Training patches that are chosen by their detail."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import asid_plugin.data  # noqa: F401  # registers the data sets, and before basicsr

# isort: split
from basicsr.data import build_dataset
from test_degraded import CLEAN

from asid_plugin.compat.sampling import Draw
from asid_plugin.data.detail import MOST_DRAWS, detail, draw_detailed
from asid_plugin.prepare import sub_images


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw LMDBs of a grey image, `flat`, and of one of stripes, `fine`, 96x96 each."""
    root = tmp_path_factory.mktemp('images')
    (root / 'photos').mkdir()
    flat, fine = np.full((96, 96, 3), 128, np.uint8), np.zeros((96, 96, 3), np.uint8)
    fine[:, ::2] = 100
    for name, pixels in (('flat', flat), ('fine', fine)):
        cv2.imwrite(str(root / 'photos' / f'{name}.png'), pixels)
    sub_images.prepare(root / 'photos', root, 'x', scales=[2], crop_size=96, step=96, raw=True)
    return root


@pytest.fixture(params=['RawPairedImageDataset', 'CachedPairedImageDataset', 'DegradedImageDataset'])
def dataset(request: pytest.FixtureRequest, images: Path) -> Callable[..., torch.utils.data.Dataset]:
    def build(**opt: object) -> torch.utils.data.Dataset:
        kind = request.param
        cached = kind.startswith('Cached')
        root = images / ('x_HR_sub.lmdb' if cached else 'x_HR_sub_raw.lmdb')
        pair = {} if kind.startswith('Degraded') else {'dataroot_lq': str(root).replace('HR', 'LR_bicubic_X2')}
        standard = {'name': 'x', 'type': kind, 'phase': 'train', 'scale': 2, 'gt_size': 48, 'use_hflip': True}
        standard |= {'use_rot': True, 'io_backend': {'type': 'lmdb'}, 'dataroot_gt': str(root), **pair}
        return build_dataset({**standard, **(CLEAN if kind.startswith('Degraded') else {}), **opt})

    return build


def names(dataset: torch.utils.data.Dataset, **opt: object) -> list[str]:
    """The images of which 40 samples are, 20 asked of each image."""
    return [dataset[Draw(i % 2, seed)]['gt_path'].split('_')[0] for i, seed in enumerate(range(40))]


def test_flat_patches_are_replaced(dataset: Callable[..., torch.utils.data.Dataset]) -> None:
    assert Counter(names(dataset())) == {'flat': 20, 'fine': 20}
    assert Counter(names(dataset(detail=10))) == {'fine': 40}
    assert names(dataset(detail=10)) == names(dataset(detail=10))


def test_patches_of_enough_detail_are_as_without(dataset: Callable[..., torch.utils.data.Dataset]) -> None:
    """The next number of `random` is drawn after the crop, so flips may differ, and the place does not."""
    index = next(i for i in range(2) if dataset()[Draw(i, 3)]['gt_path'].startswith('fine'))
    plain, chosen = (dataset(use_hflip=False, use_rot=False, detail=least)[Draw(index, 3)] for least in (None, 1e-3))
    assert torch.equal(plain['gt'], chosen['gt']) and torch.equal(plain['lq'], chosen['lq'])


def test_detail_is_the_mean_difference_from_bicubic() -> None:
    flat = np.full((8, 8, 3), 100, np.uint8)
    assert detail(flat, flat[::2, ::2]) == 0
    other = flat.copy()
    other[:4, :, 0] += 12  # half of the pixels of one channel
    assert detail(other, flat[::2, ::2]) == 2


def test_a_patch_is_taken_in_proportion_to_its_detail() -> None:
    """Of patches of detail 2 and 8 with 8 as the least, one in five is of 2: a quarter of those drawn."""
    random.seed(0)
    drawn = Counter(draw_detailed(8, lambda: random.choice((2, 8)), float) for _ in range(5000))
    assert drawn[2] / 5000 == pytest.approx(1 / 5, abs=3 * (0.2 * 0.8 / 5000) ** 0.5)


def test_data_without_detail_still_train() -> None:
    drawn: list[int] = []
    assert draw_detailed(8, lambda: drawn.append(0) or len(drawn), lambda patch: 0) == MOST_DRAWS
