"""RealSR: pairs of either size are prepared to the pixel, BasicSR trains and tests on them, the table is printed."""

import asid_plugin  # noqa: F401, I001  # before basicsr

import re
from pathlib import Path

import cv2
import numpy as np
import forked
import fresh
import pytest
import skimage.data
import torch
import yaml
from helpers import command, held_elsewhere
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.metrics import calculate_psnr
from basicsr.utils.matlab_functions import imresize

from asid_plugin.archs import ASID
from asid_plugin.evaluate.benchmarks import find_sets
from asid_plugin.evaluate.results import Evaluation, Figures, ImageResult, Method, SetResult
from asid_plugin.evaluate.table import write_csv
from asid_plugin.locks import LockedError, lock_inside
from asid_plugin.pairs.meta_info import read_shapes
from asid_plugin.prepare.realsr import prepare_realsr
from asid_plugin.prepare.sub_images import PrepareError
from asid_plugin.published.reported import read_table

table1 = command('paper', 'supplement-table1')
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'scripts' / 'prepare_realsr.py'
HEIGHT, WIDTH = 100, 122  # of the first scene; neither 3 nor 4 divides both
CUT = {'crop_size': 60, 'step': 36}


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


def write_realsr(root: Path, equal_size: bool = False, round_up: bool = False) -> Path:
    """RealSR's folders with two scenes of each camera in Train and one in Test, LR of 1/k of HR's size or of HR's."""
    photograph = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    top = 0
    for camera in ('Canon', 'Nikon'):
        for split, scenes in (('Train', 2), ('Test', 1)):
            for scale in (2, 3, 4):
                folder = root / camera / split / str(scale)
                folder.mkdir(parents=True)
                for scene in range(scenes):
                    hr = photograph[top : top + HEIGHT, 150 : 150 + WIDTH + scene]
                    top += 10
                    height, width = (-(-side // scale) if round_up else side // scale for side in hr.shape[:2])
                    lr = cv2.GaussianBlur(hr, (0, 0), scale / 2)
                    if not equal_size:
                        lr = cv2.resize(lr, (width, height), interpolation=cv2.INTER_AREA)
                    cv2.imwrite(str(folder / f'{camera}_{scene + 1:03d}_HR.png'), hr)
                    cv2.imwrite(str(folder / f'{camera}_{scene + 1:03d}_LR{scale}.png'), lr)
    return root


def matlab_bicubic(image: np.ndarray, scale: int) -> np.ndarray:
    """1/scale of an image, rounded as MATLAB rounds."""
    return np.floor(imresize(image.astype(np.float32), 1 / scale) + 0.5).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with RealSR V3 prepared by the command in its folder `datasets`."""
    work = tmp_path_factory.mktemp('realsr')
    write_realsr(work / 'datasets/RealSR(V3)')
    done = fresh.run([*fresh.script(SCRIPT), '--crop-size', '60', '--step', '36', '--workers', '1'], work)
    assert done.returncode == 0, done.stderr
    assert 'train_x3: 4 from Canon, Nikon; LR has 1/k of the HR size, used unchanged' in done.stdout
    return work


@pytest.mark.slow
def test_lr_of_version_3_is_used_as_it_is(prepared: Path):
    source, out = prepared / 'datasets/RealSR(V3)', prepared / 'datasets/RealSR'
    for scale in (3, 4):
        assert [p.name for p in sorted((out / f'GTmod{scale}').iterdir())] == ['Canon_001.png', 'Nikon_001.png']
        for camera in ('Canon', 'Nikon'):
            files = source / camera / 'Test' / str(scale)
            hr, lr = read(files / f'{camera}_001_HR.png'), read(files / f'{camera}_001_LR{scale}.png')
            assert hr.shape[:2] == (HEIGHT, WIDTH)
            cropped = hr[: HEIGHT // scale * scale, : WIDTH // scale * scale]
            np.testing.assert_array_equal(read(out / f'GTmod{scale}/{camera}_001.png'), cropped)
            np.testing.assert_array_equal(read(out / f'LRbicx{scale}/{camera}_001.png'), lr)


@pytest.mark.slow
@pytest.mark.parametrize('scale', [3, 4])
def test_basicsr_reads_sub_images_that_belong_together(prepared: Path, scale: int):
    out = prepared / 'datasets/RealSR'
    roots = {
        'dataroot_gt': str(out / f'train_x{scale}_HR_sub.lmdb'),
        'dataroot_lq': str(out / f'train_x{scale}_LR_sub.lmdb'),
    }
    dataset = PairedImageDataset({**roots, 'scale': scale, 'phase': 'val', 'io_backend': {'type': 'lmdb'}})
    pairs = {Path(pair['gt_path']).stem: pair for pair in (dataset[i] for i in range(len(dataset)))}
    assert len(pairs) == 4 * 3 * 3
    files = prepared / f'datasets/RealSR(V3)/Nikon/Train/{scale}'
    hr, lr = read(files / 'Nikon_002_HR.png'), read(files / f'Nikon_002_LR{scale}.png')
    bottom, right = (side // scale * scale - 60 for side in hr.shape[:2])
    for index, (y, x) in enumerate((y, x) for y in (0, 36, bottom) for x in (0, 36, right)):
        pair = pairs[f'Nikon_002_s{index + 1:03d}']
        gt, lq = (np.rint(pair[key].numpy().transpose(1, 2, 0)[..., ::-1] * 255) for key in ('gt', 'lq'))
        np.testing.assert_array_equal(gt, hr[y : y + 60, x : x + 60])
        top, left, side = y // scale, x // scale, 60 // scale
        np.testing.assert_array_equal(lq, lr[top : top + side, left : left + side])


@pytest.mark.slow
def test_the_evaluator_knows_the_layout(prepared: Path):
    for scale in (3, 4):
        [found] = find_sets([prepared / 'datasets'], scale, ['RealSR'])
        assert found.layout == f'GTmod{scale} and LRbicx{scale}'
        assert [pair.name for pair in found.pairs] == ['Canon_001', 'Nikon_001']


def test_lr_of_equal_size_is_downscaled(tmp_path: Path, capsys: pytest.CaptureFixture):
    source, out = write_realsr(tmp_path / 'V2', equal_size=True), tmp_path / 'out'
    prepare_realsr(source, out, scales=[3], **CUT)
    assert 'test_x3: 2 from Canon, Nikon; LR has the HR size, downscaled by imresize' in capsys.readouterr().out
    files = source / 'Nikon/Test/3'
    np.testing.assert_array_equal(read(out / 'GTmod3/Nikon_001.png'), read(files / 'Nikon_001_HR.png')[:99, :120])
    expected = matlab_bicubic(read(files / 'Nikon_001_LR3.png')[:99, :120], 3)
    np.testing.assert_array_equal(read(out / 'LRbicx3/Nikon_001.png'), expected)
    whole = matlab_bicubic(read(source / 'Canon/Train/3/Canon_002_LR3.png')[:99, :123], 3)
    np.testing.assert_array_equal(read(out / 'train_x3_LR_sub/Canon_002_s009.png'), whole[13:33, 21:41])
    assert not (out / 'GTmod4').exists()


def test_lr_of_a_size_rounded_up_is_cropped(tmp_path: Path):
    source, out = write_realsr(tmp_path / 'V3', round_up=True), tmp_path / 'out'
    prepare_realsr(source, out, scales=[3], cameras=['Nikon'], raw=True, **CUT)
    assert read(source / 'Nikon/Test/3/Nikon_001_LR3.png').shape == (34, 41, 3)
    expected = read(source / 'Nikon/Test/3/Nikon_001_LR3.png')[:33, :40]
    np.testing.assert_array_equal(read(out / 'LRbicx3/Nikon_001.png'), expected)
    assert read(out / 'GTmod3/Nikon_001.png').shape == (99, 120, 3)
    assert not list(out.rglob('Canon*'))
    for side in ('HR', 'LR'):
        shapes, is_raw = read_shapes(out / f'train_x3_{side}_sub_raw.lmdb')
        assert is_raw and len(shapes) == len(list((out / f'train_x3_{side}_sub').iterdir()))


def test_a_second_run_verifies_and_writes_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture):
    source, out = write_realsr(tmp_path / 'V3'), tmp_path / 'out'
    prepare_realsr(source, out, scales=[4], **CUT)
    made = {path: path.read_bytes() for path in out.rglob('*.png')}
    (out / 'LRbicx4/Canon_001.png').unlink()
    capsys.readouterr()
    prepare_realsr(source, out, scales=[4], **CUT)
    said = capsys.readouterr().out
    assert '4 images: already done' in said
    assert said.count('already done, 36 images, verified') == 2
    assert '1 image: already done' in said
    assert {path: path.read_bytes() for path in out.rglob('*.png')} == made


def test_what_is_wrong_is_named(tmp_path: Path):
    source, out = write_realsr(tmp_path / 'V3'), tmp_path / 'out'

    def refused(match: str, realsr: Path = source, **changed) -> None:
        with pytest.raises(PrepareError, match=match):
            prepare_realsr(realsr, out, **{'scales': [4], **CUT, **changed})

    refused('V1/Canon/Train/4: no such folder; --realsr should name .*nothing', realsr=tmp_path / 'V1')
    refused('Canon/Train/8: no such folder; .*V3: Canon, Nikon', scales=[8], crop_size=64, step=32)
    refused('--crop-size 50: for these scales it must be a multiple of 4', crop_size=50)
    folder = source / 'Nikon/Test/4'
    lr = (folder / 'Nikon_001_LR4.png').rename(folder / 'a.png')
    refused('not RealSR as released\n.*a.png: names should .* Nikon_001_LR4\n.*_HR.png: its partner Nikon_001_LR4 is')
    lr = lr.rename(folder / 'Nikon_001_LR4.png')
    assert not out.exists()
    cv2.imwrite(str(lr), np.zeros((20, 30, 3), np.uint8))
    refused(r'1 of 2 images .*\n.*Nikon_001_LR4.png is 30x20, but .*_HR.png is 122x100: LR must be 30x25 for x4')
    cv2.imwrite(str(lr), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    refused('Nikon_001_LR4.png is 122x100, .* LR must be 30x25 for x4')
    refused(r'train_x4_\* were made with .*"step": 36.*: remove them', step=48)
    refused(r'train_x4_\* were made with .*"Canon", "Nikon".* not with .*\["Canon"\]', cameras=['Canon'])
    for path in folder.iterdir():
        path.unlink()
    refused('Nikon/Test/4: no images named Nikon_001_HR and Nikon_001_LR4')


def test_another_preparation_is_at_work(tmp_path: Path):
    realsr, out = write_realsr(tmp_path / 'RealSR'), tmp_path / 'out'
    with held_elsewhere(lock_inside(out)) as first, pytest.raises(LockedError, match=f'process {first.pid} on '):
        prepare_realsr(realsr, out)
    assert sorted(path.name for path in out.iterdir()) == ['.lock', '.lock.holder']


def test_one_size_for_all_pairs_of_a_split(tmp_path: Path):
    source = write_realsr(tmp_path / 'V2', equal_size=True)
    odd = source / 'Nikon/Train/3/Nikon_002_LR3.png'
    cv2.imwrite(str(odd), np.zeros((33, 41, 3), np.uint8))
    with pytest.raises(PrepareError, match='Nikon_002_LR3.png is 41x33, .* LR must be 123x100 for x3'):
        prepare_realsr(source, tmp_path / 'out', scales=[3], **CUT)


def test_a_damaged_first_image_is_named(tmp_path: Path, capsys: pytest.CaptureFixture):
    source = write_realsr(tmp_path / 'V3')
    first = source / 'Canon/Train/4/Canon_001_LR4.png'
    first.write_bytes(b'no image')
    assert command('prepare', 'realsr')(['--realsr', source, '--out', tmp_path / 'out', '--scales', '4']) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(rf'error: {re.escape(str(first))}: not an image in a supported format\n', said)
    assert not (tmp_path / 'out').exists()


def test_the_command_ends_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.chdir(tmp_path)
    assert command('prepare', 'realsr')() == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r'error: datasets/RealSR\(V3\)/Canon/Train/3: no such folder; .*\n', said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('scale', [3, 4])
def test_the_option_files_are_the_bicubic_ones_but_for_what_they_say(scale: int):
    def load(name: str) -> dict:
        return yaml.safe_load((ROOT / 'options' / name).read_text())

    ours, bicubic = load(f'realsr/train_ASID_RealSR_x{scale}.yml'), load(f'train_ASID_x{scale}.yml')
    assert ours['path'].pop('pretrain_network_g') == f'experiments/{bicubic["name"]}/models/net_g_latest.pth'
    tested = load(f'realsr/test_ASID_RealSR_x{scale}.yml')
    assert tested['path']['pretrain_network_g'] == f'experiments/{ours["name"]}/models/net_g_latest.pth'
    assert tested['datasets']['test_1'] == ours['datasets']['val']
    for key in ('scale', 'network_g', 'manual_seed', 'logger', 'dist_params'):
        assert ours[key] == bicubic[key]
    for key in ('scale', 'network_g'):
        assert tested[key] == bicubic[key]
    assert ours['val']['metrics'] == tested['val']['metrics'] == bicubic['val']['metrics']
    for key in ('gt_size', 'batch_size_per_gpu', 'use_hflip', 'use_rot'):
        assert ours['datasets']['train'][key] == bicubic['datasets']['train'][key]
    assert ours['train']['pixel_opt'] == bicubic['train']['pixel_opt']
    assert ours['train']['optim_g'].pop('lr') < bicubic['train']['optim_g'].pop('lr')
    assert ours['train']['optim_g'] == bicubic['train']['optim_g']
    assert max(ours['train']['scheduler']['milestones']) < ours['train']['total_iter'] < bicubic['train']['total_iter']


def run(work: Path, name: str, options: str, *force: str) -> str:
    words = ['-m', 'asid_plugin', name, '-opt', ROOT / 'options/realsr' / options, '--force_yml', *force]
    done = forked.run(words, work)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_fine_tuning_and_testing(prepared: Path):
    torch.manual_seed(0)
    bicubic = ASID(upscale=3)
    weights = prepared / 'experiments/train_ASID_x3/models/net_g_latest.pth'
    weights.parent.mkdir(parents=True)
    torch.save({'params': bicubic.state_dict()}, weights)
    tiny = ('gt_size=48', 'batch_size_per_gpu=2', 'num_worker_per_gpu=0', 'persistent_workers=false')
    force = ['num_gpu=0', 'train:total_iter=1', *(f'datasets:train:{setting}' for setting in tiny)]
    log = run(prepared, 'train', 'train_ASID_RealSR_x3.yml', *force, 'val:val_freq=1')
    assert len(re.findall(r'# psnr: [\d.]+', log)) == 2  # after the iteration, and at the end
    tuned = torch.load(prepared / 'experiments/train_ASID_RealSR_x3/models/net_g_latest.pth', weights_only=True)[
        'params'
    ]
    moved = max((tuned[name] - value).abs().max().item() for name, value in bicubic.state_dict().items())
    assert 0 < moved < 1.1e-4  # one step of AdamW is as long as the learning rate
    log = run(prepared, 'test', 'test_ASID_RealSR_x3.yml', 'num_gpu=0')
    results = prepared / 'results/test_ASID_RealSR_x3/visualization/RealSR'
    pairs = [
        (read(results / f'{n}_test_ASID_RealSR_x3.png'), read(prepared / f'datasets/RealSR/GTmod3/{n}.png'))
        for n in ('Canon_001', 'Nikon_001')
    ]
    psnr = np.mean([calculate_psnr(sr, hr, crop_border=3, test_y_channel=True) for sr, hr in pairs])
    assert f'# psnr: {psnr:.4f}' in log


def test_the_table_is_the_papers(capsys: pytest.CaptureFixture):
    assert table1() == 0
    said = capsys.readouterr().out
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')] for line in said.splitlines() if line.startswith('| x')
    ]
    assert rows == [
        [f'x{r["scale"]}', r['method'], r['psnr'], r['ssim']] for r in read_table('supplement_table1_realsr')
    ]
    assert len(rows) == 8 and ['x4', 'ASID', '29.27', '0.829'] in rows
    for file in re.findall(r'(?:options|scripts)/[\w/.]+', said.replace('xK', 'x3')):
        assert (ROOT / file).is_file(), file
    assert {*re.findall(r'^    asid (\w+)', said, re.MULTILINE)} == {'prepare', 'train', 'evaluate', 'paper'}


def test_measured_rows_stand_under_the_papers(tmp_path: Path, capsys: pytest.CaptureFixture):
    method = Method('ASID', 'tiles', 304011, 'a.pth')
    figures = [Figures(30.872, 0.8666), Figures(30.88, 0.8688)]
    images = [ImageResult(str(i), 99, 99, figures={method.label: value}) for i, value in enumerate(figures)]
    evaluation = Evaluation(3, [method], [SetResult('RealSR', tmp_path, '', images)])
    file = tmp_path / 'evaluation.csv'
    write_csv(evaluation, file)
    assert table1(['--measured', file]) == 0
    lines = [re.sub(' +', ' ', line) for line in capsys.readouterr().out.splitlines()]
    row = lines.index('| x3 | ASID, tiles, measured here | 30.88 | 0.868 |')
    assert lines[row - 1] == '| x3 | ASID | 30.91 | 0.868 |'
    assert not any('To measure' in line for line in lines)
    file.write_text(file.read_text().replace('RealSR', 'Set5'))
    assert table1(['--measured', file]) == 2
    assert 'evaluation.csv: no means of RealSR x3 or x4; found Set5 x3' in capsys.readouterr().err
