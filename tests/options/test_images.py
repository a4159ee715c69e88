"""A data set with one bad image: `asid train` ends before anything starts, in one line that names the file."""

import re
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

import asid_plugin  # noqa: F401  # before BasicSR
import forked

# isort: split
from basicsr.utils.options import ordered_yaml

from asid_plugin.options.images import Share
from helpers import command

DAMAGED = 'damaged or cut short'


@pytest.fixture
def lines(options: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable:
    """A function that starts the training and returns the lines with which it ends, without the file's name."""

    def train(**changes: object) -> list[str]:
        options['datasets']['train'].update(changes)
        (tmp_path / 'bad.yml').write_text(yaml.dump(options, Dumper=ordered_yaml()[1]))
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit, match='2'):
            command('train')(['bad.yml'])
        assert not (tmp_path / 'experiments').exists()
        return [line.removeprefix('bad.yml: datasets: ') for line in capsys.readouterr().err.splitlines()]

    return train


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b'')


def no_image(path: Path) -> None:
    path.write_bytes(b'<html>')


def other(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda path: cv2.imwrite(str(path), change(cv2.imread(str(path))))


larger = other(lambda image: np.pad(image, ((0, 2), (0, 0), (0, 0))))
with_alpha = other(lambda image: np.dstack([image, np.full(image.shape[:2], 128, np.uint8)]))
grey = other(lambda image: image[..., 0])


@pytest.mark.parametrize('kind', ['PairedImageDataset', 'CachedPairedImageDataset'])
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (cut_in_half, DAMAGED),
        (emptied, 'the file is empty'),
        (no_image, 'not an image in a supported format'),
        (with_alpha, 'it has transparency, which would be dropped; save it without transparency'),
        (grey, 'it is grey, but other images have colours; save it as RGB, or remove the pair'),
    ],
    ids=lambda value: getattr(value, '__name__', ''),
)
@pytest.mark.parametrize('side', ['GT', 'LR'])
def test_one_bad_image_to_train_on(
    lines: Callable, tmp_path: Path, kind: str, change: Callable, message: str, side: str
):
    path = tmp_path / 'train' / side / '2.png'
    change(path)
    key = {'GT': 'dataroot_gt', 'LR': 'dataroot_lq'}[side]
    assert lines(type=kind) == [f'train: {key}: {path}: {message}']


@pytest.mark.parametrize('side', ['GT', 'LR'])
def test_one_image_of_a_wrong_size(lines: Callable, tmp_path: Path, side: str):
    """The third, of which the others are right."""
    larger(tmp_path / 'train' / side / '2.png')
    here, there = ('24x32', '50x64') if side == 'GT' else ('26x32', '48x64')
    right = '48x64' if side == 'GT' else '52x64'
    assert lines() == [
        f'train: dataroot_lq: 2.png is {here} here and {there} in dataroot_gt; scale 2 needs {right} there'
    ]


def test_files_that_are_no_images(lines: Callable, tmp_path: Path):
    paths = [tmp_path / part / side / 'Thumbs.db' for part in ('train', 'val') for side in ('GT', 'LR')]
    for path in paths:
        path.write_bytes(b'\xd0\xcf\x11\xe0')
    fault = 'is not an image, but BasicSR reads every file of a folder; remove it'
    keys = [f'{part}: dataroot_{side}' for part in ('train', 'val') for side in ('gt', 'lq')]
    assert lines() == [f'{key}: {path} {fault}' for key, path in zip(keys, paths, strict=True)]


@pytest.mark.parametrize(
    ('change', 'message'), [(cut_in_half, DAMAGED), (emptied, 'the file is empty'), (with_alpha, 'it has transparency')]
)
def test_one_bad_image_to_validate_on(lines: Callable, tmp_path: Path, change: Callable, message: str):
    change(tmp_path / 'val' / 'LR' / '1.png')
    [line] = lines()
    assert line.startswith(f'val: dataroot_lq: {tmp_path}/val/LR/1.png: {message}')


def test_grey_benchmarks_can_be_validated_on(lines: Callable, tmp_path: Path):
    """Set14 has one; what the line is about is something else."""
    for side in ('GT', 'LR'):
        grey(tmp_path / 'val' / side / '1.png')
    emptied(tmp_path / 'val' / 'LR' / '2.png')
    assert lines() == [f'val: dataroot_lq: {tmp_path}/val/LR/2.png: the file is empty']


def test_a_pair_is_grey_on_both_sides_or_on_none(lines: Callable, tmp_path: Path):
    gt, lq = (tmp_path / 'val' / side / '1.png' for side in ('GT', 'LR'))
    grey(gt)
    remedy = 'save both as grey or both as colour'
    assert lines() == [f'val: dataroot_lq: {lq} is colour, but its partner {gt} is grey; {remedy}']


def test_images_that_are_all_grey_can_be_trained_on(lines: Callable, tmp_path: Path):
    for path in (tmp_path / 'train').rglob('*.png'):
        grey(path)
    emptied(tmp_path / 'val' / 'LR' / '2.png')
    assert lines() == [f'val: dataroot_lq: {tmp_path}/val/LR/2.png: the file is empty']


def test_of_many_bad_images_ten_are_named(lines: Callable, tmp_path: Path):
    for i in range(15):
        for side in ('GT', 'LR'):
            emptied(tmp_path / 'train' / side / f'x{i:02}.png')
    found = lines()
    assert len(found) == 11
    assert found[0] == f'train: dataroot_gt: {tmp_path}/train/GT/x00.png: the file is empty'
    assert found[-1] == 'train: dataroot_gt: and more: 30 images in all cannot be used'


def test_processes_share_the_images_out():
    names = [str(i) for i in range(11)]
    shares = [Share(rank, 3).of(names) for rank in range(3)]
    assert sorted((name for share in shares for name in share), key=int) == names
    assert max(map(len, shares)) == 4


@pytest.mark.parametrize('part', ['train', 'val'])
@pytest.mark.parametrize('side', ['GT', 'LR'])
def test_one_flipped_byte_is_told_before_a_run(lines: Callable, tmp_path: Path, part: str, side: str):
    path = tmp_path / part / side / '2.png'
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.write_bytes(content)
    key = {'GT': 'dataroot_gt', 'LR': 'dataroot_lq'}[side]
    assert lines() == [f'{part}: {key}: {path}: {DAMAGED}']


def test_so_is_a_hole_in_a_jpeg(lines: Callable, tmp_path: Path):
    for folder in (tmp_path / 'val' / 'GT', tmp_path / 'val' / 'LR'):
        cv2.imwrite(str(folder / '1.jpg'), cv2.imread(str(folder / '1.png')), [cv2.IMWRITE_JPEG_QUALITY, 100])
        (folder / '1.png').unlink()
    path = tmp_path / 'val' / 'GT' / '1.jpg'
    content = path.read_bytes()
    path.write_bytes(content[:-900] + bytes(600) + content[-300:])
    assert lines() == [f'val: dataroot_gt: {path}: {DAMAGED}']


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (
            '\ufeff0.png\n1.png\n',
            'begins with a byte order mark, which BasicSR treats as part of a name; save it without the mark',
        ),
        ('0.png\n\n1.png\n', ', line 2 is blank, which BasicSR treats as a name; remove it'),
        (b'\x89PNG\r\n\x1a\n', 'is not text in UTF-8 (byte 0 is 0x89)'),
        (bytes(100), ', line 1 has a NUL byte, so it is not text'),
    ],
)
def test_lists_of_images(lines: Callable, tmp_path: Path, content: str | bytes, message: str):
    listed = tmp_path / 'list.txt'
    listed.write_bytes(content if isinstance(content, bytes) else content.encode())
    [line] = lines(meta_info_file=str(listed))
    assert line == f'train: meta_info_file: {listed}{"" if message[0] == "," else " "}{message}'


def test_names_with_spaces_in_a_list(lines: Callable, tmp_path: Path):
    """BasicSR reads a line up to the first space; what follows is the shape."""
    listed = tmp_path / 'list.txt'
    listed.write_text('0.png (48,56,3)\nmy photo.png (48,56,3)\n')
    folders = tmp_path / 'train'
    assert lines(meta_info_file=str(listed)) == [
        f'train: dataroot_lq: no my in {folders}/LR, the partner of my in {folders}/GT; BasicSR reads a name up to the '
        "first space of the line 'my photo.png (48,56,3)'"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('part', 'loading'),
    [
        ('train', {'num_worker_per_gpu': 2, 'persistent_workers': True}),
        ('val', {}),
    ],
    ids=['workers', 'val'],
)
def test_a_file_that_was_written_wrongly_ends_a_run_in_one_line(
    options: dict, tmp_path: Path, part: str, loading: dict
):
    """Which only decoding tells: its checksums are right. Started by a process of its own, as workers are forked."""
    path = tmp_path / part / 'GT' / '2.png'
    content = path.read_bytes()
    at, length = content.index(b'IDAT'), int.from_bytes(content[content.index(b'IDAT') - 4 :][:4], 'big')
    data = bytearray(content[at : at + 4 + length])
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    check = zlib.crc32(data).to_bytes(4, 'big')
    path.write_bytes(content[:at] + data + check + content[at + 8 + length :])
    options['datasets']['train'].update(loading)
    (tmp_path / 'run.yml').write_text(yaml.dump(options, Dumper=ordered_yaml()[1]))
    done = forked.run(['-m', 'asid_plugin', 'train', 'run.yml'], tmp_path)
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
    line = f'error: {path}: damaged, cut short, or not an image in a supported format'
    assert re.findall('^error: .*$', done.stderr, re.MULTILINE) == [line]
