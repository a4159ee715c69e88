"""TGA, byte by byte."""

import struct
from collections.abc import Iterator
from functools import partial

import numpy as np

from .case import Case, planes
from .picture import DISC, GREY, RGB, RGBA, indices, palette_of, stretched
from .readers import pillow, pillow_rgb


def tga(
    samples: np.ndarray,
    kind: int,
    bits: int,
    alpha_bits: int = 0,
    palette: np.ndarray | None = None,
    top_down: bool = False,
    runs: bool = False,
) -> bytes:
    """Kinds are 1 palette, 2 colours, 3 grey; samples are numbers, or bytes in the file's order."""
    height, width = samples.shape[:2]
    table = b'' if palette is None else np.ascontiguousarray(palette[:, ::-1]).tobytes()
    colours = 0 if palette is None else len(palette)
    kinds = (0, int(colours > 0), kind + 8 * runs)
    table_fields = (0, colours, 24 * (colours > 0))
    flags = alpha_bits | 32 * top_down
    header = struct.pack('<3B2HB4H2B', *kinds, *table_fields, 0, 0, width, height, bits, flags)
    rows = planes(samples if top_down else samples[::-1])
    words = np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder('<'))).view(np.uint8).reshape(height, width, -1)
    return header + table + (b''.join(map(_runs, words)) if runs else words.tobytes())


def _runs(row: np.ndarray) -> bytes:
    """Runs of equal pixels, and other pixels by themselves."""
    new = np.flatnonzero(np.r_[True, (row[1:] != row[:-1]).any(1)])
    lengths = np.diff(np.r_[new, len(row)])
    return b''.join(
        bytes([127 + length]) + row[at].tobytes() if length > 1 else b'\0' + row[at].tobytes()
        for at, length in zip(new, lengths, strict=True)
    )


def _case(name, encode, pixels, second=pillow, **more) -> Case:
    return Case(f'tga-{name}.tga', 'TGA', encode, planes(pixels), second, **more)


def cases() -> Iterator[Case]:
    """All of them."""
    flat = RGBA.copy()
    flat[8:30, 10:50] = flat[20, 30]  # runs are long here
    for runs in (False, True):
        for top_down in (False, True):
            options = {'runs': runs, 'top_down': top_down}
            name = '-runs' * runs + '-top-down' * top_down
            yield _case(f'rgb24{name}', partial(tga, flat[..., 2::-1], 2, 24, **options), flat[..., :3])
            yield _case(f'rgba32{name}', partial(tga, flat[..., [2, 1, 0, 3]], 2, 32, 8, **options), flat)
        yield _case(f'grey8{"-runs" * runs}', partial(tga, GREY, 3, 8, runs=runs), GREY)
        chosen, palette = indices(64), palette_of(64)
        write = partial(tga, chosen, 1, 8, palette=palette, runs=runs)
        yield _case(f'palette8{"-runs" * runs}', write, palette[chosen])
    for height, width in ((1, 1), (1, 7), (37, 53)):
        write = partial(tga, RGB[:height, :width, ::-1], 2, 24)
        yield _case(f'rgb24-{width}x{height}', write, RGB[:height, :width])
    yield _case('rgba32-binary', partial(tga, np.dstack([RGB[..., ::-1], DISC]), 2, 32, 8), np.dstack([RGB, DISC]))
    coarse = np.rint(RGB / 255 * 31).astype(np.uint16)
    coarse[:4, :4] = 31
    packed = coarse[..., 0] << 10 | coarse[..., 1] << 5 | coarse[..., 2]
    # the header says that there are no bits of alpha; Pillow makes alpha of the rest, and of 31 it makes 248
    may = frozenset({'opaque alpha'})
    for name, highest in (('rgb555', 0), ('rgb555-highest-bit', 0x8000)):
        yield _case(name, partial(tga, packed | highest, 2, 16), stretched(coarse, 31), None, most=1, may=may)
    for unused in (0, 255):
        words = np.dstack([RGB[..., ::-1], np.full_like(GREY, unused)])
        yield _case(f'rgb32-fourth-byte-{unused}-unused', partial(tga, words, 2, 32), RGB, pillow_rgb, may=may)
