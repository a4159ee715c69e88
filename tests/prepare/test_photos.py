"""Training on photographs of one's own: the data, and the curve of a training."""

import csv
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from skimage import data

from asid_plugin.evaluate.benchmarks import find_sets, load_sample
from asid_plugin.evaluate.protocol import downscale
from asid_plugin.plots.training_curve import draw, read_curve, write_csv
from asid_plugin.prepare import raw_lmdbs, sub_images
from asid_plugin.prepare.photos import held_out, prepare_photos
from asid_plugin.prepare.sub_images import PrepareError
from helpers import command

# isort: split
from basicsr import train
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


def test_prepared_photographs_train_and_two_are_held_out(photos: Path, tmp_path: Path):
    out = tmp_path / 'out'
    for _ in range(2):  # the second call verifies
        prepare_photos([photos], out, (2,), 64, 1)
    assert sorted(path.name for path in (out / 'held_out' / 'GTmod2').iterdir()) == ['1.png', '3.png']
    gt, lq = (cv2.imread(str(out / 'held_out' / kind / '3.png')) for kind in ('GTmod2', 'LRbicx2'))
    assert np.array_equal(gt, cv2.imread(str(photos / '3.png')))
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


@pytest.mark.parametrize(
    ('number', 'expected'),
    [
        (2, [1]),
        (3, [1]),
        (4, [1, 3]),
        (39, [9, 28]),
        (60, [10, 30, 50]),
        (203, list(range(10, 203, 20))[:10]),
        (481, list(range(24, 481, 48))),
        (10_000, list(range(500, 10_000, 1000))),
    ],
)
def test_one_of_twenty_is_held_out(number: int, expected: list[int]):
    assert [int(path.name) for path in held_out([Path(str(i)) for i in range(number)])] == expected


def contents(out: Path) -> dict[str, dict[bytes, bytes]]:
    """Of each LMDB in a folder, all values and the `meta_info.txt`."""
    found = {}
    for path in sorted(out.glob('*.lmdb')):
        with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as transaction:
            found[path.name] = dict(transaction.cursor()) | {b'': (path / 'meta_info.txt').read_bytes()}
    return found


@pytest.mark.slow
def test_lmdbs_hold_the_same_as_those_of_sub_images(photos: Path, tmp_path: Path):
    (photos / '2.png').rename(photos / '2.PNG')
    prepare_photos([photos], tmp_path / 'out', (2, 4), 64, 2)
    for name in ('1.png', '3.png'):  # that are held out
        (photos / name).unlink()
    sub_images.prepare(photos, tmp_path / 'subs', 'photos', scales=(2, 4), crop_size=64, step=32, raw=True)
    expected = {name: values for name, values in contents(tmp_path / 'subs').items() if '_raw' in name}
    assert contents(tmp_path / 'out') == expected
    assert list(expected) == [
        'photos_HR_sub_raw.lmdb',
        'photos_LR_bicubic_X2_sub_raw.lmdb',
        'photos_LR_bicubic_X4_sub_raw.lmdb',
    ]


def test_only_what_training_needs_is_kept(photos: Path, tmp_path: Path):
    out = tmp_path / 'out'
    prepare_photos([photos], out, (2,), 64, 1)
    assert sorted(path.name for path in out.iterdir()) == [
        '.lock',
        'held_out',
        'photos_HR_sub_raw.lmdb',
        'photos_LR_bicubic_X2_sub_raw.lmdb',
        'photos_checksums.jsonl',
        'photos_prepare.json',
    ]
    sub_images_of_one = 3 * 3  # of 64 pixels, every 32, in 100x120
    pixels = 3 * sub_images_of_one * 64 * 64 * 3
    size = sum(path.stat().st_size for path in out.rglob('*') if path.is_file())
    assert pixels * 1.25 < size < pixels * 2.3  # LMDB's pages of 4096 bytes, and what is held out


def test_an_interrupted_run_goes_on(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch):
    """Photographs that are in the LMDBs are not cut again; those that have changed since, or gone, are left out."""
    monkeypatch.setattr(raw_lmdbs, 'COMMIT', 1)
    damage = (photos / '2.png').read_bytes()
    (photos / '2.png').write_bytes(damage[:999])
    out = tmp_path / 'out'
    for _ in range(2):
        with pytest.raises(PrepareError, match=r'1 of 3 images cannot be used:\n.*2\.png: damaged'):
            prepare_photos([photos], out, (2,), 64, 1)
        assert not list(out.glob('[!.]*.lmdb'))
    assert '  2 images: already done\n' in capsys.readouterr().out
    with (out / '.photos_checksums.jsonl').open('a') as file:
        file.write('{"key": "2", "fi')  # as a kill may leave it
    (photos / '2.png').write_bytes(damage)
    cv2.imwrite(str(photos / '0.png'), cv2.imread(str(photos / '0.png'))[:70, :70])
    prepare_photos([photos], out, (2,), 64, 1)
    assert '  1 image: already done\n' in capsys.readouterr().out
    assert [path.name for path in out.iterdir() if path.name.startswith('.')] == ['.lock']
    prepare_photos([photos], tmp_path / 'anew', (2,), 64, 1)
    assert contents(out) == contents(tmp_path / 'anew')


@pytest.mark.parametrize('name', ['.photos_HR_sub_raw.lmdb', '.photos_LR_bicubic_X2_sub_raw.lmdb'])
@pytest.mark.parametrize('length', [0, 100, 8192])
def test_an_lmdb_that_a_full_disk_has_left_is_made_anew(photos: Path, tmp_path: Path, name: str, length: int):
    """LMDB itself opens no file whose first pages are missing or empty."""
    prepare_photos([photos], tmp_path / 'anew', (2,), 64, 1)
    out = tmp_path / 'out'
    (out / name).mkdir(parents=True)
    (out / name / 'data.mdb').write_bytes(bytes(length))
    prepare_photos([photos], out, (2,), 64, 1)
    assert contents(out) == contents(tmp_path / 'anew')


@pytest.mark.slow
def test_a_killed_run_goes_on(photos: Path, tmp_path: Path):
    """Killed when some photographs are safe, to the same contents."""
    for i in range(5, 25):
        cv2.imwrite(str(photos / f'{i}.png'), np.roll(data.astronaut(), 37 * i, axis=0)[:300, :400])
    code = 'import sys; from asid_plugin.prepare import raw_lmdbs; raw_lmdbs.COMMIT = 10**6; '
    code += 'from asid_plugin.commands.main import main; sys.exit(main(sys.argv[1:]))'
    out = tmp_path / 'out'
    arguments = [
        'prepare',
        'photos',
        str(photos),
        '--scale',
        '2',
        '--crop-size',
        '64',
        '--workers',
        '1',
        '-o',
        str(out),
    ]
    process = subprocess.Popen([sys.executable, '-c', code, *arguments], stderr=subprocess.DEVNULL)
    while process.poll() is None and lines_of(out / '.photos_checksums.jsonl') < 4:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 4 <= lines_of(out / '.photos_checksums.jsonl') < 23
    prepare_photos([photos], out, (2,), 64, 1)
    prepare_photos([photos], tmp_path / 'anew', (2,), 64, 1)
    assert contents(out) == contents(tmp_path / 'anew')


def lines_of(path: Path) -> int:
    return path.read_text().count('\n') if path.is_file() else 0


def test_finished_lmdbs_that_were_not_given_their_names_yet(photos: Path, tmp_path: Path):
    """As a kill between the last two steps leaves them."""
    out = tmp_path / 'out'
    prepare_photos([photos], out, (2,), 64, 1)
    expected = contents(out)
    path = out / 'photos_LR_bicubic_X2_sub_raw.lmdb'
    path.rename(path.with_name(f'.{path.name}'))
    prepare_photos([photos], out, (2,), 64, 1)
    assert contents(out) == expected


@pytest.mark.slow
def test_an_lmdb_that_has_changed_is_named(photos: Path, tmp_path: Path):
    out = tmp_path / 'out'
    prepare_photos([photos], out, (2,), 64, 1)
    path = out / 'photos_HR_sub_raw.lmdb'
    checksums = (path / 'checksums.txt').read_text()
    assert len(checksums.splitlines()) == len((path / 'meta_info.txt').read_text().splitlines())
    (path / 'checksums.txt').unlink()  # as an older version left it
    prepare_photos([photos], out, (2,), 64, 1)
    assert (path / 'checksums.txt').read_text() == checksums
    (path / 'checksums.txt').write_text(checksums.replace(checksums[7:15], '00000000', 1))
    with pytest.raises(PrepareError, match=r'has changed: remove .*out and run again \(checksums\.txt\)'):
        prepare_photos([photos], out, (2,), 64, 1)
    (path / 'checksums.txt').write_text(checksums)
    with lmdb.open(str(path)) as env, env.begin(write=True) as transaction:
        value = bytearray(transaction.get(b'2_s003'))
        value[77] ^= 1
        transaction.put(b'2_s003', bytes(value))
    with pytest.raises(PrepareError, match=r'HR_sub_raw\.lmdb has changed: remove .*out and run again \(2\)'):
        prepare_photos([photos], out, (2,), 64, 1)
    shutil.rmtree(path)
    with pytest.raises(PrepareError, match=r'HR_sub_raw\.lmdb is missing: remove .*out and run again'):
        prepare_photos([photos], out, (2,), 64, 1)


@pytest.mark.slow
def test_the_command_at_the_end_trains(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch):
    """For each scale, of photographs that are smaller than the option files' patches, in a folder of another name."""
    (tmp_path / 'options').symlink_to(Path(__file__).parents[2] / 'options')
    monkeypatch.chdir(tmp_path)
    assert (
        command('prepare', 'photos')(
            [photos, '--out', 'my data', '--crop-size', '72', '--scale', '2', '4', '--workers', '1']
        )
        == 0
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith('  asid train ')]
    commands = [shlex.split(line, comments=True) for line in lines]
    names = ('finetune_ASID_x2', 'train_ASID_photos_x2', 'train_ASID_photos_x4')
    assert [words[2] for words in commands] == [f'options/photos/{name}.yml' for name in names]
    for words in commands:
        monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', *words[2:]])
        opt, _ = train.parse_options(str(tmp_path), is_train=True)  # which checks them
        assert opt['datasets']['train']['dataroot_gt'] == 'my data/photos_HR_sub_raw.lmdb'
    assert opt['datasets']['train']['gt_size'] == 72


def test_the_default_folder_needs_no_more_options(photos: Path, tmp_path: Path, capsys, monkeypatch):
    (tmp_path / 'options').symlink_to(Path(__file__).parents[2] / 'options')
    monkeypatch.chdir(tmp_path)
    assert command('prepare', 'photos')([photos, '--crop-size', '64', '--scale', '2', '--workers', '1']) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        'To train, run:',
        '  asid train options/photos/finetune_ASID_x2.yml  # starts from the packaged weights',
        '  asid train options/photos/train_ASID_photos_x2.yml  # starts from scratch',
    ]


def test_files_that_are_left_out_are_counted(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    for name in ('Thumbs.db', 'a.txt', 'b.TXT', 'README'):
        (photos / name).write_bytes(b'text')
    (photos / 'more').mkdir()
    cv2.imwrite(str(photos / '3.ppm'), cv2.imread(str(photos / '3.png')))
    (photos / '3.png').unlink()
    prepare_photos([photos], tmp_path / 'out', (2,), 64, 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'{photos}: skipped 4 files (2 .txt, 1 .db, 1 without a suffix), 1 folder'
    assert '3 photographs for training, 2 held out' in lines
    for i in (0, 1):
        (photos / f'{i}.png').unlink()
    prepare_photos([photos], tmp_path / 'fewer', (2,), 64, 1)
    lines = capsys.readouterr().out.splitlines()
    assert '2 photographs for training, 1 held out' in lines
    assert 'note: validation is on one photograph: its PSNR says little' in lines


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


def moved(folder: Path) -> Path:
    return folder.rename(folder.with_name('elsewhere'))


def one_more(folder: Path) -> Path:
    (folder / '9.png').write_bytes((folder / '0.png').read_bytes())
    return folder


def one_less(folder: Path) -> Path:
    (folder / '4.png').unlink()
    return folder


def changed(folder: Path) -> Path:
    cv2.imwrite(str(folder / '0.png'), np.zeros((100, 120, 3), np.uint8))
    return folder


def damaged(folder: Path) -> Path:
    (folder / '3.png').write_bytes((folder / '3.png').read_bytes()[:99])
    return folder


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (moved, None),
        (one_more, r'held_out/GTmod2 has images that are not held out: 3.png. Remove \S*/held_out'),
        (one_less, r'/out was made from other photographs \(4 is missing\): remove it'),
        (changed, r'/out was made from other photographs \(\S*/mine/0.png has changed\): remove it'),
        (damaged, r'3.png: damaged'),
    ],
)
def test_other_photographs_are_not_taken_for_the_first_ones(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, change, message
):
    arguments = ['--out', str(tmp_path / 'out'), '--scales', '2', '--crop-size', '64', '--workers', '1']
    assert command('prepare', 'photos')([photos, *arguments]) == 0
    assert command('prepare', 'photos')([change(photos), *arguments]) == (2 if message else 0)
    assert not message or re.search(f'^error: .*{message}', capsys.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize(
    ('break_it', 'message'),
    [
        (lambda folder: [folder, folder], 'have the same name; rename one'),
        (lambda folder: [folder / 'nowhere'], 'nowhere: no such folder'),
        (lambda folder: [folder / '0.png'], '0.png: a file, not a folder'),
        (lambda folder: [path.unlink() for path in folder.iterdir()] and [folder], ': no photographs; at least 2 are'),
        (
            lambda folder: [path.unlink() for path in sorted(folder.iterdir())[1:]] and [folder],
            ': one photograph; at least 2 are needed, one of them for validation',
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


def test_without_a_validation_the_loss_is_drawn_alone():
    losses = {i: {'lr': 1e-3, 'l_pix': 0.04} for i in (100, 200)}
    assert len(draw(losses, 'mine').axes) == 1


def test_a_single_validation_is_a_visible_point():
    _, psnr = draw({100: {'lr': 1e-3, 'l_pix': 0.04, 'psnr': 31.5}}, 'mine').axes
    least, most = psnr.get_ylim()
    assert psnr.lines[0].get_marker() == '.' and least < 31.5 < most


def test_several_validation_sets_have_a_column_and_a_line_each(tmp_path: Path):
    other = LOG[LOG.index('2026-11-24 08:00') :].replace('held_out', 'JPEG_50').replace('31.5000', '28.2500')
    (tmp_path / 'train_x_20261124_075837.log').write_text(LOG + '\n' + other)
    curve = read_curve(tmp_path)
    write_csv(curve, tmp_path / 'curve.csv')
    assert (tmp_path / 'curve.csv').read_text().splitlines() == [
        'iter,lr,l_pix,psnr_held_out,ssim_held_out,psnr_JPEG_50,ssim_JPEG_50',
        '900,0.0002,0.05218,,,,',
        '1000,0.001,0.04,31.5,0.91,28.25,0.91',
    ]
    _, psnr = draw(curve, 'x').axes
    assert [(line.get_label(), line.get_ydata()) for line in psnr.lines] == [('held_out', [31.5]), ('JPEG_50', [28.25])]
    least, most = psnr.get_ylim()
    assert least < 28.25 and most > 31.5


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
    samples = {name: load_sample(benchmark.pairs[0], scale=2) for name, benchmark in sets.items()}
    assert all(np.array_equal(sample.hr, samples['clean'].hr) for sample in samples.values())
    assert np.array_equal(samples['clean'].lq, downscale(samples['clean'].hr, 2))
    difference = {name: np.std(sample.lq.astype(float) - samples['clean'].lq) for name, sample in samples.items()}
    assert difference['noise_5'] == pytest.approx(5, rel=0.1)  # clipped where it is black
    assert 0 < difference['JPEG_90'] < difference['JPEG_50'] < difference['noise_15'] < 15


def test_what_cannot_be_degraded(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / 'LRbicx2').mkdir()
    assert command('prepare', 'degraded')([str(tmp_path), '--scale', '2', '--out', str(tmp_path / 'degraded')]) == 2
    assert 'it needs GTmod2 and LRbicx2 with images of the same names' in capsys.readouterr().err
    assert not (tmp_path / 'degraded').exists()
