"""Images that BasicSR's own data sets cannot read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import lmdb
import numpy as np
import pytest
import yaml

import asid_plugin  # noqa: F401  # before basicsr

# isort: split
from basicsr.data import build_dataset
from basicsr.data.paired_image_dataset import PairedImageDataset

from asid_plugin.compat.patching import classes_of
from asid_plugin.pairs import SampleError
from helpers import write_pairs

ROOT = Path(__file__).parents[2]
DISK = {'type': 'disk'}


def degraded(folder: Path, names: list[str]) -> dict[str, Any]:
    (folder / 'list.txt').write_text(''.join(f'{name}\n' for name in names))
    file = ROOT / 'options/realesrgan/train_ASID_realesrnet_x2.yml'
    options = yaml.safe_load(file.read_text())['datasets']['train']
    options |= {'dataroot_gt': str(folder), 'meta_info': str(folder / 'list.txt'), 'phase': 'train', 'scale': 2}
    return options


def paired(kind: str) -> Callable[[Path, list[str]], dict[str, Any]]:
    def options(folder: Path, names: list[str]) -> dict[str, Any]:
        roots = {'dataroot_gt': str(folder), 'dataroot_lq': str(folder.parent / 'LR')}
        return {'name': 'a', 'type': kind, **roots, 'io_backend': dict(DISK), 'phase': 'val', 'scale': 2}

    return options


@pytest.mark.parametrize('damage', ['missing', 'empty', 'cut short'])
@pytest.mark.parametrize(
    'options', [degraded, paired('PairedImageDataset'), paired('RealESRGANPairedDataset')], ids=['GT', 'pairs', 'list']
)
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, options: Callable[..., dict], damage: str) -> None:
    write_pairs(tmp_path, 3)
    file = tmp_path / 'GT/1.png'
    dataset = build_dataset(options(tmp_path / 'GT', ['0.png', '1.png', '2.png']))
    if damage == 'missing':
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 90 if damage == 'cut short' else 0])
    index = next(i for i, paths in enumerate(dataset.paths) if str(file) in str(paths))
    for _ in range(3):  # the first reading makes the client
        with pytest.raises(SampleError, match=rf'^{file}: '):
            dataset[index]
    assert dataset[index - 1]['gt'].shape[0] == 3


def test_a_trimmed_basicsr_lacks_some_classes() -> None:
    names = ['gone_dataset.GoneDataset', 'paired_image_dataset.PairedImageDataset']
    assert list(classes_of('basicsr.data', names)) == [PairedImageDataset]


def test_an_image_that_an_lmdb_lacks_is_named(tmp_path: Path) -> None:
    folder = tmp_path / 'GT.lmdb'
    _, png = cv2.imencode('.png', np.zeros((400, 400, 3), np.uint8))
    with lmdb.open(str(folder)) as database, database.begin(write=True) as transaction:
        transaction.put(b'there', png.tobytes())
    (folder / 'meta_info.txt').write_text('there.png (400,400,3) 1\ngone.png (400,400,3) 1\n')
    dataset = build_dataset(degraded(folder, []) | {'io_backend': {'type': 'lmdb'}})
    assert dataset[0]['gt'].shape == (3, 400, 400)
    with pytest.raises(SampleError, match=rf'^{folder}: gone: it is not there$'):
        dataset[1]
