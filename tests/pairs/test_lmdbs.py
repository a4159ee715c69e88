"""LMDBs that are damaged, or whose lists are: named, or read right; never a crash, never another picture."""

import random
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
import torch

import asid_plugin  # before BasicSR

# isort: split
from basicsr.data import build_dataset
from mmengine import fileio

import asid_plugin.mmengine  # noqa: F401  # which repairs MMEngine
from asid_plugin.mmengine.dataset import DatasetError, PairedImageDataset
from asid_plugin.mmengine.transforms import LoadImagePair
from asid_plugin.pairs import SampleError, lmdbs
from asid_plugin.pairs.lmdbs import check_whole, compute_checksums, find_faults
from asid_plugin.pairs.makers import maker
from asid_plugin.pairs.meta_info import LMDBError, read_checksums, read_lines, read_shapes, write_checksums
from asid_plugin.pairs.opening import open_shared

AGAIN = 'asid prepare div2k makes it'
RNG = np.random.default_rng(0)


def pixels(side: int) -> np.ndarray:
    return RNG.integers(0, 256, (side, side, 3), np.uint8)


def write(root: Path, values: dict[str, bytes], side: int, level: object = 'raw', checksums: bool = True) -> None:
    with lmdb.open(str(root), map_size=2**22) as env, env.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key.encode(), value)
    (root / 'meta_info.txt').write_text(''.join(f'{key}.png ({side},{side},3) {level}\n' for key in values))
    if checksums:
        write_checksums(root, {key: zlib.crc32(value) for key, value in values.items()})


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Raw LMDBs `gt.lmdb` and `lq.lmdb` with checksums; one key has a space, as a photograph's name may."""
    for name, side in (('gt', 32), ('lq', 16)):
        write(tmp_path / f'{name}.lmdb', {key: pixels(side).tobytes() for key in ('a', 'my photo', 'z')}, side)
    return tmp_path


def dataset(folder: Path, **changes: object) -> torch.utils.data.Dataset:
    opt = {'name': 'x', 'type': 'RawPairedImageDataset', 'phase': 'val', 'scale': 2, 'io_backend': {'type': 'lmdb'}}
    return build_dataset(opt | {f'dataroot_{key}': str(folder / f'{key}.lmdb') for key in ('gt', 'lq')} | changes)


def change_value(root: Path, key: str, change: Callable[[bytearray], None]) -> None:
    """Change a value where it lies in the file, as a disk does."""
    with lmdb.open(str(root), readonly=True, lock=False) as env, env.begin() as transaction:
        value = transaction.get(key.encode())
    content = bytearray((root / 'data.mdb').read_bytes())
    at = content.index(value)
    changed = bytearray(value)
    change(changed)
    content[at : at + len(value)] = changed
    (root / 'data.mdb').write_bytes(content)


def flip(at: int, bit: int) -> Callable[[bytearray], None]:
    def change(value: bytearray) -> None:
        value[at] ^= 1 << bit

    return change


def test_every_flipped_bit_of_raw_pixels_is_named(raw: Path) -> None:
    root, rng = raw / 'gt.lmdb', random.Random(0)
    shapes, is_raw = read_shapes(root)
    assert is_raw and find_faults(root, shapes, list(shapes), raw=True) == {}
    for _ in range(60):
        change = flip(rng.randrange(32 * 32 * 3), rng.randrange(8))
        change_value(root, 'a', change)
        assert find_faults(root, shapes, list(shapes), raw=True) == {
            'a': 'damaged: the checksum of its pixels is wrong'
        }
        change_value(root, 'a', change)


def test_lmdbs_of_older_versions_have_no_checksums_and_are_read(raw: Path) -> None:
    for name in ('gt', 'lq'):
        (raw / f'{name}.lmdb' / 'checksums.txt').unlink()
    assert read_checksums(raw / 'gt.lmdb', ['a', 'my photo', 'z']) == {}
    change_value(raw / 'gt.lmdb', 'a', flip(5, 0))
    samples = dataset(raw)
    assert [samples[index]['gt'].shape for index in range(3)] == [(3, 32, 32)] * 3


@pytest.mark.parametrize('workers', [0, 2])
def test_of_large_lmdbs_an_image_is_compared_when_it_is_first_used(raw: Path, monkeypatch, workers: int) -> None:
    monkeypatch.setattr(lmdbs, 'READ_WHOLE', 0)
    change_value(raw / 'lq.lmdb', 'z', flip(100, 3))
    shapes, _ = read_shapes(raw / 'lq.lmdb')
    assert find_faults(raw / 'lq.lmdb', shapes, list(shapes), raw=True) == {}
    samples = dataset(raw)
    loader = torch.utils.data.DataLoader(
        samples, num_workers=workers, multiprocessing_context=('fork' if workers else None)
    )
    with pytest.raises(SampleError, match=r'lq\.lmdb: z: damaged: the checksum of its pixels is wrong'):
        list(loader)
    # workers share the memory of those that have been compared
    assert samples.gt.compared.tolist() == [True] * 3
    assert samples.lq.compared.tolist() == [True, True, False]


@pytest.mark.slow
def test_mmengine_compares_each_time(raw: Path, monkeypatch) -> None:
    monkeypatch.setattr(lmdbs, 'READ_WHOLE', 0)
    change_value(raw / 'gt.lmdb', 'my photo', flip(0, 7))
    prefix = {key: str(raw / f'{key}.lmdb') for key in ('gt', 'lq')}
    samples = PairedImageDataset(2, data_prefix=prefix, pipeline=[LoadImagePair()], test_mode=True)
    assert samples[0]['gt'].shape == (32, 32, 3)
    for _ in range(2):
        with pytest.raises(SampleError, match=r'gt\.lmdb/my photo: damaged: the checksum of its pixels is wrong'):
            samples[1]
    monkeypatch.undo()
    with pytest.raises(DatasetError, match=r'gt\.lmdb/my photo: damaged: the checksum'):
        PairedImageDataset(2, data_prefix=prefix, test_mode=True)


@pytest.mark.parametrize('at', [0.3, 0.5, 0.9])
def test_a_flipped_bit_of_a_png_is_named(tmp_path: Path, at: float, capfd: pytest.CaptureFixture) -> None:
    png = cv2.imencode('.png', pixels(32))[1].tobytes()
    write(tmp_path / 'png.lmdb', {'a': png, 'b': png[:-1] + b'?'}, 32, 1, checksums=False)
    shapes, is_raw = read_shapes(tmp_path / 'png.lmdb')
    assert not is_raw
    unreadable = 'damaged, cut short, or not an image in a supported format'
    assert find_faults(tmp_path / 'png.lmdb', shapes, ['a', 'b'], raw=False) == {'b': unreadable}
    change_value(tmp_path / 'png.lmdb', 'a', flip(int(at * len(png)), 4))
    assert find_faults(tmp_path / 'png.lmdb', shapes, ['a'], raw=False) == {'a': unreadable}
    assert capfd.readouterr().err == ''


@pytest.mark.slow
def test_damaged_pages_end_no_process(raw: Path) -> None:
    """Bytes of page heads, by which lmdb finds its way: some of these end the process that follows them."""
    root, rng = raw / 'gt.lmdb', random.Random(1)
    whole = (root / 'data.mdb').read_bytes()
    shapes, _ = read_shapes(root)
    named = 0
    for _ in range(25):
        content = bytearray(whole)
        at = rng.randrange(2, len(whole) // 4096) * 4096 + rng.randrange(40)
        content[at] = rng.randrange(256)
        (root / 'data.mdb').write_bytes(content)
        try:
            check_whole(root, shapes, AGAIN)
            named += bool(find_faults(root, shapes, list(shapes), raw=True))
        except LMDBError:
            named += 1
    assert named >= 3


def test_the_image_is_named_at_which_lmdb_fails(tmp_path: Path) -> None:
    root = tmp_path / 'raw.lmdb'
    write(root, {f'{i:02}': bytes([i]) * 3072 for i in range(20)}, 32)
    content = (root / 'data.mdb').read_bytes()
    page = (content.index(bytes([13]) * 3072) // 4096).to_bytes(8, 'little')
    (root / 'data.mdb').write_bytes(content.replace(b'13' + page, b'13' + (1 << 40).to_bytes(8, 'little')))
    shapes, _ = read_shapes(root)
    with pytest.raises(LMDBError) as caught:
        check_whole(root, shapes, AGAIN)
    begin, end = f'{root} is damaged: reading 13 fails (', f'); copy it again, or {AGAIN} anew'
    assert str(caught.value).startswith(begin) and str(caught.value).endswith(end)
    check_whole(root, shapes, AGAIN, keys=[key for key in shapes if key != '13'])


META = 'a.png (32,32,3) raw\nmy photo.png (32,32,3) raw\nz.png (32,32,3) raw\n'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (
            b'\xef\xbb\xbf' + META.encode(),
            'meta_info.txt begins with a byte order mark, which BasicSR treats as part of a ',
        ),
        (META.encode('utf-16'), 'meta_info.txt is not text in UTF-8 (byte 0 is 0xff)'),
        (bytes(range(128, 256)), 'meta_info.txt is not text in UTF-8 (byte 0 is 0x80)'),
        (bytes(60), 'meta_info.txt, line 1 has a NUL byte, so it is not text'),
        (
            META.replace('\n', '\n\n', 1).encode(),
            'meta_info.txt, line 2 is blank, which BasicSR treats as a name; remove',
        ),
        (META.encode() + b'  \n', 'meta_info.txt, line 4 is blank'),
        (META.encode() + b'a.png (32,32,3) raw\n', 'meta_info.txt, line 4: a is listed twice'),
        (META.replace('(32', '(0').encode(), "line 1: 'a.png (0,32,3) raw' has a side of 0 pixels"),
        (
            META.replace('my photo', 'für').encode(),
            "line 2: 'für' is not ASCII, but BasicSR and MMEngine need ASCII keys",
        ),
        (META.replace('raw', '1', 1).encode(), "meta_info.txt has lines that end in 'raw' and others that do not"),
        (b'x' * 5000, "should be like '0001_s001.png (480,480,3) 1'"),
        (b'\x1b[31mred\n', "line 1: '\\x1b[31mred' should be like"),
    ],
)
def test_lists_that_basicsr_would_misread(raw: Path, content: bytes, message: str) -> None:
    (raw / 'gt.lmdb' / 'meta_info.txt').write_bytes(content)
    with pytest.raises(LMDBError) as caught:
        read_shapes(raw / 'gt.lmdb')
    assert message in str(caught.value) and len(str(caught.value)) < 400
    with pytest.raises(DatasetError):
        PairedImageDataset(2, data_prefix={key: str(raw / f'{key}.lmdb') for key in ('gt', 'lq')})


def test_windows_line_ends_are_read(raw: Path) -> None:
    (raw / 'gt.lmdb' / 'meta_info.txt').write_bytes(META.replace('\n', '\r\n').encode())
    assert read_shapes(raw / 'gt.lmdb') == (dict.fromkeys(['a', 'my photo', 'z'], (32, 32, 3)), True)
    assert len(dataset(raw)) == 3


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('a 00000000\n', 'checksums.txt and meta_info.txt list different images, such as my photo'),
        ('a 0000000x\n', "checksums.txt, line 1: 'a 0000000x' should be like '0001_s001 0123abcd'"),
        ('\n', 'checksums.txt, line 1 is blank'),
    ],
)
def test_checksums_that_cannot_be_read(raw: Path, content: str, message: str) -> None:
    (raw / 'lq.lmdb' / 'checksums.txt').write_text(content)
    with pytest.raises(LMDBError, match=re.escape(message)):
        dataset(raw)


def test_checksums_are_what_zlib_computes(raw: Path) -> None:
    keys = ['a', 'my photo', 'z']
    assert compute_checksums(raw / 'gt.lmdb', keys) == read_checksums(raw / 'gt.lmdb', keys)


def test_lines_are_those_that_python_reads(tmp_path: Path) -> None:
    """Not those of `str.splitlines`, which parts at more than line ends."""
    (tmp_path / 'list.txt').write_text('a\x0bb.png\nc\u2028d.png\n')
    assert read_lines(tmp_path / 'list.txt') == ['a\x0bb.png', 'c\u2028d.png']


def test_one_lmdb_under_several_names_is_opened_once(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By MMEngine's backend, which keeps one for each spelling and closes it, by BasicSR's, and by a check."""
    (raw / 'link').symlink_to(raw / 'gt.lmdb')
    monkeypatch.chdir(raw)
    spellings = ['gt.lmdb', './gt.lmdb', str(raw / 'gt.lmdb'), 'link']
    samples = dataset(raw)
    expected = samples[0]['gt'].mul(255).round().byte().numpy().transpose(1, 2, 0)[..., ::-1].tobytes()
    backends = [fileio.LmdbBackend(spelling) for spelling in spellings]
    assert [backend.get('a') for backend in backends] == [expected] * 4
    while len(backends) > 1:
        del backends[0]
        assert backends[0].get('a') == expected
    assert [fileio.get('a', {'backend': 'lmdb', 'db_path': path}) for path in spellings] == [expected] * 4
    shapes, _ = read_shapes(raw / 'gt.lmdb')
    assert find_faults(raw / 'gt.lmdb', shapes, list(shapes), raw=True) == {}
    assert samples[1]['gt'].shape == (3, 32, 32)


def test_an_lmdb_is_closed_when_nobody_holds_it(raw: Path) -> None:
    first = open_shared(raw / 'gt.lmdb', readonly=True, lock=False)
    assert open_shared(raw / 'gt.lmdb', readonly=True, lock=False, readahead=False) is first
    with pytest.raises(lmdb.Error, match='already open'):
        open_shared(raw / 'gt.lmdb', map_size=2**22)
    del first
    with open_shared(raw / 'gt.lmdb', map_size=2**22) as env, env.begin(write=True) as transaction:
        transaction.put(b'a', b'new')


@pytest.mark.parametrize(
    ('root', 'made_by'),
    [
        ('datasets/DIV2K/DIV2K_train_HR_sub.lmdb', 'asid prepare div2k makes it'),
        ('/big/DIV2K_train_HR_sub_raw.lmdb', 'asid prepare div2k --raw makes it'),
        ('datasets/RealSR/train_x3_LR_sub_raw.lmdb', 'asid prepare realsr --raw makes it'),
        ('datasets/photos/photos_HR_sub_raw.lmdb', 'asid prepare photos FOLDER makes it'),
        ('datasets/photos/held_out/GTmod4', 'asid prepare photos FOLDER makes it'),
        ('datasets/photos_of_mine/held_out', 'asid prepare photos FOLDER -o datasets/photos_of_mine makes it'),
        ('/home/me/datasets/demo/val/LRbicx2', 'asid prepare demo makes it'),
        ('datasets/RealSR/train_x3_HR_sub.lmdb', 'asid prepare realsr makes it'),
        ('datasets/degraded/Set5/LRbicx4', 'asid prepare degraded SET --scale K makes it'),
        ('mine/photos_LR_bicubic_X2_sub_raw.lmdb', 'asid prepare photos FOLDER makes it'),
        ('datasets/Set5/GTmod2', None),
        ('mine/LR.lmdb', None),
    ],
)
def test_the_command_that_makes_data_is_named(root: str, made_by: str | None) -> None:
    assert maker(Path(root)) == made_by


@pytest.mark.parametrize('name', ['datasets/photos/x.lmdb', 'datasets/RealSR/x.lmdb', 'datasets/demo/val/GTmod2'])
def test_mmengine_names_it_as_well(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=f'{maker(Path(name))}$'):
        PairedImageDataset(2, data_root=str(tmp_path), data_prefix={'gt': name, 'lq': name})
