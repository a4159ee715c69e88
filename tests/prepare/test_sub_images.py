"""Preparing data: sub-images correspond to the pixel, BasicSR reads them, nothing that goes wrong leaves a mixture."""

import asid_plugin  # noqa: F401, I001  # before basicsr

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.utils import imfrombytes

import fresh
from asid_plugin.errors import ASIDError
from asid_plugin.prepare import sub_images

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'scripts' / 'prepare_div2k.py'
SMALL = {'crop_size': 48, 'step': 24}


def noise(*shape, seed=0, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def photograph(height, width, seed=0):
    """Something smooth with noise on it, BGR."""
    y, x = np.mgrid[:height, :width] / 9
    waves = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=-1)
    return np.clip(120 + 80 * waves + noise(height, width, 3, seed=seed) / 8, 0, 255).astype(np.uint8)


def write(folder, images):
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        assert cv2.imwrite(str(folder / name), image)
    return folder


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def bicubic_matrix(length, scale):
    """MATLAB's bicubic downscaling of one axis as a (length / scale, length) matrix, borders mirrored."""
    matrix = np.zeros((length // scale, length))
    for row in range(length // scale):
        centre = (row + 0.5) * scale - 0.5
        for pixel in range(-4 * length, 5 * length):
            t = abs(pixel - centre) / scale
            weight = 1.5 * t**3 - 2.5 * t**2 + 1 if t <= 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t <= 2 else 0
            mirrored = pixel % (2 * length)
            matrix[row, min(mirrored, 2 * length - 1 - mirrored)] += weight
    return matrix / matrix.sum(1, keepdims=True)


def bicubic(image, scale):
    """Bicubic downscaling in float64, not rounded."""
    rows, columns = (bicubic_matrix(side, scale) for side in image.shape[:2])
    return np.einsum('ab,bcd,ec->aed', rows, image.astype(np.float64), columns, optimize=True)


def starts(length, crop, step):
    if length <= crop:
        return [0]
    return sorted({*range(0, length - crop, step), length - crop})


def crops(image, crop, step):
    places = [(y, x) for y in starts(image.shape[0], crop, step) for x in starts(image.shape[1], crop, step)]
    return [image[y : y + crop, x : x + crop] for y, x in places]


def lmdb_images(path):
    with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as txn:
        return {bytes(key).decode(): cv2.imdecode(np.frombuffer(value, np.uint8), -1) for key, value in txn.cursor()}


def contents(folder):
    """Every image and LMDB below a folder with its bytes."""
    files = (path for path in folder.rglob('*') if path.suffix in ('.png', '.txt') or path.name == 'data.mdb')
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(('height', 'width'), [(96, 144), (103, 121), (59, 31), (24, 26)])
def test_lr_and_hr_correspond_to_the_pixel(tmp_path, height, width):
    image = photograph(height, width)
    lmdbs = sub_images.prepare(write(tmp_path / 'hr', {'a.png': image}), tmp_path, 'x', **SMALL)
    hr = image[: height - height % 12, : width - width % 12]
    expected = crops(hr, 48, 24)
    keys = [f'a_s{i:03d}' for i in range(1, len(expected) + 1)]
    found = lmdb_images(lmdbs[1])
    assert sorted(found) == keys
    for key, crop in zip(keys, expected, strict=True):
        np.testing.assert_array_equal(found[key], crop)
        np.testing.assert_array_equal(read(tmp_path / 'x_HR_sub' / f'{key}.png'), crop)
    for scale in (2, 3, 4):
        exact = bicubic(hr, scale)
        found = lmdb_images(lmdbs[scale])
        assert sorted(found) == keys
        for key, crop in zip(keys, crops(exact, 48 // scale, 24 // scale), strict=True):
            # the nearest integer, either one where float32 cannot tell
            assert np.abs(found[key] - np.clip(crop, 0, 255)).max() < 0.5 + 1e-4
            np.testing.assert_array_equal(read(tmp_path / f'x_LR_bicubic/X{scale}_sub/{key}.png'), found[key])


def test_halves_are_rounded_up_as_matlab_does():
    image = np.full((40, 40, 3), 10, np.uint8)
    image[:, 21:] = 11  # the middle of the LR pixels in column 10, which are 10.5
    np.testing.assert_array_equal(sub_images.downscale(image, 2)[:, 10], 11)


def test_basicsr_reads_the_lmdbs(tmp_path):
    images = {'0001.png': photograph(100, 130), '0002.png': photograph(66, 60, seed=1)}
    lmdbs = sub_images.prepare(write(tmp_path / 'hr', images), tmp_path / 'out', 'DIV2K_train', scales=[2], **SMALL)
    assert lmdbs == {
        1: tmp_path / 'out/DIV2K_train_HR_sub.lmdb',
        2: tmp_path / 'out/DIV2K_train_LR_bicubic_X2_sub.lmdb',
    }
    lines = (lmdbs[2] / 'meta_info.txt').read_text().splitlines()
    assert len(lines) == 4 * 5 + 2 * 2
    assert lines[0] == '0001_s001.png (24,24,3) 1'
    roots = {'dataroot_gt': str(lmdbs[1]), 'dataroot_lq': str(lmdbs[2])}
    augment = {'gt_size': 32, 'use_hflip': True, 'use_rot': True}
    options = {**roots, **augment, 'scale': 2, 'phase': 'train', 'io_backend': {'type': 'lmdb'}}
    dataset = PairedImageDataset(options)
    assert len(dataset) == 24
    for index in (0, 23):
        pair = dataset[index]
        lq = bicubic(pair['gt'].numpy().transpose(1, 2, 0), 2)[4:-4, 4:-4]  # away from the patch's borders
        assert np.abs(lq - pair['lq'].numpy().transpose(1, 2, 0)[4:-4, 4:-4]).max() < 0.51 / 255


def test_div2k_lr_is_used_where_it_is(tmp_path):
    hr, lr = photograph(101, 70), noise(50, 35, 3, seed=1)
    write(tmp_path / 'D_HR', {'0001.png': hr})
    write(tmp_path / 'D_LR_bicubic' / 'X2', {'0001x2.png': lr})
    lmdbs = sub_images.prepare(tmp_path / 'D_HR', tmp_path, 'D', scales=[2, 3], **SMALL)
    expected = crops(lr[:48, :33], 24, 12)  # HR is cropped to 96x66, a multiple of 2 and 3
    found = lmdb_images(lmdbs[2])
    assert len(found) == len(expected)
    for image, crop in zip(found.values(), expected, strict=True):
        np.testing.assert_array_equal(image, crop)
    exact = crops(bicubic(hr[:96, :66], 3), 16, 8)  # no X3 there, so made
    assert np.abs(lmdb_images(lmdbs[3])['0001_s001'] - np.clip(exact[0], 0, 255)).max() < 0.51


def test_lr_that_does_not_match_is_named(tmp_path):
    write(tmp_path / 'hr', {'0001.png': photograph(60, 70), '0002.png': photograph(61, 70)})
    lr = write(tmp_path / 'lr' / 'X2', {'0001x2.png': noise(30, 35, 3), '0002x2.png': noise(31, 35, 3)})
    with pytest.raises(
        sub_images.PrepareError, match=r'X2/0002x2.png is 35x31, but .*0002.png is 70x61.* must be 35x30'
    ):
        sub_images.prepare(tmp_path / 'hr', tmp_path, 'x', lr=tmp_path / 'lr', scales=[2], **SMALL)
    (lr / '0002x2.png').unlink()
    with pytest.raises(sub_images.PrepareError, match=r'hr/0002.png has no 0002x2.png in .*X2'):
        sub_images.prepare(tmp_path / 'hr', tmp_path, 'x', lr=tmp_path / 'lr', scales=[2], **SMALL)
    with pytest.raises(sub_images.PrepareError, match=r'--lr .*lr has no X3'):
        sub_images.prepare(tmp_path / 'hr', tmp_path, 'x', lr=tmp_path / 'lr', scales=[2, 3], **SMALL)


def test_any_kind_of_image_becomes_8_bit_colour(tmp_path, capsys):
    grey, deep, alpha = noise(30, 40), noise(30, 40, 3, dtype=np.uint16), noise(30, 40, 4)
    hr = write(tmp_path / 'hr', {'grey.png': grey, 'deep.tif': deep, 'a b.c.png': alpha})
    found = lmdb_images(sub_images.prepare(hr, tmp_path, 'x', scales=[2])[1])
    np.testing.assert_array_equal(found['grey_s001'], np.dstack([grey] * 3))
    np.testing.assert_array_equal(found['deep_s001'], np.rint(deep / 257))
    seen = alpha[..., 3] > 0
    assert not seen.all()
    np.testing.assert_array_equal(found['a_b_c_s001'][seen], alpha[seen, :3])
    assert (found['a_b_c_s001'][~seen] != alpha[~seen, :3]).any()  # hidden colours do not come out
    said = capsys.readouterr().out
    for what in ('1 image: grey', '1 image: alpha dropped', '1 image: 16 bits', '3 images: smaller than 480'):
        assert what in said


def test_unusable_images_are_all_named_and_the_others_kept(tmp_path):
    hr = write(tmp_path / 'hr', {'good.png': photograph(60, 60), 'cut.png': photograph(60, 60), 'dot.png': noise(1, 9)})
    (hr / 'cut.png').write_bytes((hr / 'cut.png').read_bytes()[:2000])
    (hr / 'text.jpg').write_text('no image')
    with pytest.raises(sub_images.PrepareError, match='1 of 4 images cannot be used:\n  .*hr/text.jpg: not an image'):
        sub_images.prepare(hr, tmp_path / 'out', 'x', scales=[2], **SMALL)
    assert not (tmp_path / 'out').exists(), 'what headers tell is told first'
    (hr / 'text.jpg').unlink()
    with pytest.raises(sub_images.PrepareError) as error:
        sub_images.prepare(hr, tmp_path / 'out', 'x', scales=[2], **SMALL)
    assert str(error.value).startswith('2 of 3 images')
    for name in ('hr/cut.png: ', 'hr/dot.png: 9x1 pixels; at least 4x4'):
        assert name in str(error.value)
    left = contents(tmp_path / 'out')
    assert len(left) == 2 * 4
    assert all(re.search(r'/good_s00\d.png$', name) for name in left)
    for name in ('cut.png', 'dot.png'):
        (hr / name).unlink()
    sub_images.prepare(hr, tmp_path / 'out', 'x', scales=[2], **SMALL)
    assert {name: contents(tmp_path / 'out')[name] for name in left} == left


def test_a_damaged_sub_image_is_named(tmp_path):
    hr = write(tmp_path / 'hr', {'a.png': photograph(60, 60)})
    lmdbs = sub_images.prepare(hr, tmp_path / 'out', 'x', scales=[2], **SMALL)
    shutil.rmtree(lmdbs[2])
    tile = tmp_path / 'out/x_LR_bicubic/X2_sub/a_s002.png'
    content = tile.read_bytes()
    for damaged in (content[:10], content[:100]):
        tile.write_bytes(damaged)
        with pytest.raises(ASIDError) as error:
            sub_images.prepare(hr, tmp_path / 'out', 'x', scales=[2], **SMALL)
        assert re.fullmatch(rf'{re.escape(str(tile))}: damaged(,| or) cut short.*', str(error.value))
    tile.unlink()
    sub_images.prepare(hr, tmp_path / 'out', 'x', scales=[2], **SMALL)
    assert tile.read_bytes() == content


def test_names_that_collide_are_refused(tmp_path):
    hr = write(tmp_path / 'hr', {'a.png': noise(30, 30), 'a.bmp': noise(30, 30)})
    with pytest.raises(sub_images.PrepareError, match=r'a.bmp and a.png would have the same name a: '):
        sub_images.prepare(hr, tmp_path, 'x')
    (hr / 'a.bmp').rename(hr / 'a_1.bmp')
    (hr / 'a.png').rename(hr / 'a.1.png')
    with pytest.raises(sub_images.PrepareError, match=r'a.1.png and a_1.bmp would have the same name a_1'):
        sub_images.prepare(hr, tmp_path, 'x')
    assert not list(tmp_path.glob('x*'))


def test_what_does_not_fit_what_is_there_is_refused(tmp_path):
    hr = write(tmp_path / 'hr', {'a.png': photograph(60, 75), 'b.png': photograph(60, 75, seed=1)})
    out = tmp_path / 'out'

    def refused(match, scales=(2,), **changed):
        with pytest.raises(sub_images.PrepareError, match=match):
            sub_images.prepare(hr, out, 'x', scales=scales, **{**SMALL, **changed})

    lmdbs = sub_images.prepare(hr, out, 'x', scales=[2], **SMALL)
    made = contents(out)
    refused('x_[*] were made with .*"crop_size": 48.*, not with .*"crop_size": 96.*: remove them', crop_size=96)
    refused('made with .*"X2": "imresize"}, not with .*"X3": "imresize"}', scales=(2, 3))
    write(tmp_path / 'lr' / 'X2', {'a.png': noise(30, 37, 3), 'b.png': noise(30, 37, 3)})
    refused('made with .*"X2": "imresize"}, not with .*"X2": "files"}', lr=tmp_path / 'lr')
    refused('--crop-size 50: .* multiple of 12', crop_size=50, scales=(2, 3, 4))
    refused('--scales 1 2: a scale must be at least 2', scales=(1, 2))
    (out / 'x_prepare.json').rename(tmp_path / 'settings')
    refused('made with unknown settings [(]no .*x_prepare.json[)], not with')
    (tmp_path / 'settings').rename(out / 'x_prepare.json')
    (hr / 'b.png').rename(tmp_path / 'b.png')
    refused(r'x_HR_sub has 6 sub-images of no photograph \(b_s001, ')
    (tmp_path / 'b.png').rename(hr / 'b.png')
    assert contents(out) == made

    with lmdb.open(str(lmdbs[1]), map_size=2**24) as env, env.begin(write=True) as txn:
        txn.put(b'a_s002', txn.get(b'a_s001'))
    refused('x_HR_sub.lmdb does not match .*x_HR_sub: a_s002 is missing or has other pixels. Remove it')
    os.truncate(lmdbs[1] / 'data.mdb', 2**14)
    refused('x_HR_sub.lmdb does not match .*x_HR_sub: data.mdb is cut short')
    (lmdbs[1] / 'data.mdb').write_bytes(noise(2**14).tobytes())
    refused('x_HR_sub.lmdb: .*MDB_INVALID')
    shutil.rmtree(lmdbs[1])
    lines = (lmdbs[2] / 'meta_info.txt').read_text()
    (lmdbs[2] / 'meta_info.txt').write_text(lines.replace('b_s001.png (24,24,3)', 'b_s001.png (48,24,3)'))
    refused(r'X2_sub.lmdb does not match .*: meta_info.txt has b_s001.png \(48,24,3\) 1 instead of .*\(24,24,3\) 1')
    (lmdbs[2] / 'meta_info.txt').write_text(lines)
    sub_images.prepare(hr, out, 'x', scales=[2], **SMALL)
    assert contents(out) == made


def test_new_photographs_are_cut_and_changed_ones_again(tmp_path, capsys):
    images = {'a.png': photograph(60, 72), 'b.png': photograph(60, 72, seed=1)}
    whole = write(tmp_path / 'hr', images)
    sub_images.prepare(whole, tmp_path / 'whole', 'x', scales=[2], **SMALL)
    hr, out = write(tmp_path / 'some', {'a.png': photograph(60, 72, seed=2)}), tmp_path / 'out'
    sub_images.prepare(hr, out, 'x', scales=[2], **SMALL)
    write(hr, images)
    capsys.readouterr()
    with pytest.raises(
        sub_images.PrepareError, match=r'x_HR_sub.lmdb does not match .* 4 lines .* the 8 sub-images. Remove it'
    ):
        sub_images.prepare(hr, out, 'x', scales=[2], **SMALL)
    assert 'already done' not in capsys.readouterr().out
    shutil.rmtree(out / 'x_HR_sub.lmdb')
    shutil.rmtree(out / 'x_LR_bicubic_X2_sub.lmdb')
    sub_images.prepare(hr, out, 'x', scales=[2], **SMALL)
    assert '2 images: already done' in capsys.readouterr().out
    assert contents(out) == contents(tmp_path / 'whole')


def test_folders_can_be_removed_when_all_is_done(tmp_path, capsys):
    hr, out = write(tmp_path / 'hr', {'a.png': photograph(60, 72)}), tmp_path / 'out'
    sub_images.prepare(hr, out, 'x', scales=[2], **SMALL)
    made = contents(out)
    shutil.rmtree(out / 'x_HR_sub')
    shutil.rmtree(out / 'x_LR_bicubic')
    capsys.readouterr()
    sub_images.prepare(hr, out, 'x', scales=[2], **SMALL)
    assert capsys.readouterr().out.count('lmdb: already done, 4 images, verified') == 2
    assert contents(out) == made


class Command:
    """The command with two workers, in its own process group."""

    def __init__(self, *arguments):
        path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, *map(str, arguments), '--workers', '2'],
            env={**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert self.process.poll() is None and time.monotonic() < deadline, self.end()
            time.sleep(0.002)

    def workers(self):
        """The workers' process ids; on Linux only."""
        children = Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children').read_text().split()
        return [int(pid) for pid in children if b'spawn_main' in Path(f'/proc/{pid}/cmdline').read_bytes()]

    def end(self):
        """Wait for the whole group; returns the status and all that was said."""
        said = self.process.communicate(timeout=60)[0]  # the workers have the pipe, too
        return self.process.returncode, said


@pytest.mark.slow
def test_killed_and_interrupted_it_continues_to_the_same_bytes(tmp_path, capsys):
    count = 30  # so many that some are left when the signals arrive
    hr = write(tmp_path / 'hr', {f'{i:04d}.png': photograph(200, 200, seed=i) for i in range(count)})
    out = tmp_path / 'out'
    last = out / 'x_LR_bicubic' / 'X3_sub'
    settings = {'crop_size': 96, 'step': 96, 'scales': [2, 3]}
    arguments = ['--hr', hr, '--out', out, '--name', 'x', '--crop-size', 96, '--step', 96, '--scales', 2, 3]

    def finished():
        return sum(len(list(last.glob(f'{i:04d}_*.png'))) == 9 for i in range(count))

    command = Command(*arguments)
    command.wait(lambda: finished() >= 2)
    command.process.kill()
    assert command.end()[0] == -signal.SIGKILL  # and the workers have ended with it
    killed_at = finished()
    assert 2 <= killed_at < count
    assert not list(out.glob('*.lmdb'))
    assert all(read(path) is not None for path in out.rglob('*.png') if not path.parent.name.startswith('.'))
    (out / 'x_HR_sub' / '.unfinished_1').mkdir(exist_ok=True)  # sub-images that a kill has left
    (out / '.x_HR_sub.lmdb').mkdir()  # an LMDB that a kill has left
    (out / '.x_HR_sub.lmdb' / 'data.mdb').write_text('half')

    command = Command(*arguments)
    command.wait(lambda: finished() >= killed_at + 3)
    os.killpg(command.process.pid, signal.SIGINT)  # as a terminal does it
    status, said = command.end()
    assert status == 130
    assert said.endswith('interrupted; run the same command to continue\n')
    assert 'Traceback' not in said
    interrupted_at = finished()
    assert killed_at + 3 <= interrupted_at < count
    min((out / 'x_HR_sub').glob('*_s007.png')).unlink()  # its photograph is unfinished now

    sub_images.prepare(hr, out, 'x', **settings)
    assert f'{interrupted_at - 1} images: already done' in capsys.readouterr().out
    sub_images.prepare(hr, tmp_path / 'whole', 'x', **settings)
    found, expected = contents(out), contents(tmp_path / 'whole')
    assert len(found) == 3 * (count * 3 * 3 + 2)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='finds the workers in /proc')
def test_a_killed_worker_ends_the_command(tmp_path):
    hr = write(tmp_path / 'hr', {'a.png': photograph(60, 60), 'b.png': photograph(60, 60)})
    command = Command('--hr', hr, '--out', tmp_path, '--name', 'x', '--crop-size', 48, '--step', 24, '--scales', 2)
    command.wait(lambda: len(command.workers()) == 2)
    os.kill(command.workers()[0], signal.SIGKILL)
    status, said = command.end()
    assert status == 2
    assert said.endswith('error: a worker was killed, possibly out of memory; use fewer --workers\n')
    assert 'Traceback' not in said


@pytest.mark.slow
def test_demo_holds_photographs_out(tmp_path):
    said = fresh.run([*fresh.script(ROOT / 'scripts' / 'prepare_demo.py'), '--out', tmp_path])
    assert said.returncode == 0, said.stderr
    train = {path.stem for path in tmp_path.glob('HR/*')}
    held_out = {path.stem for path in [*tmp_path.glob('val/*/*.png'), *tmp_path.glob('photo/*.png')]}
    assert held_out == {'chelsea', 'coffee', 'rocket'}
    assert len(train) == 9
    assert not train & held_out
    assert all(name in said.stdout for name in train | held_out)
    keys = {line.split('_s0')[0] for line in (tmp_path / 'train_HR_sub.lmdb/meta_info.txt').read_text().splitlines()}
    assert keys == train
    assert (tmp_path / 'train_LR_bicubic_X2_sub.lmdb/data.mdb').is_file()
    for name in ('chelsea', 'coffee'):
        gt, lq = (read(tmp_path / 'val' / folder / f'{name}.png') for folder in ('GTmod2', 'LRbicx2'))
        assert gt.shape == (2 * lq.shape[0], 2 * lq.shape[1], 3)
        assert np.abs(np.clip(bicubic(gt, 2), 0, 255) - lq).max() < 0.5 + 1e-4


def test_raw_lmdbs_hold_the_pixels(tmp_path, capsys):
    hr, out = write(tmp_path / 'hr', {'a.png': photograph(60, 72)}), tmp_path / 'out'
    lmdbs = sub_images.prepare(hr, out, 'x', scales=[2], raw=True, **SMALL)
    for path in lmdbs.values():
        raw = path.with_name(f'{path.stem}_raw.lmdb')
        lines = (raw / 'meta_info.txt').read_text().splitlines()
        assert [line.split()[:2] for line in lines] == [
            line.split()[:2] for line in (path / 'meta_info.txt').read_text().splitlines()
        ]
        assert all(line.endswith(' raw') for line in lines)
        with lmdb.open(str(raw), readonly=True, lock=False) as env, env.begin() as txn:
            values = {key.decode(): value for key, value in txn.cursor()}
        with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as txn:
            images = {key.decode(): imfrombytes(value, 'unchanged') for key, value in txn.cursor()}
        assert values == {name: image.tobytes() for name, image in images.items()} and len(values) == 4
    capsys.readouterr()
    sub_images.prepare(hr, out, 'x', scales=[2], raw=True, **SMALL)
    assert capsys.readouterr().out.count('already done, 4 images, verified') == 4

    expected = ''.join(f'{name} {zlib.crc32(values[name]):08x}\n' for name in values)
    assert (raw / 'checksums.txt').read_text() == expected
    (raw / 'checksums.txt').unlink()  # as an older version left it
    sub_images.prepare(hr, out, 'x', scales=[2], raw=True, **SMALL)
    assert (raw / 'checksums.txt').read_text() == expected
    for wrong, message in (
        ('a_s001 00000000\n', 'list different images'),
        (expected.replace('a_s001 ', 'a_s001 0'), 'be'),
    ):
        (raw / 'checksums.txt').write_text(wrong)
        with pytest.raises(sub_images.PrepareError, match=message):
            sub_images.prepare(hr, out, 'x', scales=[2], raw=True, **SMALL)
    (raw / 'checksums.txt').write_text(''.join(f'{name} 00000000\n' for name in values))
    with pytest.raises(sub_images.PrepareError, match=r'checksums\.txt has other checksums'):
        sub_images.prepare(hr, out, 'x', scales=[2], raw=True, **SMALL)
    (raw / 'checksums.txt').write_text(expected)

    flipped = bytearray((raw / 'data.mdb').read_bytes())
    place = flipped.index(values['a_s001'][:64])
    flipped[place] ^= 1
    (raw / 'data.mdb').write_bytes(flipped)
    with pytest.raises(sub_images.PrepareError, match='a_s001 is missing or has other pixels'):
        sub_images.prepare(hr, out, 'x', scales=[2], raw=True, **SMALL)
