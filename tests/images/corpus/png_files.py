"""PNG: by pypng, Pillow, OpenCV, and byte by byte."""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import partial

import cv2
import imagecodecs
import numpy as np
import PIL.Image
import png

from .case import Case, Pixels, planes
from .picture import (
    DISC,
    GREY,
    GREY16,
    GREY_ALPHA,
    GREY_ALPHA16,
    RGB,
    RGB16,
    RGBA,
    RGBA16,
    exif,
    indices,
    levels,
    palette_of,
    stretched,
    unturned,
)
from .profiles import GREY22, LARGE, SRGB, SWAPPED, WIDE
from .readers import codec, opencv, pillow, pypng, turned

SIGNATURE = b'\x89PNG\r\n\x1a\n'


def chunk(kind: bytes, data: bytes = b'') -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def with_chunks(data: bytes, *chunks: bytes) -> bytes:
    """A PNG file with more chunks right after its header."""
    return data[:33] + b''.join(chunks) + data[33:]


def iccp(profile: bytes) -> bytes:
    """The chunk of a profile."""
    return chunk(b'iCCP', b'name\0\0' + zlib.compress(profile))


def by_pypng(samples: np.ndarray, *chunks: bytes, **options: object) -> bytes:
    """Samples (H, W) or (H, W, C) as they are; options are those of `png.Writer`."""
    height, width = samples.shape[:2]
    file = io.BytesIO()
    rows = samples.reshape(height, -1).tolist()
    png.Writer(width, height, **options).write(file, rows)
    return with_chunks(file.getvalue(), *chunks)


def by_bytes(pixels: Pixels, filters: Sequence[int], piece: int = 2**31 - 1, level: int = 9) -> bytes:
    """8 or 16 bits, each row filtered by the next of `filters`, in chunks of `piece` bytes."""
    height, width, channels = pixels.shape
    rows = pixels.astype(pixels.dtype.newbyteorder('>')).view(np.uint8).reshape(height, -1).astype(int)
    step = channels * pixels.itemsize
    up = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    left, corner = (np.hstack([np.zeros((height, step), int), r[:, :-step]]) for r in (rows, up))
    guess = left + up - corner
    near = [abs(guess - value) for value in (left, up, corner)]
    paeth = np.where((near[0] <= near[1]) & (near[0] <= near[2]), left, np.where(near[1] <= near[2], up, corner))
    predicted = [np.zeros_like(rows), left, up, (left + up) // 2, paeth]
    lines = b''
    for y in range(height):
        used = filters[y % len(filters)]
        lines += bytes([used]) + ((rows[y] - predicted[used][y]) % 256).astype(np.uint8).tobytes()
    data = zlib.compress(lines, level)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack('>2I5B', width, height, 8 * pixels.itemsize, colour, 0, 0, 0)
    pieces = [chunk(b'IDAT', data[start : start + piece]) for start in range(0, len(data), piece)]
    return SIGNATURE + chunk(b'IHDR', header) + b''.join(pieces) + chunk(b'IEND')


def saved(pixels: np.ndarray | PIL.Image.Image, format: str, **options: object) -> bytes:
    """As Pillow saves it."""
    image = pixels if isinstance(pixels, PIL.Image.Image) else PIL.Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _case(name, encode, pixels, second=pypng, **more) -> Case:
    return Case(f'png-{name}.png', 'PNG', encode, planes(pixels), second, **more)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _layouts()
    yield from _transparent_colours()
    yield from _palettes()
    yield from _sizes()
    yield from _profiles()
    yield from _orientations()
    yield from _structures()
    yield from _animations()


def _layouts() -> Iterator[Case]:
    for adam7 in (False, True):
        interlace = '-adam7' if adam7 else ''
        for bits in (1, 2, 4, 8, 16):
            samples = levels(bits)
            write = partial(by_pypng, samples, greyscale=True, bitdepth=bits, interlace=adam7)
            yield _case(f'grey{bits}{interlace}', write, stretched(samples, 2**bits - 1))
        for pixels, name in (
            (GREY_ALPHA, 'grey-alpha8'),
            (GREY_ALPHA16, 'grey-alpha16'),
            (RGB, 'rgb8'),
            (RGB16, 'rgb16'),
            (RGBA, 'rgba8'),
            (RGBA16, 'rgba16'),
        ):
            channels, bits = pixels.shape[2], 8 * pixels.itemsize
            options = {'greyscale': channels < 3, 'alpha': channels % 2 == 0, 'bitdepth': bits, 'interlace': adam7}
            second = codec('png') if channels > 2 and not adam7 else pypng
            yield _case(f'{name}{interlace}', partial(by_pypng, pixels, **options), pixels, second)
    disc = np.dstack([RGB, DISC])
    yield _case('rgba8-binary', partial(by_pypng, disc, greyscale=False, alpha=True), disc, opencv)
    black = np.where(DISC[..., None] > 0, disc, 0).astype(np.uint8)
    yield _case('rgba8-black-where-hidden', partial(by_pypng, black, greyscale=False, alpha=True), black, opencv)


def _transparent_colours() -> Iterator[Case]:
    """One colour of the picture is transparent, wherever it occurs."""
    for bits in (1, 2, 4, 8, 16):
        samples = levels(bits)
        key = int(samples[20, 30])
        alpha = np.where(samples == key, 0, 255 if bits < 16 else 65535)
        write = partial(by_pypng, samples, greyscale=True, bitdepth=bits, transparent=key)
        yield _case(f'grey{bits}-trns', write, np.dstack([stretched(samples, 2**bits - 1), alpha]).astype(_dtype(bits)))
    for pixels, bits in ((RGB, 8), (RGB16, 16)):
        key = tuple(pixels[20, 30].tolist())
        alpha = np.where((pixels == key).all(2), 0, 2**bits - 1)
        write = partial(by_pypng, pixels, greyscale=False, bitdepth=bits, transparent=key)
        yield _case(f'rgb{bits}-trns', write, np.dstack([pixels, alpha]).astype(_dtype(bits)))
    for pixels, name in ((GREY16, 'grey16'), (RGB16, 'rgb16')):
        key = pixels[20, 30].tolist()
        hidden = planes(pixels == key).all(2)
        options = {'greyscale': name == 'grey16', 'bitdepth': 16, 'interlace': True}
        write = partial(by_pypng, pixels, transparent=key if name == 'grey16' else tuple(key), **options)
        yield _case(f'{name}-trns-adam7', write, np.dstack([pixels, np.where(hidden, 0, 65535)]).astype(np.uint16))
    # a key of 16 bits whose high bytes are those of many pixels: none but the one that it names is transparent
    pixels = RGB16.copy()
    pixels[10:30, 10:40] = pixels[20, 30]
    pixels[12:28, 12:38, 1] ^= 1
    key = tuple(pixels[10, 10].tolist())
    alpha = np.where((pixels == key).all(2), 0, 65535)
    write = partial(by_pypng, pixels, greyscale=False, bitdepth=16, transparent=key)
    yield _case('rgb16-trns-low-byte', write, np.dstack([pixels, alpha]).astype(np.uint16))


def _dtype(bits: int) -> type[np.unsignedinteger]:
    return np.uint16 if bits == 16 else np.uint8


def _palettes() -> Iterator[Case]:
    for bits in (1, 2, 4, 8):
        size = min(2**bits, 128)
        colours, chosen = palette_of(size), indices(size)
        table = [tuple(colour) for colour in colours.tolist()]
        for adam7 in (False, True):
            write = partial(by_pypng, chosen, bitdepth=bits, palette=table, interlace=adam7)
            yield _case(f'palette{bits}{"-adam7" * adam7}', write, colours[chosen])
        for kind, opacity in (
            ('binary', np.where(np.arange(size) == chosen[20, 30], 0, 255)),
            ('smooth', np.linspace(0, 255, size)),
        ):
            opacity = opacity.astype(np.uint8)
            table = [tuple(colour) for colour in np.column_stack([colours, opacity]).tolist()]
            write = partial(by_pypng, chosen, bitdepth=bits, palette=table)
            yield _case(f'palette{bits}-alpha-{kind}', write, np.dstack([colours[chosen], opacity[chosen]]))
    chosen, opacity = indices(16), np.array([0, 128, *14 * [255]], np.uint8)
    yield _case('palette8-trns-of-two', _short_trns, np.dstack([palette_of(16)[chosen], opacity[chosen]]))


def _short_trns() -> bytes:
    """The opacity of two of 16 colours; the others are opaque."""
    data = by_pypng(indices(16), bitdepth=8, palette=[tuple(colour) for colour in palette_of(16).tolist()])
    at = data.index(b'IDAT') - 4
    return data[:at] + chunk(b'tRNS', bytes([0, 128])) + data[at:]


def _sizes() -> Iterator[Case]:
    for height, width in ((1, 1), (1, 7), (7, 1), (3, 5), (37, 53)):
        for pixels, name in ((GREY, 'grey8'), (RGB16, 'rgb16'), (RGBA, 'rgba8')):
            part = planes(pixels)[3 : 3 + height, 3 : 3 + width]
            options = {'greyscale': name == 'grey8', 'alpha': name == 'rgba8', 'bitdepth': 8 * part.itemsize}
            write = partial(by_pypng, part, **options, interlace=True)
            yield _case(f'{name}-{width}x{height}', write, part, opencv)
    yield _case('grey1-1x1', partial(by_pypng, levels(1)[:1, :1], greyscale=True, bitdepth=1), levels(1)[:1, :1] * 255)


def _profiles() -> Iterator[Case]:
    for name, profile in (('srgb', SRGB), ('wide', WIDE), ('swapped', SWAPPED), ('large', LARGE)):
        write = partial(by_pypng, RGB, iccp(profile), greyscale=False)
        yield _case(f'rgb8-icc-{name}', write, RGB, profile=profile)
    wide = iccp(WIDE)
    yield _case('rgb16-icc-wide', partial(by_pypng, RGB16, wide, greyscale=False, bitdepth=16), RGB16, profile=WIDE)
    options = {'greyscale': False, 'alpha': True}
    yield _case('rgba8-icc-wide', partial(by_pypng, RGBA, wide, **options), RGBA, profile=WIDE)
    yield _case('rgba16-icc-wide', partial(by_pypng, RGBA16, wide, **options, bitdepth=16), RGBA16, profile=WIDE)
    table = [tuple(colour) for colour in palette_of(64).tolist()]
    write = partial(by_pypng, indices(64), wide, palette=table, bitdepth=8)
    yield _case('palette8-icc-wide', write, palette_of(64)[indices(64)], profile=WIDE)
    for name, broken in (('of-rgb', iccp(WIDE)), ('broken', chunk(b'iCCP', b'name\0\0not packed'))):
        yield _case(f'grey8-icc-{name}', partial(by_pypng, GREY, broken, greyscale=True), GREY)
    grey = iccp(GREY22)
    for bits in (1, 8, 16):
        write = partial(by_pypng, levels(bits), grey, greyscale=True, bitdepth=bits)
        yield _case(f'grey{bits}-icc', write, stretched(levels(bits), 2**bits - 1), profile=GREY22)
    write = partial(by_pypng, GREY_ALPHA16, grey, greyscale=True, alpha=True, bitdepth=16)
    yield _case('grey-alpha16-icc', write, GREY_ALPHA16, profile=GREY22)


def _orientations() -> Iterator[Case]:
    for orientation in range(1, 9):
        note = chunk(b'eXIf', exif(orientation, '>'))
        write = partial(by_pypng, unturned(RGBA, orientation), note, greyscale=False, alpha=True)
        yield _case(f'rgba8-orientation{orientation}', write, RGBA, pillow)
    for name, note in (('0', exif(0)), ('9', exif(9)), ('-broken', b'II*\0\xff\xff')):
        write = partial(by_pypng, RGB, chunk(b'eXIf', note), greyscale=False)
        yield _case(f'rgb8-orientation{name}', write, RGB)
    for orientation in (6, 7):
        note = chunk(b'eXIf', exif(orientation))
        write = partial(by_pypng, unturned(RGB16, orientation), note, greyscale=False, bitdepth=16)
        yield _case(f'rgb16-orientation{orientation}', write, RGB16, turned(pypng))
        write = partial(by_pypng, unturned(GREY16, orientation), note, greyscale=True, bitdepth=16)
        yield _case(f'grey16-orientation{orientation}', write, GREY16, turned(pypng))


def _structures() -> Iterator[Case]:
    for used in range(5):
        yield _case(f'rgb8-filter{used}', partial(by_bytes, RGB, [used]), RGB)
    yield _case('rgba16-all-filters', partial(by_bytes, RGBA16, [4, 1, 3, 0, 2]), RGBA16)
    yield _case('rgb8-idat-of-7-bytes', partial(by_bytes, RGB, [1], piece=7), RGB)
    yield _case('rgb8-stored', partial(by_bytes, RGB, [0], level=0), RGB)
    marks = chunk(b'sRGB', b'\0') + chunk(b'gAMA', struct.pack('>I', 45455)) + chunk(b'bKGD', bytes(6))
    marks += chunk(b'tEXt', b'Title\0corpus') + chunk(b'abCd', b'unknown to all')
    yield _case('rgb8-other-chunks', lambda: with_chunks(by_bytes(RGB, [2]), marks), RGB)
    yield _case('grey8-sbit', lambda: with_chunks(by_bytes(planes(GREY), [2]), chunk(b'sBIT', b'\5')), GREY)
    yield _case('rgb8-by-pillow', partial(saved, RGB, 'PNG', optimize=True), RGB)
    yield _case('rgba8-by-opencv', lambda: cv2.imencode('.png', RGBA[..., [2, 1, 0, 3]])[1].tobytes(), RGBA)
    yield _case('rgb16-by-opencv', lambda: cv2.imencode('.png', RGB16[..., ::-1])[1].tobytes(), RGB16)
    yield _case('grey16-by-imagecodecs', lambda: imagecodecs.png_encode(GREY16), GREY16)
    yield _case('rgb8-trailing-bytes', lambda: by_bytes(RGB, [1]) + b'more', RGB)


def _animations() -> Iterator[Case]:
    """The first frame is the picture."""
    for pixels, name in ((RGB, 'rgb8'), (RGBA, 'rgba8')):
        later = np.ascontiguousarray(pixels[::-1])
        options = {'save_all': True, 'append_images': [PIL.Image.fromarray(later)], 'duration': 100}
        write = partial(saved, pixels, 'PNG', **options)
        # Pillow stores of a later frame the part that differs
        yield Case(f'apng-{name}.png', 'APNG', write, pixels, pypng, later=(later,), may=frozenset({'opaque alpha'}))
    frames, may = np.stack([RGBA16, RGBA16[::-1]]), frozenset({'8 bits'})
    write = partial(imagecodecs.apng_encode, frames, delay=100)
    yield Case('apng-rgba16.apng', 'APNG', write, RGBA16, pypng, later=(frames[1],), may=may)
    more = [PIL.Image.fromarray(np.ascontiguousarray(RGB[::-1]))]
    # the picture that stands is no part of the animation
    write = partial(saved, RGB, 'PNG', save_all=True, append_images=more, default_image=True)
    yield Case('apng-default-image.apng', 'APNG', write, RGB, pypng)
