"""JPEG: by Pillow, OpenCV and imagecodecs, all of which build on libjpeg-turbo."""

from collections.abc import Iterator
from functools import partial

import cv2
import imagecodecs
import numpy as np
import PIL.Image

from .case import Case, planes
from .picture import GREY, INK, RGB, SMOOTH, exif, unturned
from .png_files import saved
from .profiles import CMYK, GREY22, LARGE, SRGB, SWAPPED, WIDE, cmyk_plainly, cmyk_to_srgb
from .readers import littlecms, opencv, opencv_upright, pillow, pillow_rgb

_SMOOTH_GREY = SMOOTH[..., 1]


def _case(name, encode, pixels=SMOOTH, second=opencv, most=8, mean=2.0, near=2, suffix='jpg', **more) -> Case:
    return Case(f'jpeg-{name}.{suffix}', 'JPEG', encode, planes(pixels), second, most, mean, near, **more)


def jpeg(pixels=SMOOTH, quality: int = 97, subsampling: int = 0, **options: object) -> bytes:
    """As Pillow saves it; subsampling 0 is 4:4:4, 1 4:2:2, 2 4:2:0."""
    return saved(pixels, 'JPEG', quality=quality, subsampling=subsampling, **options)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _codings()
    yield from _colours()
    yield from _sizes()
    yield from _profiles()
    yield from _orientations()
    yield from _containers()


def _codings() -> Iterator[Case]:
    for subsampling, name in enumerate(('444', '422', '420')):
        for progressive in (False, True):
            write = partial(jpeg, subsampling=subsampling, progressive=progressive)
            yield _case(f'{name}{"-progressive" * progressive}', write)
    for name in ('440', '411'):
        write = partial(imagecodecs.jpeg8_encode, SMOOTH, 97, subsampling=name)
        yield _case(name, write, second=pillow, most=12, mean=3)
    yield _case('quality100', partial(jpeg, RGB, 100), RGB, most=6, mean=1)
    yield _case('quality50', partial(jpeg, quality=50), most=25, mean=4)
    yield _case('optimized', partial(jpeg, optimize=True))
    yield _case('restart-blocks', partial(jpeg, restart_marker_blocks=3))
    yield _case('restart-rows-progressive', partial(jpeg, restart_marker_rows=1, progressive=True))
    yield _case('restart-rows-420', partial(jpeg, subsampling=2, restart_marker_rows=1))
    yield _case('by-opencv', _by_opencv, second=pillow)
    bits12 = SMOOTH.astype(np.uint16) * 16
    write = partial(imagecodecs.jpeg8_encode, bits12, 97, bitspersample=12)
    wide = np.rint(bits12 / 4095 * 65535).astype(np.uint16)
    yield _case('12-bits', write, wide, None, 2000, 500, may=frozenset({'refuse', '8 bits'}))


def _by_opencv() -> bytes:
    return cv2.imencode('.jpg', SMOOTH[..., ::-1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes()


def _colours() -> Iterator[Case]:
    yield _case('grey', partial(jpeg, _SMOOTH_GREY), _SMOOTH_GREY)
    yield _case('grey-progressive', partial(jpeg, _SMOOTH_GREY, progressive=True), _SMOOTH_GREY)
    yield _case('rgb-without-conversion', partial(jpeg, RGB, 100, keep_rgb=True), RGB, second=pillow, most=4, mean=1)
    ink = PIL.Image.fromarray(INK, 'CMYK')
    plain, by_profile = cmyk_plainly(INK), cmyk_to_srgb(INK)
    yield _case('cmyk', partial(jpeg, ink), plain, pillow_rgb, may=frozenset({'srgb'}))
    write = partial(imagecodecs.jpeg8_encode, 255 - INK, 97, colorspace='cmyk', outcolorspace='ycck', subsampling='444')
    yield _case('ycck', write, plain, pillow_rgb, may=frozenset({'srgb'}))
    # the perceptual intent lifts the shadows a little
    converted = {'second': littlecms, 'may': frozenset({'srgb'}), 'most': 10, 'mean': 4.0, 'near': 8}
    yield _case('cmyk-icc', partial(jpeg, ink, icc_profile=CMYK), by_profile, **converted)
    for orientation in (1, 6):
        turned = PIL.Image.fromarray(unturned(INK, orientation), 'CMYK')
        write = partial(jpeg, turned, icc_profile=CMYK, exif=b'Exif\0\0' + exif(orientation), progressive=True)
        yield _case(f'cmyk-icc-progressive-orientation{orientation}', write, by_profile, **converted)


def _sizes() -> Iterator[Case]:
    for height, width in ((1, 1), (1, 7), (7, 1), (9, 17), (37, 53)):
        for subsampling in (0, 2):
            write = partial(jpeg, np.ascontiguousarray(SMOOTH[:height, :width]), subsampling=subsampling)
            yield _case(f'42{subsampling}-{width}x{height}', write, SMOOTH[:height, :width])
    yield _case('grey-1x1', partial(jpeg, GREY[:1, :1]), GREY[:1, :1])


def _profiles() -> Iterator[Case]:
    for name, profile in (('srgb', SRGB), ('wide', WIDE), ('swapped', SWAPPED), ('large', LARGE)):
        yield _case(f'icc-{name}', partial(jpeg, icc_profile=profile), profile=profile)
    yield _case('420-icc-wide', partial(jpeg, subsampling=2, progressive=True, icc_profile=WIDE), profile=WIDE)
    yield _case('icc-of-cmyk', partial(jpeg, icc_profile=CMYK))
    yield _case('grey-icc', partial(jpeg, _SMOOTH_GREY, icc_profile=GREY22), _SMOOTH_GREY, profile=GREY22)


def _orientations() -> Iterator[Case]:
    for orientation in range(1, 9):
        for order, name in (('<', 'ii'), ('>', 'mm')):
            note = b'Exif\0\0' + exif(orientation, order)
            write = partial(jpeg, unturned(SMOOTH, orientation), exif=note)
            yield _case(f'orientation{orientation}-{name}', write, second=pillow if order == '<' else opencv_upright)
    for name, note in (('0', exif(0)), ('9', exif(9)), ('-broken', b'II*\0\xff\xff')):
        yield _case(f'orientation{name}', partial(jpeg, exif=b'Exif\0\0' + note))
    write = partial(jpeg, unturned(_SMOOTH_GREY, 6), exif=b'Exif\0\0' + exif(6))
    yield _case('grey-orientation6', write, _SMOOTH_GREY, opencv_upright)
    write = partial(jpeg, unturned(SMOOTH, 8), exif=b'Exif\0\0' + exif(8), icc_profile=WIDE, subsampling=2)
    yield _case('420-orientation8-icc', write, second=opencv_upright, profile=WIDE)


def _containers() -> Iterator[Case]:
    for suffix in ('jfif', 'jpe', 'JPEG'):
        yield _case('suffix', jpeg, suffix=suffix)
    for name, format, options in (('PNG', 'PNG', {}), ('WebP', 'WEBP', {'lossless': True}), ('TIFF', 'TIFF', {})):
        exact = {'most': 0, 'mean': 0, 'near': 0}
        yield _case(f'is-a-{name}', partial(saved, RGB, format, **options), RGB, **exact)
    yield _case('trailing-bytes', lambda: jpeg() + bytes(100))
    yield _case('comment-and-dpi', partial(jpeg, comment=b'corpus', dpi=(300, 300)))
    later = [PIL.Image.fromarray(np.ascontiguousarray(SMOOTH[::-1]))]
    yield _case('two-pictures-mpo', partial(saved, SMOOTH, 'MPO', save_all=True, append_images=later, quality=97))
