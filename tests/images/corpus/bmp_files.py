"""BMP, byte by byte: depths, masks, run lengths, headers of several ages."""

import struct
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from .case import Case, Pixels, planes
from .picture import GREY, RGB, RGBA, indices, palette_of, stretched
from .profiles import WIDE
from .readers import opencv, pillow


def _rows(samples: np.ndarray, bits: int, bottom_up: bool = True) -> bytes:
    """Rows of `bits` a pixel, each filled up to 4 bytes; samples are (H, W) numbers or (H, W, bytes)."""
    if bits < 8:
        per = 8 // bits
        wide = np.pad(samples, ((0, 0), (0, -samples.shape[1] % per)))
        packed = np.zeros((len(wide), wide.shape[1] // per), np.uint8)
        for place in range(per):
            packed |= wide[:, place::per] << (8 - bits * (place + 1))
    else:
        packed = np.ascontiguousarray(samples).astype(samples.dtype.newbyteorder('<')).view(np.uint8)
        packed = packed.reshape(len(samples), -1)
    packed = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 4)))
    return (packed[::-1] if bottom_up else packed).tobytes()


def bmp(
    data: bytes,
    height: int,
    width: int,
    bits: int,
    compression: int = 0,
    palette: np.ndarray | None = None,
    masks: Sequence[int] = (),
    version: int = 3,
    profile: bytes = b'',
    top_down: bool = False,
) -> bytes:
    """A file with a header of version 2 (OS/2), 3, 4 or 5; masks are red, green, blue and alpha."""
    colours = 0 if palette is None else len(palette)
    if version == 2:
        header = struct.pack('<I4H', 12, width, height, 1, bits)
        table = b'' if palette is None else palette[:, ::-1].tobytes()
    else:
        size = {3: 40, 4: 108, 5: 124}[version]
        rows = -height if top_down else height
        header = struct.pack('<I2i2H2I2i2I', size, width, rows, 1, bits, compression, len(data), 2835, 2835, colours, 0)
        if version > 3:
            red, green, blue, alpha = (*masks, 0, 0, 0, 0)[:4]
            space = b'DEBM' if profile else b'BGRs'  # read from the right: MBED, sRGB
            header += struct.pack('<4I', red, green, blue, alpha) + space + bytes(48)
            if version == 5:
                header += struct.pack('<4I', 4, size + len(data) + 4 * colours, len(profile), 0)
        elif masks:
            header += struct.pack(f'<{len(masks)}I', *masks)
        table = b'' if palette is None else np.pad(palette[:, ::-1], ((0, 0), (0, 1))).tobytes()
    start = 14 + len(header) + len(table)
    whole = header + table + data + profile
    return b'BM' + struct.pack('<IHHI', 14 + len(whole), 0, 0, start) + whole


def _rle8(samples: np.ndarray) -> bytes:
    data = b''
    for row in samples[::-1]:
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(row)], strict=True):
            data += bytes([end - start, row[start]])
        data += b'\0\0'
    return data + b'\0\1'


def _rle4(samples: np.ndarray) -> bytes:
    data = b''
    for row in samples[::-1]:  # an absolute run of the whole row, filled up to 2 bytes
        packed = _rows(np.pad(row, (0, len(row) % 2))[None], 4)[: (len(row) + 1) // 2]
        data += bytes([0, len(row)]) + packed + b'\0' * (len(packed) % 2) + b'\0\0'
    return data + b'\0\1'


def _packed16(parts: Sequence[int]) -> tuple[np.ndarray, Pixels]:
    """RGB in 16 bits, red, green and blue taking so many each, and the picture that this is; it has white and black."""
    pixels = RGB.copy()
    pixels[:4, :4], pixels[:4, 4:8] = 255, 0
    levels = [np.rint(pixels[..., i] / 255 * (2**bits - 1)).astype(np.uint16) for i, bits in enumerate(parts)]
    packed = levels[0] << (parts[1] + parts[2]) | levels[1] << parts[2] | levels[2]
    return packed, np.dstack([stretched(level, 2**bits - 1) for level, bits in zip(levels, parts, strict=True)])


def _case(name, encode, pixels, second=pillow, **more) -> Case:
    return Case(f'bmp-{name}.bmp', 'BMP', encode, planes(pixels), second, **more)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _palettes()
    yield from _direct()
    yield from _masked()


def _palettes() -> Iterator[Case]:
    for bits in (1, 4, 8):
        chosen, palette = indices(2**bits), palette_of(2**bits)
        yield _case(f'palette{bits}', partial(bmp, _rows(chosen, bits), 40, 56, bits, palette=palette), palette[chosen])
        part = chosen[:37, :53]
        write = partial(bmp, _rows(part, bits), 37, 53, bits, palette=palette)
        yield _case(f'palette{bits}-53x37', write, palette[part])
        write = partial(bmp, _rows(chosen, bits), 40, 56, bits, palette=palette, version=2)
        yield _case(f'palette{bits}-os2', write, palette[chosen])
    chosen, palette = indices(8), palette_of(8)
    yield _case('palette4-of-8', partial(bmp, _rows(chosen, 4), 40, 56, 4, palette=palette), palette[chosen])
    yield _case('rle8', partial(bmp, _rle8(chosen), 40, 56, 8, 1, palette), palette[chosen])
    yield _case('rle4', partial(bmp, _rle4(chosen), 40, 56, 4, 2, palette), palette[chosen])
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    yield _case('grey8', partial(bmp, _rows(GREY, 8), 40, 56, 8, palette=ramp), GREY, may=frozenset({'rgb'}))
    bw = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    for name, palette in (('black-white', bw), ('white-black', bw[::-1])):
        grey = palette[indices(2)][..., 0]
        write = partial(bmp, _rows(indices(2), 1), 40, 56, 1, palette=palette)
        yield _case(f'{name}1', write, grey, may=frozenset({'rgb'}))


def _direct() -> Iterator[Case]:
    bgr, filled = RGB[..., ::-1], np.dstack([RGB[..., ::-1], np.zeros_like(GREY)])
    yield _case('rgb24', partial(bmp, _rows(bgr, 24), 40, 56, 24), RGB)
    yield _case('rgb24-os2', partial(bmp, _rows(bgr, 24), 40, 56, 24, version=2), RGB)
    write = partial(bmp, _rows(bgr, 24, bottom_up=False), 40, 56, 24, top_down=True)
    yield _case('rgb24-top-down', write, RGB)
    for height, width in ((1, 1), (1, 7), (7, 1), (37, 53)):
        write = partial(bmp, _rows(bgr[:height, :width], 24), height, width, 24)
        yield _case(f'rgb24-{width}x{height}', write, RGB[:height, :width])
    yield _case('rgb32-fourth-byte-unused', partial(bmp, _rows(filled, 32), 40, 56, 32), RGB)
    write = partial(bmp, _rows(bgr, 24), 40, 56, 24, version=5, profile=WIDE)
    yield _case('rgb24-icc-wide', write, RGB, profile=WIDE, may=frozenset({'lose profile'}))


def _masked() -> Iterator[Case]:
    packed, pixels = _packed16((5, 5, 5))
    yield _case('rgb555', partial(bmp, _rows(packed, 16), 40, 56, 16), pixels, most=1)
    masks = (0x7C00, 0x3E0, 0x1F)
    yield _case('rgb555-masks', partial(bmp, _rows(packed, 16), 40, 56, 16, 3, masks=masks), pixels, most=1)
    packed, pixels = _packed16((5, 6, 5))
    masks = (0xF800, 0x7E0, 0x1F)
    yield _case('rgb565', partial(bmp, _rows(packed, 16), 40, 56, 16, 3, masks=masks), pixels, most=1)
    write = partial(bmp, _rows(packed[:7, :5], 16), 7, 5, 16, 3, masks=masks, version=4)
    yield _case('rgb565-5x7', write, pixels[:7, :5], most=1)
    bgra, masks = RGBA[..., [2, 1, 0, 3]], (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    for version in (4, 5):
        write = partial(bmp, _rows(bgra, 32), 40, 56, 32, 3, masks=masks, version=version)
        yield _case(f'rgba32-v{version}', write, RGBA, opencv)
    masks = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    write = partial(bmp, _rows(RGBA, 32), 40, 56, 32, 3, masks=masks, version=5)
    yield _case('rgba32-other-order', write, RGBA, pillow)
