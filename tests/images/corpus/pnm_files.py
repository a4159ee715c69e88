"""PBM, PGM and PPM, byte by byte."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from .case import Case, planes
from .picture import GREY, GREY16, RGB, RGB16, levels, stretched
from .readers import opencv, pillow


def _binary(kind: int, samples: np.ndarray, top: int, comment: str = '') -> bytes:
    height, width = samples.shape[:2]
    dtype = np.dtype('>u2') if top > 255 else np.dtype(np.uint8)
    return f'P{kind}\n{comment}{width} {height}\n{top}\n'.encode() + samples.astype(dtype).tobytes()


def _plain(kind: int, samples: np.ndarray, top: int | None) -> bytes:
    height, width = samples.shape[:2]
    words = [f'P{kind}', '# a comment', f'{width} {height}', *([] if top is None else [str(top)])]
    words += [' '.join(map(str, row.ravel().tolist())) for row in samples]
    return ('\n'.join(words) + '\n').encode()


def _bitmap(black: np.ndarray) -> bytes:
    height, width = black.shape
    return f'P4\n{width} {height}\n'.encode() + np.packbits(black, axis=1).tobytes()


def _case(name, encode, pixels, second=opencv, **more) -> Case:
    return Case(f'pnm-{name}', 'PNM', encode, planes(pixels), second, **more)


def cases() -> Iterator[Case]:
    """All of them."""
    yield _case('p5.pgm', partial(_binary, 5, GREY, 255), GREY)
    yield _case('p6.ppm', partial(_binary, 6, RGB, 255), RGB)
    yield _case('p6-comment.pnm', partial(_binary, 6, RGB, 255, '# made for the corpus\n'), RGB)
    yield _case('p5-16.pgm', partial(_binary, 5, GREY16, 65535), GREY16)
    yield _case('p6-16.ppm', partial(_binary, 6, RGB16, 65535), RGB16)
    for top in (1, 15, 100):
        samples = np.rint(GREY / 255 * top).astype(np.uint8)
        yield _case(f'p5-max{top}.pgm', partial(_binary, 5, samples, top), stretched(samples, top), pillow, most=1)
        samples = np.rint(RGB / 255 * top).astype(np.uint8)
        yield _case(f'p6-max{top}.ppm', partial(_binary, 6, samples, top), stretched(samples, top), pillow, most=1)
    for top in (1023, 4095):
        samples = np.rint(GREY16 / 65535 * top).astype(np.uint16)
        yield _case(f'p5-max{top}.pgm', partial(_binary, 5, samples, top), stretched(samples, top), pillow, most=1)
        samples = np.rint(RGB16 / 65535 * top).astype(np.uint16)
        yield _case(f'p6-max{top}.ppm', partial(_binary, 6, samples, top), stretched(samples, top), None, most=1)
    black = levels(1) == 0
    yield _case('p4.pbm', partial(_bitmap, black), levels(1) * 255)
    yield _case('p4-53x37.pbm', partial(_bitmap, black[:37, :53]), levels(1)[:37, :53] * 255)
    yield _case('p4-1x1.pbm', partial(_bitmap, black[:1, :1]), levels(1)[:1, :1] * 255)
    yield _case('p1.pbm', partial(_plain, 1, black.astype(int), None), levels(1) * 255, pillow)
    yield _case('p2.pgm', partial(_plain, 2, GREY, 255), GREY, pillow)
    yield _case('p3.ppm', partial(_plain, 3, RGB, 255), RGB, pillow)
    yield _case('p3-16.ppm', partial(_plain, 3, RGB16, 65535), RGB16, None)
    yield _case('p6-1x1.ppm', partial(_binary, 6, RGB[:1, :1], 255), RGB[:1, :1])
    yield _case('p6-16-53x37.ppm', partial(_binary, 6, RGB16[:37, :53], 65535), RGB16[:37, :53])
