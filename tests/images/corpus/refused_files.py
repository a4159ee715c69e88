"""Files that must be refused, each with a message that says why."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import imagecodecs
import numpy as np

from . import bmp_files, gif_files, jpeg_files, modern_files, pnm_files, tga_files
from .case import Refused
from .picture import GREY, INK, RGB, RGB16, RGBA, indices, palette_of
from .png_files import SIGNATURE, by_pypng, chunk, saved
from .tiff_files import by_bytes, by_tifffile

NOT_SUPPORTED = ('not supported',)
DAMAGED = ('damaged',)
TOO_LARGE = ('larger than',)


def cases() -> Iterator[Refused]:
    """All of them."""
    yield from _kinds()
    yield from _no_images()
    yield from _cut_short()
    yield from _damaged()
    yield from _too_large()


def _kinds() -> Iterator[Refused]:
    floats = RGB / np.float32(255)
    for dtype in (np.float16, np.float32, np.float64):
        write = partial(by_tifffile, floats.astype(dtype), photometric='rgb')
        yield Refused(f'tiff-{np.dtype(dtype).name}.tif', 'TIFF', write, NOT_SUPPORTED)
    write = partial(by_tifffile, floats, photometric='rgb', compression='zlib', predictor=3)
    yield Refused('tiff-float32-predictor.tif', 'TIFF', write, NOT_SUPPORTED)
    for dtype in (np.int8, np.int16, np.int32, np.uint32, np.uint64, np.complex64):
        write = partial(by_tifffile, GREY.astype(dtype), photometric='minisblack')
        yield Refused(f'tiff-{np.dtype(dtype).name}.tif', 'TIFF', write, NOT_SUPPORTED)
    write = partial(by_tifffile, INK.astype(np.uint16) * 257, photometric='separated')
    yield Refused('tiff-cmyk16.tif', 'TIFF', write, NOT_SUPPORTED)
    for planar in (False, True):
        bands = np.dstack([RGB, GREY, GREY])
        arranged = np.moveaxis(bands, 2, 0).copy() if planar else bands
        options = {'photometric': 'minisblack', 'planarconfig': 'separate' if planar else 'contig'}
        write = partial(by_tifffile, arranged, **options)
        yield Refused(f'tiff-five-bands{"-planar" * planar}.tif', 'TIFF', write, NOT_SUPPORTED)
    write = partial(by_tifffile, np.dstack([INK, GREY]), photometric='separated', extrasamples=['unassalpha'])
    yield Refused('tiff-cmyk8-alpha.tif', 'TIFF', write, NOT_SUPPORTED)
    pfm = b'PF\n56 40\n-1.0\n' + floats[::-1].astype('<f4').tobytes()
    yield Refused('pnm-float.ppm', 'PNM', lambda: pfm, NOT_SUPPORTED)


def _no_images() -> Iterator[Refused]:
    words = ('not an image', 'not supported')
    text = b'Not a picture, but words.\n' * 20
    for suffix in ('png', 'jpg', 'tif', 'webp', 'bmp', 'gif', 'ppm', 'tga', 'jp2', 'avif'):
        yield Refused(f'empty.{suffix}', 'empty', bytes, ('empty',))
        # any file may be the start of a TGA
        yield Refused(f'text.{suffix}', 'no image', partial(bytes, text), DAMAGED if suffix == 'tga' else words)
    for name, data in (
        ('pdf.png', b'%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< >>\nendobj\n'),
        ('zip.jpg', b'PK\3\4' + bytes(200)),
        ('zeros.png', bytes(1000)),
        ('ones.tif', b'\xff' * 1000),
        ('thumbs.db', b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1' + bytes(2000)),
        ('svg.png', b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ('one-byte.bmp', b'B'),
    ):
        yield Refused(name, 'no image', partial(bytes, data), words)


def _whole() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Files of each format, without what may follow the picture."""
    chosen, palette = indices(128), palette_of(128)
    yield 'rgb.png', partial(by_pypng, RGB, greyscale=False)
    yield 'rgb16-adam7.png', partial(by_pypng, RGB16, greyscale=False, bitdepth=16, interlace=True)
    yield 'palette.png', partial(by_pypng, chosen, bitdepth=8, palette=[tuple(colour) for colour in palette.tolist()])
    yield 'baseline.jpg', partial(jpeg_files.jpeg, RGB)
    yield 'progressive.jpg', partial(jpeg_files.jpeg, RGB, progressive=True)
    yield 'lossless.webp', partial(saved, RGB, 'WEBP', lossless=True)
    yield 'lossy.webp', partial(saved, RGBA, 'WEBP')
    yield 'rgb.bmp', partial(bmp_files.bmp, bmp_files._rows(RGB[..., ::-1], 24), 40, 56, 24)
    yield 'palette.gif', partial(gif_files.gif, chosen, palette, (40, 56))
    yield 'rgb.ppm', partial(pnm_files._binary, 6, RGB, 255)
    yield 'rgb16.ppm', partial(pnm_files._binary, 6, RGB16, 65535)
    yield 'plain.ppm', partial(pnm_files._plain, 3, RGB, 255)
    yield 'rgb.tga', partial(tga_files.tga, RGB[..., ::-1], 2, 24)
    yield 'rgb.jp2', partial(imagecodecs.jpeg2k_encode, RGB, 0, codecformat='jp2')
    yield 'rgb.avif', partial(saved, RGB, 'AVIF', speed=10)
    # the directory of tags comes before the pixels
    yield 'rgb.tif', partial(by_tifffile, RGB, photometric='rgb')
    planes = np.moveaxis(RGB16, 2, 0).copy()
    planar = {'photometric': 'rgb', 'planarconfig': 'separate', 'compression': 'lzw'}
    yield 'rgb16-planar-lzw.tif', partial(by_tifffile, planes, **planar)
    yield 'rgb-tiles-zlib.tif', partial(by_tifffile, RGB, photometric='rgb', tile=(16, 16), compression='zlib')
    yield 'jpeg.tif', partial(by_tifffile, RGB, photometric='ycbcr', compression='jpeg')
    if find_spec('pillow_heif'):
        yield 'rgb.heic', partial(modern_files.heif_bytes, RGB, quality=90)
    if find_spec('pillow_jxl'):
        yield 'rgb.jxl', partial(saved, RGB, 'JXL', lossless=True, effort=1)


def _cut_short() -> Iterator[Refused]:
    for name, encode in _whole():
        for part, label in ((0.5, 'half'), (0.95, 'most'), (0.0, 'first-bytes')):

            def cut(encode=encode, part=part) -> bytes:
                data = encode()
                return data[: max(24, int(part * len(data)))]

            yield Refused(f'{label}-{name}', 'cut short', cut, DAMAGED)


def _damaged() -> Iterator[Refused]:
    def spoilt(encode: Callable[[], bytes], find: bytes, at: int) -> bytes:
        data = bytearray(encode())
        place = data.index(find) + at
        data[place : place + 20] = bytes(255 - byte for byte in data[place : place + 20])
        return bytes(data)

    png = partial(by_pypng, RGB, greyscale=False)
    yield Refused('spoilt-idat.png', 'damaged', partial(spoilt, png, b'IDAT', 200), DAMAGED)
    yield Refused('spoilt-header.png', 'damaged', partial(spoilt, png, b'IHDR', 0), DAMAGED)
    yield Refused('no-idat.png', 'damaged', lambda: png()[:33] + chunk(b'IEND'), DAMAGED)
    tiff = partial(by_tifffile, RGB, photometric='rgb', compression='zlib')
    yield Refused('no-page.tif', 'damaged', lambda: tiff()[:4] + struct.pack('<I', 2**31) + tiff()[8:], DAMAGED)
    yield Refused('no-pages.tif', 'damaged', lambda: b'II*\0' + bytes(4), DAMAGED)


def _bomb() -> bytes:
    """33000x33000 pixels of one bit, all of them there: 136 MB of zeros."""
    side = 33000
    packer, row = zlib.compressobj(1), bytes(1 + (side + 7) // 8)
    data = b''.join([packer.compress(100 * row) for _ in range(side // 100)]) + packer.flush()
    header = struct.pack('>2I5B', side, side, 1, 0, 0, 0, 0)
    return SIGNATURE + chunk(b'IHDR', header) + chunk(b'IDAT', data) + chunk(b'IEND')


def _too_large() -> Iterator[Refused]:
    """More than 2**30 pixels; but for the first, the header says so, and the pixels are not there."""

    def case(name: str, encode: Callable[[], bytes]) -> Refused:
        return Refused(f'large-{name}', 'too large', encode, TOO_LARGE)

    yield case('bomb.png', _bomb)
    wide = chunk(b'IHDR', struct.pack('>2I5B', 2**31 - 1, 3, 8, 2, 0, 0, 0))
    short = chunk(b'IDAT', zlib.compress(bytes(999))) + chunk(b'IEND')
    yield case('wide.png', lambda: SIGNATURE + wide + short)

    def jpeg() -> bytes:
        data = jpeg_files.jpeg(RGB)
        at = data.index(b'\xff\xc0') + 5
        return data[:at] + struct.pack('>2H', 40000, 40000) + data[at + 4 :]

    yield case('header.jpg', jpeg)
    screen = gif_files.gif(indices(128), palette_of(128), (65535, 65535))
    yield case('screen.gif', lambda: screen)
    yield case('header.ppm', lambda: b'P6\n40000 40000\n255\n' + bytes(999))
    yield case('header.pbm', lambda: b'P4\n40000 40000\n' + bytes(999))
    yield case('header.bmp', partial(bmp_files.bmp, bytes(999), 40000, 40000, 24))

    def tga() -> bytes:
        data = tga_files.tga(RGB[..., ::-1], 2, 24)
        return data[:12] + struct.pack('<2H', 40000, 40000) + data[16:]

    yield case('header.tga', tga)
    size = {256: (4, [40000]), 257: (4, [40000]), 278: (4, [40000])}
    large = {**size, 258: (3, [8]), 259: (3, [1]), 262: (3, [1]), 277: (3, [1])}
    for order in '<>':
        yield case(f'header-{"ii" if order == "<" else "mm"}.tif', partial(by_bytes, large, bytes(999), order))

    def bigtiff() -> bytes:
        file = io.BytesIO(by_tifffile(GREY, photometric='minisblack', bigtiff=True))
        data = bytearray(file.getvalue())
        for tag in (256, 257):
            at = data.index(struct.pack('<HH', tag, 4))
            data[at + 12 : at + 16] = struct.pack('<I', 40000)
        return bytes(data)

    yield case('header-big.tif', bigtiff)

    def jp2() -> bytes:
        data = bytearray(imagecodecs.jpeg2k_encode(RGB, 0, codecformat='jp2'))
        at = data.index(b'ihdr') + 4
        data[at : at + 8] = struct.pack('>2I', 40000, 40000)
        at = data.index(b'\xff\x51') + 6
        data[at : at + 8] = struct.pack('>2I', 40000, 40000)
        return bytes(data)

    yield case('header.jp2', jp2)
