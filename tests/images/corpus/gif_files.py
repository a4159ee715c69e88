"""GIF: by Pillow and imagecodecs, and with blocks put together byte by byte."""

import struct
from collections.abc import Iterator
from functools import partial

import imagecodecs
import numpy as np
import PIL.Image

from .case import Case, planes
from .picture import DISC, GREY, indices, palette_of
from .png_files import saved
from .readers import pillow


def paletted(chosen: np.ndarray, palette: np.ndarray) -> PIL.Image.Image:
    """A picture in Pillow's mode P."""
    image = PIL.Image.fromarray(chosen, 'P')
    image.putpalette(palette.tobytes())
    return image


def _lzw(codes: np.ndarray, bits: int) -> bytes:
    """Codes one by one, with a clear code before they would grow longer."""
    clear, words, every = 2**bits, [], 2**bits - 2
    for start in range(0, len(codes), every):
        words += [clear, *codes[start : start + every].tolist()]
    words.append(clear + 1)
    stream = ''.join(format(word, f'0{bits + 1}b')[::-1] for word in words)
    stream += '0' * (-len(stream) % 8)
    data = bytes(int(stream[at : at + 8][::-1], 2) for at in range(0, len(stream), 8))
    blocks = b''.join(bytes([len(data[at : at + 255])]) + data[at : at + 255] for at in range(0, len(data), 255))
    return bytes([bits]) + blocks + b'\0'


def gif(
    chosen: np.ndarray,
    palette: np.ndarray,
    screen: tuple[int, int],
    at: tuple[int, int] = (0, 0),
    transparent: int | None = None,
    interlaced: bool = False,
    local: bool = False,
) -> bytes:
    """One frame of 128 colours, `at` (top, left) of a screen of (height, width)."""
    table = palette.tobytes()
    height, width = chosen.shape
    header = b'GIF89a' + struct.pack('<2H3B', screen[1], screen[0], 0 if local else 0xF6, 0, 0)
    control = b'' if transparent is None else b'\x21\xf9\4' + struct.pack('<BHB', 1, 0, transparent) + b'\0'
    order = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4), *range(1, height, 2)]
    rows = chosen[order] if interlaced else chosen
    flags = 0x40 * interlaced | (0x86 if local else 0)
    frame = b',' + struct.pack('<4HB', at[1], at[0], width, height, flags) + (table if local else b'')
    return header + (b'' if local else table) + control + frame + _lzw(rows.ravel(), 7) + b';'


def _case(name, encode, pixels, second=pillow, **more) -> Case:
    return Case(f'gif-{name}.gif', 'GIF', encode, planes(pixels), second, **more)


def cases() -> Iterator[Case]:
    """All of them."""
    for size in (2, 4, 16, 64, 128):
        chosen, palette = indices(size), palette_of(size)
        yield _case(f'palette-of-{size}', partial(saved, paletted(chosen, palette), 'GIF'), palette[chosen])
    chosen, palette = indices(128), palette_of(128)
    colours = palette[chosen]
    key = int(chosen[20, 30])
    opacity = np.where(chosen == key, 0, 255).astype(np.uint8)
    yield _case('interlaced', partial(gif, chosen, palette, (40, 56), interlaced=True), colours)
    yield _case('local-palette', partial(gif, chosen, palette, (40, 56), local=True), colours)
    write = partial(gif, chosen, palette, (40, 56), transparent=key)
    yield _case('transparent', write, np.dstack([colours, opacity]))
    write = partial(gif, chosen, palette, (40, 56), transparent=key, interlaced=True, local=True)
    yield _case('transparent-interlaced-local', write, np.dstack([colours, opacity]))
    placed = np.zeros((50, 70, 4), np.uint8)  # nothing is drawn around the frame
    placed[6:46, 9:65] = np.dstack([colours, opacity])
    yield _case('frame-within-screen', partial(gif, chosen, palette, (50, 70), (6, 9), key), placed)
    yield _case('1x1', partial(gif, chosen[:1, :1], palette, (1, 1)), colours[:1, :1])
    yield _case('53x37', partial(gif, chosen[:37, :53], palette, (37, 53), interlaced=True), colours[:37, :53])
    table = palette_of(256)
    write = partial(imagecodecs.gif_encode, indices(256), colormap=table)
    yield _case('by-imagecodecs', write, table[indices(256)])
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    yield _case('grey', partial(saved, paletted(GREY, ramp), 'GIF'), GREY, may=frozenset({'rgb'}))
    for name, masked in (('animated', False), ('animated-transparent', True)):
        first = np.where(DISC > 0, chosen, key).astype(np.uint8) if masked else chosen
        frames = [np.ascontiguousarray(frame) for frame in (first, first[::-1])]
        alphas = [[np.where(frame == key, 0, 255)] if masked else [] for frame in frames]
        pixels, later = (np.dstack([palette[f], *a]).astype(np.uint8) for f, a in zip(frames, alphas, strict=True))
        options = {'transparency': key, 'disposal': 2} if masked else {}
        more = [paletted(frames[1], palette)]
        write = partial(
            saved, paletted(frames[0], palette), 'GIF', save_all=True, append_images=more, duration=100, **options
        )
        may = frozenset({'opaque alpha'})
        yield Case(f'gif-{name}.gif', 'GIF animated', write, pixels, pillow, later=(later,), may=may)
