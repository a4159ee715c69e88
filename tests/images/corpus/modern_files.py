"""JPEG 2000, AVIF, HEIC and JPEG XL: by imagecodecs and Pillow's plugins; the last two where these are installed."""

import io
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image

from .case import Case, Pixels, planes
from .jpeg_files import jpeg
from .picture import ALPHA, GREY, GREY16, GREY_ALPHA, RGB, RGB16, RGBA, RGBA16, SMOOTH, exif, unturned
from .png_files import saved
from .profiles import SRGB, WIDE
from .readers import codec, heif, jxl, pillow

_AVIF, _JPEG2000 = codec('avif'), codec('jpeg2k')
_LOSSY = {'most': 14, 'mean': 3.0, 'near': 3}


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _jpeg2000()
    yield from _avif()
    if find_spec('pillow_heif'):
        yield from _heic()
    if find_spec('pillow_jxl'):
        yield from _jpeg_xl()


def _jpeg2000() -> Iterator[Case]:
    def case(name, encode, pixels, second=_JPEG2000, **more) -> Case:
        return Case(f'jpeg2000-{name}.jp2', 'JPEG 2000', encode, planes(pixels), second, **more)

    for pixels, name in (
        (GREY, 'grey8'),
        (RGB, 'rgb8'),
        (RGBA, 'rgba8'),
        (GREY16, 'grey16'),
        (RGB16, 'rgb16'),
        (RGBA16, 'rgba16'),
        (RGB[:37, :53], 'rgb8-53x37'),
        (RGB[:1, :1], 'rgb8-1x1'),
    ):
        deep = {'may': frozenset({'8 bits'})} if pixels.itemsize == 2 else {}
        write = partial(imagecodecs.jpeg2k_encode, np.ascontiguousarray(pixels), 0, codecformat='jp2')
        yield case(name, write, pixels, **deep)
    yield case('rgb8-by-pillow', partial(saved, RGB, 'JPEG2000'), RGB)
    yield case('rgba8-by-pillow', partial(saved, RGBA, 'JPEG2000'), RGBA)
    yield case('grey-alpha8-by-pillow', partial(saved, PIL.Image.fromarray(GREY_ALPHA), 'JPEG2000'), GREY_ALPHA)
    write = partial(saved, SMOOTH, 'JPEG2000', quality_mode='dB', quality_layers=[45], irreversible=True)
    yield case('rgb8-lossy', write, SMOOTH, **_LOSSY)
    yield case('rgb8-tiles', partial(saved, RGB, 'JPEG2000', tile_size=(16, 16)), RGB)
    twelve = np.rint(GREY16 / 65535 * 4095).astype(np.uint16)
    write = partial(imagecodecs.jpeg2k_encode, twelve, 0, codecformat='jp2', bitspersample=12)
    wide = np.rint(twelve / 4095 * 65535).astype(np.uint16)
    yield case('grey12', write, wide, None, most=1, may=frozenset({'8 bits', 'refuse'}))


def _avif() -> Iterator[Case]:
    def case(name, encode, pixels, second=_AVIF, most=4, mean=1.5, near=2, format='AVIF', **more) -> Case:
        return Case(f'avif-{name}.avif', format, encode, planes(pixels), second, most, mean, near, **more)

    lossless = {'quality': 100, 'subsampling': '4:4:4', 'speed': 10}  # but for the conversion to YCbCr
    smooth = np.dstack([SMOOTH, ALPHA])
    yield case('rgb8', partial(saved, RGB, 'AVIF', **lossless), RGB)
    yield case('rgba8', partial(saved, RGBA, 'AVIF', **lossless), RGBA)
    write = partial(imagecodecs.avif_encode, RGBA, 100, speed=10, pixelformat='444')
    yield case('rgba8-by-imagecodecs', write, RGBA, pillow)
    write = partial(imagecodecs.avif_encode, GREY, 100, speed=10)
    yield case('grey8', write, GREY, may=frozenset({'rgb'}))
    deep = (np.rint(RGB16 / 65535 * 1023)).astype(np.uint16)
    write = partial(imagecodecs.avif_encode, deep, 100, speed=10, bitspersample=10, pixelformat='444')
    wide = np.rint(deep / 1023 * 65535).astype(np.uint16)
    yield case('rgb10', write, wide, None, 700, 300, may=frozenset({'8 bits'}))
    write = partial(saved, smooth, 'AVIF', quality=90, subsampling='4:2:0', speed=10)
    yield case('rgba8-420', write, smooth, **_LOSSY)
    part = np.ascontiguousarray(RGB[:37, :53])
    yield case('rgb8-53x37', partial(saved, part, 'AVIF', **lossless), part)
    yield case('rgb8-1x1', partial(saved, RGB[:1, :1], 'AVIF', **lossless), RGB[:1, :1])
    for name, profile in (('srgb', SRGB), ('wide', WIDE)):
        write = partial(saved, RGBA, 'AVIF', icc_profile=profile, **lossless)
        yield case(f'rgba8-icc-{name}', write, RGBA, profile=profile)
    for orientation in range(1, 9):
        write = partial(saved, unturned(RGB, orientation), 'AVIF', exif=exif(orientation), **lossless)
        yield case(f'rgb8-orientation{orientation}', write, RGB, pillow)
    later = np.ascontiguousarray(RGB[::-1])
    more = [PIL.Image.fromarray(later)]
    write = partial(saved, RGB, 'AVIF', save_all=True, append_images=more, duration=100, **lossless)
    yield case('animated', write, RGB, pillow, format='AVIF animated', later=(later,))


def _heic() -> Iterator[Case]:
    def case(name, encode, pixels, second=heif, most=4, mean=1.5, near=2, suffix='heic', **more) -> Case:
        return Case(f'heic-{name}.{suffix}', 'HEIC', encode, planes(pixels), second, most, mean, near, **more)

    lossless = {'quality': -1, 'chroma': 444, 'matrix_coefficients': 0}
    yield case('rgb8', partial(heif_bytes, RGB, **lossless), RGB)
    yield case('rgb8-suffix', partial(heif_bytes, RGB, **lossless), RGB, suffix='heif')
    yield case('rgba8', partial(heif_bytes, RGBA, **lossless), RGBA)
    yield case('grey8', partial(heif_bytes, GREY, quality=-1), GREY, may=frozenset({'rgb'}))
    yield case('rgb8-lossy-420', partial(heif_bytes, SMOOTH, quality=90), SMOOTH, **_LOSSY)
    part = np.ascontiguousarray(SMOOTH[:37, :53])
    yield case('rgb8-53x37', partial(heif_bytes, part, quality=90), part, **_LOSSY)
    for name, profile in (('srgb', SRGB), ('wide', WIDE)):
        write = partial(heif_bytes, RGBA, icc_profile=profile, **lossless)
        yield case(f'rgba8-icc-{name}', write, RGBA, profile=profile)
    for orientation in range(1, 9):
        write = partial(heif_bytes, unturned(RGB, orientation), exif=b'Exif\0\0' + exif(orientation), **lossless)
        yield case(f'rgb8-orientation{orientation}', write, RGB)


def heif_bytes(pixels: Pixels, **options: object) -> bytes:
    """As pillow-heif writes it by its own interface: Pillow is to learn of HEIC from our reader alone."""
    import pillow_heif

    file = io.BytesIO()
    heif = pillow_heif.from_pillow(PIL.Image.fromarray(pixels))
    heif.info.update({key: options.pop(key) for key in ('icc_profile', 'exif') if key in options})
    heif.save(file, **options)
    return file.getvalue()


def _jpeg_xl() -> Iterator[Case]:
    import pillow_jxl  # noqa: F401  # registers itself with Pillow

    def case(name, encode, pixels, second=jxl, may=frozenset(), **more) -> Case:
        # libjxl makes a profile where the file has none
        return Case(f'jxl-{name}.jxl', 'JPEG XL', encode, planes(pixels), second, may=may | {'srgb'}, **more)

    lossless = {'lossless': True, 'effort': 1}
    for pixels, name in ((GREY, 'grey8'), (GREY_ALPHA, 'grey-alpha8'), (RGB, 'rgb8'), (RGBA, 'rgba8')):
        yield case(name, partial(saved, pixels, 'JXL', **lossless), pixels)
    for pixels, name in ((GREY16, 'grey16'), (RGB16, 'rgb16'), (RGBA16, 'rgba16')):
        write = partial(imagecodecs.jpegxl_encode, pixels, lossless=True, effort=1)
        yield case(name, write, pixels, may=frozenset({'8 bits', 'linear'}))  # so imagecodecs takes 16 bits
    yield case('rgb8-lossy', partial(saved, SMOOTH, 'JXL', quality=95, effort=1), SMOOTH, **_LOSSY)
    part = np.ascontiguousarray(RGB[:37, :53])
    yield case('rgb8-53x37', partial(saved, part, 'JXL', **lossless), part)
    yield case('rgb8-1x1', partial(saved, RGB[:1, :1], 'JXL', **lossless), RGB[:1, :1])
    # the orientation of the stream counts, and EXIF's does not; JPEG's becomes the stream's
    stored = unturned(RGB, 6)
    yield case('rgb8-orientation-of-exif', partial(saved, stored, 'JXL', exif=exif(6), **lossless), stored)
    for orientation in range(1, 9):
        write = partial(_transcoded, unturned(SMOOTH, orientation), exif(orientation))
        yield case(f'from-jpeg-orientation{orientation}', write, SMOOTH, **_LOSSY)


def _transcoded(stored: Pixels, note: bytes) -> bytes:
    """A JPEG with an EXIF block, packed without loss."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'a.jpg'
        path.write_bytes(jpeg(stored, exif=b'Exif\0\0' + note))
        with PIL.Image.open(path) as image:
            return saved(image, 'JXL', lossless_jpeg=True)
