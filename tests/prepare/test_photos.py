"""Training on photographs of one's own: the data, and the curve of a training."""

import csv
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from asid_plugin.evaluate.benchmarks import find_sets, load_sample
from asid_plugin.evaluate.protocol import downscale
from asid_plugin.prepare.photos import prepare_photos
from helpers import command

# isort: split
from basicsr.data import build_dataset

LOG = """\
2026-11-24 07:58:37,218 INFO: Start training from epoch: 0, iter: 0
2026-11-24 07:58:59,520 INFO: [train..][epoch:  0, iter:     900, lr:(2.000e-04,)] [eta: 6:01:09, time (data): 0.2 (0.0)] l_pix: 5.2180e-02 
2026-11-24 07:59:59,520 INFO: [train..][epoch:  0, iter:   1,000, lr:(1.000e-03,)] [eta: 6:01:09, time (data): 0.2 (0.0)] l_pix: 4.0000e-02 
2026-11-24 08:00:01,520 INFO: Validation held_out
\t # psnr: 31.5000\tBest: 31.5000 @ 1000 iter
\t # ssim: 0.9100\tBest: 0.9100 @ 1000 iter
"""  # noqa: E501  # as BasicSR writes it
RESUMED = """\
2026-11-24 09:00:01,520 INFO: [train..][epoch:  0, iter:   1,000, lr:(1.000e-03,)] [eta: 6:01:09, time (data): 0.2 (0.0)] l_pix: 3.9000e-02 
2026-11-24 09:00:09,520 INFO: [train..][epoch:  1, iter:   1,100, lr:(1.000e-03,)] [eta: 6:01:09, time (data): 0.2 (0.0)] l_pix: 3.5000e-02 
"""  # noqa: E501


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five photographs of 100x120."""
    folder = tmp_path / 'mine'
    folder.mkdir()
    for i in range(5):
        cv2.imwrite(str(folder / f'{i}.png'), data.astronaut()[40 * i : 40 * i + 100, 180:300])
    return folder


def test_prepared_photographs_train_and_one_is_held_out(photos: Path, tmp_path: Path):
    out = tmp_path / 'out'
    for _ in range(2):  # the second call verifies
        prepare_photos([photos], out, (2,), 64, 1)
    assert sorted(path.name for path in (out / 'HR').iterdir()) == ['0.png', '1.png', '2.png', '3.png']
    gt, lq = (cv2.imread(str(out / 'held_out' / kind / '4.png')) for kind in ('GTmod2', 'LRbicx2'))
    assert np.array_equal(gt, cv2.imread(str(photos / '4.png')))
    assert np.array_equal(lq, downscale(gt, 2))
    opt = {
        'name': 'photos',
        'type': 'RawPairedImageDataset',
        'phase': 'train',
        'scale': 2,
        'dataroot_gt': str(out / 'photos_HR_sub_raw.lmdb'),
        'dataroot_lq': str(out / 'photos_LR_bicubic_X2_sub_raw.lmdb'),
        'io_backend': {'type': 'lmdb'},
        'gt_size': 64,
        'use_hflip': False,
        'use_rot': False,
    }
    assert build_dataset(opt)[0]['lq'].shape == (3, 32, 32)


def test_photographs_may_be_links(photos: Path, tmp_path: Path):
    """Such as a downloader leaves: to files named by their checksums."""
    blobs = tmp_path / 'blobs'
    photos.rename(blobs)
    photos.mkdir()
    for i in range(5):
        (blobs / f'{i}.png').rename(blobs / f'{i:064x}')
        (photos / f'{i}.png').symlink_to(Path('../blobs') / f'{i:064x}')
    prepare_photos([photos], tmp_path / 'out', (2,), 64, 1)
    assert (tmp_path / 'out' / 'photos_LR_bicubic_X2_sub_raw.lmdb').is_dir()


def another_folder(folder: Path) -> Path:
    return folder.rename(folder.with_name('denoised'))


def one_more(folder: Path) -> Path:
    (folder / '9.png').write_bytes((folder / '0.png').read_bytes())
    return folder


def damaged(folder: Path) -> Path:
    (folder / '4.png').write_bytes((folder / '4.png').read_bytes()[:99])
    return folder


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (another_folder, r'HR/0.png is \S*/mine/0.png, and not \S*/denoised/0.png. Remove the folder \S*/out'),
        (one_more, r'held_out/GTmod2 has images that are not held out: 4.png. Remove \S*/held_out'),
        (damaged, r'4.png: damaged, cut short'),
    ],
)
def test_other_photographs_are_not_taken_for_the_first_ones(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, change, message
):
    arguments = ['--out', str(tmp_path / 'out'), '--scales', '2', '--crop-size', '64', '--workers', '1']
    assert command('prepare', 'photos')([photos, *arguments]) == 0
    assert command('prepare', 'photos')([change(photos), *arguments]) == 2
    assert re.search(f'^error: .*{message}', capsys.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize(
    ('break_it', 'message'),
    [
        (lambda folder: [folder, folder], 'have the same name; rename one'),
        (
            lambda folder: [path.unlink() for path in sorted(folder.iterdir())[1:]] and [folder],
            '1 photographs; at least 2',
        ),
    ],
)
def test_what_cannot_be_prepared_is_said(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, break_it, message
):
    folders = break_it(photos)
    assert command('prepare', 'photos')([*map(str, folders), '--out', str(tmp_path / 'out')]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_a_curve_is_read_from_the_logs_of_a_resumed_training(tmp_path: Path):
    (tmp_path / 'train_x_20261124_075837.log').write_text(LOG)
    (tmp_path / 'train_x_20261124_090000.log').write_text(RESUMED)
    out = tmp_path / 'curve.csv'
    assert command('curve')([str(tmp_path), '-o', str(out)]) == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row['iter'], row['l_pix'], row['psnr']) for row in rows] == [
        ('900', '0.05218', ''),
        ('1000', '0.039', '31.5'),
        ('1100', '0.035', ''),
    ]
    assert out.with_suffix('.png').read_bytes().startswith(b'\x89PNG')


def test_no_log_is_said(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert command('curve')([str(tmp_path), '-o', str(tmp_path / 'curve.csv')]) == 2
    assert 'no train_*.log' in capsys.readouterr().err
    assert not (tmp_path / 'curve.csv').exists()


def test_degraded_sets(photos: Path, tmp_path: Path):
    """As the evaluator finds them, and no worse than they are called."""
    prepare_photos([photos], tmp_path / 'out', (2,), 64, 1)
    for _ in range(2):  # the second call finds the same
        assert (
            command('prepare', 'degraded')(
                [str(tmp_path / 'out' / 'held_out'), '--scale', '2', '--out', str(tmp_path / 'degraded')]
            )
            == 0
        )
    sets = {benchmark.name: benchmark for benchmark in find_sets([tmp_path / 'degraded'], 2)}
    samples = {name: load_sample(*benchmark.pairs, scale=2) for name, benchmark in sets.items()}
    assert all(np.array_equal(sample.hr, samples['clean'].hr) for sample in samples.values())
    assert np.array_equal(samples['clean'].lq, downscale(samples['clean'].hr, 2))
    difference = {name: np.std(sample.lq.astype(float) - samples['clean'].lq) for name, sample in samples.items()}
    assert difference['noise_5'] == pytest.approx(5, rel=0.1)  # clipped where it is black
    assert 0 < difference['JPEG_90'] < difference['JPEG_50'] < difference['noise_15'] < 15


def test_what_cannot_be_degraded(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / 'LRbicx2').mkdir()
    assert command('prepare', 'degraded')([str(tmp_path), '--scale', '2', '--out', str(tmp_path / 'degraded')]) == 2
    assert 'GTmod2 and LRbicx2 with images of the same names are needed' in capsys.readouterr().err
    assert not (tmp_path / 'degraded').exists()
