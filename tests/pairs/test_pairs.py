"""Images that cannot be trained on: found by their headers, or named by the worker that cannot decode one."""

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import asid_plugin  # noqa: F401  # before BasicSR

# isort: split
from basicsr.data import build_dataset
from basicsr.data.prefetch_dataloader import CPUPrefetcher, PrefetchDataLoader
from basicsr.utils.lmdb_util import LmdbMaker

from asid_plugin.images import ImageError
from asid_plugin.pairs import SampleError, check_file, decode
from asid_plugin.pairs.files import check_files, find_grey, fits
from asid_plugin.pairs.lmdbs import find_faults
from asid_plugin.pairs.meta_info import read_shapes
from helpers import write_pairs

RNG = np.random.default_rng(0)
PIXELS = cv2.resize(RNG.integers(0, 256, (12, 16, 3), np.uint8), (64, 48))
RGB16 = PIXELS.astype(np.uint16) * 257


def encode(suffix: str, pixels: np.ndarray = PIXELS) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def middle_changed(content: bytes) -> bytes:
    half = len(content) // 2
    return content[:half] + bytes(byte ^ 0x55 for byte in content[half : half + 40]) + content[half + 40 :]


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.bmp', '.tif', '.ppm'])
@pytest.mark.parametrize('more', [b'', b'\0' * 30], ids=['as it is', 'with more behind it'])
def test_whole_files_can_be_used(tmp_path: Path, suffix: str, more: bytes) -> None:
    path = tmp_path / f'a{suffix}'
    path.write_bytes(encode(suffix) + more)
    header = check_file(path)
    assert (header.height, header.width, header.channels) == (48, 64, 3)
    assert decode(path.read_bytes(), 'a').shape == (48, 64, 3)


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('half.png', encode('.png')[:1500], 'cut short'),
        ('half.jpg', encode('.jpg')[:700], 'cut short'),
        ('half.webp', encode('.webp')[: len(encode('.webp')) // 2], 'cut short'),
        ('half.bmp', encode('.bmp')[:5000], 'cut short'),
        ('sparse.png', encode('.png')[:1500] + bytes(len(encode('.png')) - 1500), 'cut short'),
        ('head.png', encode('.png')[:20], 'cut short'),
        ('empty.png', b'', 'the file is empty'),
        ('Thumbs.db', b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1' + bytes(600), 'not an image'),
        ('page.png', b'<!DOCTYPE html><title>404</title>', 'not an image'),
    ],
    ids=lambda value: value if isinstance(value, str) and '.' in value else '',
)
def test_files_that_are_damaged_or_no_images(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        check_file(tmp_path / name)
    assert str(caught.value).startswith(f'{tmp_path / name}: ')
    assert '\n' not in str(caught.value)


def test_transparency_is_refused_however_it_is_stored(tmp_path: Path) -> None:
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:8] = 0
    picture = Image.fromarray(PIXELS)
    picture.putalpha(Image.fromarray(alpha))
    picture.save(tmp_path / 'rgba.png')
    picture.save(tmp_path / 'rgba.webp', lossless=True)
    picture.convert('LA').save(tmp_path / 'la.png')
    picture.quantize(16).save(tmp_path / 'palette.png')
    Image.fromarray(PIXELS).save(tmp_path / 'key.png', transparency=tuple(map(int, PIXELS[0, 0])))
    Image.fromarray(alpha).save(tmp_path / 'grey_key.png', transparency=0)
    tifffile.imwrite(tmp_path / 'rgba.tif', np.dstack([PIXELS, alpha]), photometric='rgb', extrasamples=['unassalpha'])
    found = {path.name: str(error) for path, error in check_files(sorted(tmp_path.iterdir()))[1].items()}
    assert len(found) == 7
    assert all('transparency' in fault for fault in found.values()), found


@pytest.mark.parametrize(('suffix', 'bits'), [('.png', 8), ('.png', 16), ('.tif', 8), ('.tif', 16), ('.webp', 8)])
def test_alpha_that_is_opaque_everywhere_is_no_transparency(tmp_path: Path, suffix: str, bits: int) -> None:
    pixels = np.dstack([PIXELS, np.full((48, 64), 255, np.uint8)]).astype(np.uint16) * (257 if bits == 16 else 1)
    path = tmp_path / f'opaque{suffix}'

    def write() -> None:
        if suffix == '.tif':
            tifffile.imwrite(path, pixels.astype(f'u{bits // 8}'), photometric='rgb', extrasamples=['unassalpha'])
        else:
            cv2.imwrite(str(path), pixels.astype(f'u{bits // 8}'))

    write()
    assert check_file(path).height == 48
    pixels[5, 7, 3] -= 1
    write()
    with pytest.raises(SampleError, match='it has transparency'):
        check_file(path)


def xmp(orientation: int) -> str:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f'tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>'
    )


@pytest.mark.parametrize('compressed', [False, True])
@pytest.mark.parametrize('orientation', [1, 3, 6])
def test_a_png_that_only_xmp_turns_is_refused(tmp_path: Path, orientation: int, compressed: bool) -> None:
    """OpenCV does not turn it."""
    info = PngInfo()
    info.add_itxt('XML:com.adobe.xmp', xmp(orientation), zip=compressed)
    Image.fromarray(PIXELS).save(tmp_path / 'a.png', pnginfo=info)
    if orientation == 1:
        assert check_file(tmp_path / 'a.png').channels == 3
    else:
        with pytest.raises(
            SampleError, match='OpenCV, which reads here, reads wrongly; save it as PNG without metadat'
        ):
            check_file(tmp_path / 'a.png')


@pytest.mark.parametrize('suffix', ['.jpg', '.webp'])
def test_so_are_photographs(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / f'a{suffix}', xmp=xmp(3).encode())
    with pytest.raises(SampleError, match='reads wrongly'):
        check_file(tmp_path / f'a{suffix}')


def write_planes(path: Path) -> None:
    tifffile.imwrite(path, np.moveaxis(RGB16, 2, 0), photometric='rgb', planarconfig='separate')


def write_negative(path: Path) -> None:
    tifffile.imwrite(path, 65535 - RGB16[..., 0], photometric='miniswhite')


def write_555(path: Path) -> None:
    """White in 15 bits, which OpenCV makes 248."""
    pixels = np.full((8, 16), 0x7FFF, '<u2').tobytes()
    info = struct.pack('<IiiHHIIiiII', 40, 16, 8, 1, 16, 0, len(pixels), 0, 0, 0, 0)
    path.write_bytes(b'BM' + struct.pack('<IHHI', 54 + len(pixels), 0, 0, 54) + info + pixels)


@pytest.mark.parametrize('write', [write_planes, write_negative])
def test_kinds_of_tiff_that_opencv_reads_right_in_8_bits(tmp_path: Path, write: Callable) -> None:
    write(tmp_path / 'a.tif')
    check_file(tmp_path / 'a.tif')
    read = decode((tmp_path / 'a.tif').read_bytes(), '')[..., ::-1].astype(int)
    assert abs(read - (PIXELS if write is write_planes else PIXELS[..., :1])).max() <= 1


@pytest.mark.parametrize(
    ('name', 'write', 'message'),
    [
        ('555.bmp', write_555, 'BMP of a kind that OpenCV, which reads here, reads wrongly; save it as PNG'),
        ('a.tga', Image.fromarray(PIXELS).save, 'TGA of a kind that OpenCV, which reads here, does not read'),
        (
            'zstd.tif',
            lambda path: tifffile.imwrite(path, PIXELS, photometric='rgb', compression='zstd'),
            'does not read',
        ),
        (
            'float.tif',
            lambda path: tifffile.imwrite(path, PIXELS / np.float32(255), photometric='rgb'),
            'not supported',
        ),
    ],
)
def test_what_opencv_does_not_read_right_is_refused(tmp_path: Path, name: str, write: Callable, message: str) -> None:
    write(tmp_path / name)
    with pytest.raises(ImageError, match=message):
        check_file(tmp_path / name)


def test_grey_among_colours(tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f'{i}.png'), PIXELS if i else PIXELS[..., 0])
    headers, faults = check_files(sorted(tmp_path.iterdir()))
    assert not faults
    assert find_grey(headers) == [tmp_path / '0.png']
    assert find_grey({tmp_path / '0.png': headers[tmp_path / '0.png']}) == []


@pytest.mark.parametrize(
    ('gt', 'exact', 'in_testing'),
    [((48, 64), True, True), ((49, 64), False, True), ((50, 64), False, False), ((47, 64), False, False)],
)
def test_sizes_of_a_pair(gt: tuple[int, int], exact: bool, in_testing: bool) -> None:
    assert fits(gt, (24, 32), 2, exact=True) is exact
    assert fits(gt, (24, 32), 2, exact=False) is in_testing


def write_lmdb(path: Path, values: dict[str, bytes], level: int | str = 1) -> None:
    maker = LmdbMaker(str(path), map_size=1 << 22, compress_level=level)
    for key, value in values.items():
        maker.put(value, key, PIXELS.shape)
    maker.close()


def test_images_in_an_lmdb(tmp_path: Path) -> None:
    files = {
        'whole': encode('.png'),
        'jpeg': encode('.jpg'),
        'half': encode('.png')[:1500],
        'small': encode('.png', PIXELS[:8]),
        'text': b'text',
    }
    write_lmdb(tmp_path / 'png.lmdb', files)
    with lmdb.open(str(tmp_path / 'png.lmdb'), map_size=1 << 22) as env, env.begin(write=True) as transaction:
        transaction.put(b'other', b'x')
    meta_info = tmp_path / 'png.lmdb' / 'meta_info.txt'
    meta_info.write_text(meta_info.read_text() + 'gone.png (48,64,3) 1\n')
    shapes, raw = read_shapes(tmp_path / 'png.lmdb')
    assert not raw
    assert find_faults(tmp_path / 'png.lmdb', shapes, list(shapes), raw) == {
        'half': 'damaged, cut short, or not an image in a supported format',
        'small': '64x8 pixels, but meta_info.txt has 64x48',
        'text': 'damaged, cut short, or not an image in a supported format',
        'gone': 'listed in meta_info.txt, but missing',
    }
    write_lmdb(tmp_path / 'raw.lmdb', {'whole': PIXELS.tobytes(), 'short': PIXELS.tobytes()[:-1]}, 'raw')
    shapes, raw = read_shapes(tmp_path / 'raw.lmdb')
    assert raw
    assert find_faults(tmp_path / 'raw.lmdb', shapes, list(shapes), raw) == {
        'short': '9215 bytes instead of 9216 for 64x48 pixels'
    }


def pairs(folder: Path, kind: str = 'PairedImageDataset') -> torch.utils.data.Dataset:
    """Four pairs in folders, of which GT 2 has been damaged since it was checked."""
    opt = write_pairs(folder, 4)
    path = folder / 'GT' / '2.png'
    path.write_bytes(middle_changed(path.read_bytes()))
    opt |= {'name': 'x', 'type': kind, 'phase': 'train', 'scale': 2, 'io_backend': {'type': 'disk'}}
    return build_dataset(opt | {'gt_size': 32, 'use_hflip': False, 'use_rot': False})


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 2])
def test_a_loader_names_the_image_in_one_line(tmp_path: Path, workers: int) -> None:
    loader = torch.utils.data.DataLoader(pairs(tmp_path), batch_size=4, num_workers=workers)
    with pytest.raises(SampleError) as caught:
        next(iter(loader))
    assert str(caught.value) == f'{tmp_path}/GT/2.png: damaged, cut short, or not an image in a supported format'


@pytest.mark.slow
def test_prefetching_by_a_thread_does_not_hang(tmp_path: Path) -> None:
    loader = PrefetchDataLoader(num_prefetch_queue=1, dataset=pairs(tmp_path), batch_size=1, num_workers=1)
    prefetcher = CPUPrefetcher(loader)
    with pytest.raises(SampleError, match='2.png: damaged'):
        list(iter(prefetcher.next, None))


def test_a_dataset_in_memory_names_it_when_it_is_built(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match='GT/2.png: damaged'):
        pairs(tmp_path, 'CachedPairedImageDataset')


def test_a_file_that_has_gone_since_is_named(tmp_path: Path) -> None:
    dataset = pairs(tmp_path)
    (tmp_path / 'LR' / '1.png').unlink()
    index = next(i for i, path in enumerate(dataset.paths) if path['gt_path'].endswith('1.png'))
    with pytest.raises(SampleError, match='LR/1.png: No such file'):
        dataset[index]


def test_an_image_of_an_lmdb_is_named(tmp_path: Path) -> None:
    for name, value in (('gt', encode('.png')[:1500]), ('lq', encode('.png', PIXELS[::2, ::2]))):
        write_lmdb(tmp_path / f'{name}.lmdb', {'a': value})
    opt = {'name': 'x', 'type': 'PairedImageDataset', 'phase': 'val', 'scale': 2, 'io_backend': {'type': 'lmdb'}}
    dataset = build_dataset(opt | {f'dataroot_{name}': str(tmp_path / f'{name}.lmdb') for name in ('gt', 'lq')})
    with pytest.raises(SampleError, match='gt.lmdb: a: damaged'):
        dataset[0]
