"""WebP: by Pillow, imagecodecs and OpenCV."""

from collections.abc import Iterator
from functools import partial

import cv2
import imagecodecs
import numpy as np
import PIL.Image

from .case import Case
from .picture import ALPHA, DISC, RGB, RGBA, SMOOTH, exif, unturned
from .png_files import saved
from .profiles import LARGE, SRGB, WIDE
from .readers import codec, opencv, pillow

_LOSSY = {'most': 12, 'mean': 3.0, 'near': 2}
_LOSSLESS = {'lossless': True, 'exact': True, 'method': 0}


def _case(name, encode, pixels, second=opencv, format='WebP', **more) -> Case:
    return Case(f'webp-{name}.webp', format, encode, pixels, second, **more)


def _by_opencv() -> bytes:
    return cv2.imencode('.webp', SMOOTH[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 95])[1].tobytes()


def cases() -> Iterator[Case]:
    """All of them."""
    smooth = np.dstack([SMOOTH, ALPHA])
    binary = np.dstack([SMOOTH, DISC])
    for pixels, name in ((RGB, 'rgb'), (RGBA, 'rgba')):
        yield _case(f'{name}-lossless', partial(saved, pixels, 'WEBP', **_LOSSLESS), pixels)
        write = partial(imagecodecs.webp_encode, pixels, lossless=True)
        yield _case(f'{name}-lossless-by-imagecodecs', write, pixels)
        for height, width in ((1, 1), (1, 7), (7, 1), (37, 53)):
            part = np.ascontiguousarray(pixels[:height, :width] if width > 7 else pixels[:height, 20 : 20 + width])
            yield _case(f'{name}-lossless-{width}x{height}', partial(saved, part, 'WEBP', **_LOSSLESS), part)
    for pixels, name in ((SMOOTH, 'rgb'), (smooth, 'rgba-smooth'), (binary, 'rgba-binary')):
        write = partial(saved, pixels, 'WEBP', quality=95, exact=True)
        yield _case(f'{name}-lossy', write, pixels, codec('webp'), **_LOSSY)
    yield _case('rgb-lossy-by-opencv', _by_opencv, SMOOTH, pillow, **_LOSSY)
    part = SMOOTH[:37, :53]
    yield _case('rgb-lossy-53x37', partial(saved, part, 'WEBP', quality=95), part, codec('webp'), **_LOSSY)
    for name, profile in (('srgb', SRGB), ('wide', WIDE), ('large', LARGE)):
        write = partial(saved, RGBA, 'WEBP', icc_profile=profile, **_LOSSLESS)
        yield _case(f'rgba-icc-{name}', write, RGBA, profile=profile)
    write = partial(saved, SMOOTH, 'WEBP', icc_profile=WIDE, quality=95)
    yield _case('rgb-lossy-icc-wide', write, SMOOTH, codec('webp'), profile=WIDE, **_LOSSY)
    for orientation in range(1, 9):
        write = partial(saved, unturned(RGBA, orientation), 'WEBP', exif=exif(orientation), **_LOSSLESS)
        yield _case(f'rgba-orientation{orientation}', write, RGBA, pillow)
    for pixels, name in ((RGB, 'rgb'), (RGBA, 'rgba')):
        later = np.ascontiguousarray(pixels[::-1])
        more = [PIL.Image.fromarray(later)]
        write = partial(saved, pixels, 'WEBP', save_all=True, append_images=more, duration=100, **_LOSSLESS)
        second, may = (pillow, {}) if name == 'rgba' else (None, {'opaque alpha'})
        options = {'format': 'WebP animated', 'later': (later,), 'may': frozenset(may)}
        yield _case(f'animated-{name}', write, pixels, second, **options)
