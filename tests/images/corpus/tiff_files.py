"""TIFF: by tifffile, by libtiff through Pillow, and byte by byte."""

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import imagecodecs
import numpy as np
import PIL.Image
import tifffile

from .case import Case, Pixels, planes
from .picture import (
    ALPHA,
    DISC,
    GREY,
    GREY16,
    GREY_ALPHA,
    GREY_ALPHA16,
    INK,
    RGB,
    RGB16,
    RGBA,
    RGBA16,
    SMOOTH,
    indices,
    levels,
    palette_of,
    stretched,
    unturned,
)
from .png_files import saved
from .profiles import CMYK, GREY22, LARGE, SRGB, SWAPPED, WIDE, cmyk_plainly, cmyk_to_srgb
from .readers import libtiff, libtiff_planar, littlecms, negative, opencv, pillow, pillow_rgb, turned

_ORDERS = (('<', 'ii'), ('>', 'mm'))


def by_tifffile(samples: np.ndarray, **options: object) -> bytes:
    """Samples (H, W), (H, W, C) or, planar, (C, H, W); options are those of `tifffile.imwrite`."""
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **{'metadata': None, **options})
    return file.getvalue()


def by_bytes(tags: Mapping[int, tuple[int, Sequence[int]]], data: bytes, order: str = '<') -> bytes:
    """One page of one strip; tags are given with type (3 is 16 bits, 4 is 32) and values, but for the strip's."""
    codes = {1: 'B', 3: 'H', 4: 'I'}
    entries = {**tags, 273: (4, [8]), 279: (4, [len(data)])}
    directory, more = struct.pack(f'{order}H', len(entries)), b''
    at = 8 + len(data) + len(data) % 2
    after = at + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        value = struct.pack(f'{order}{len(values)}{codes[kind]}', *values)
        if len(value) > 4:
            more, value = more + value + bytes(len(value) % 2), struct.pack(f'{order}I', after + len(more))
        directory += struct.pack(f'{order}HHI', tag, kind, len(values)) + value.ljust(4, b'\0')
    start = (b'II' if order == '<' else b'MM') + struct.pack(f'{order}HI', 42, at)
    return start + data + bytes(len(data) % 2) + directory + bytes(4) + more


def packed(samples: np.ndarray, bits: int) -> bytes:
    """(H, W) samples, the highest bits first, each row filled up to bytes."""
    digits = (samples[..., None].astype(int) >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(digits.reshape(len(samples), -1), axis=1).tobytes()


def _page(samples: np.ndarray, bits: int, photometric: int, **more: tuple[int, Sequence[int]]) -> dict:
    height, width = samples.shape[:2]
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits]), 259: (3, [1]), 262: (3, [photometric])}
    return {**tags, 277: (3, [1]), 278: (4, [height]), **{int(tag[1:]): value for tag, value in more.items()}}


def _planar(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(np.moveaxis(pixels, 2, 0))


def _case(name, encode, pixels, second=libtiff, **more) -> Case:
    return Case(f'tiff-{name}.tif', 'TIFF', encode, planes(pixels), second, **more)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _depths()
    yield from _arrangements()
    yield from _compressions()
    yield from _alpha()
    yield from _palettes()
    yield from _inks()
    yield from _brightness_and_colour()
    yield from _jpeg()
    yield from _sizes()
    yield from _profiles()
    yield from _orientations()
    yield from _pages()


def _depths() -> Iterator[Case]:
    for order, name in _ORDERS:
        for bits in (1, 2, 4, 12):
            samples = levels(bits) if bits < 12 else np.rint(GREY16 / 65535 * 4095).astype(np.uint16)
            top = 2**bits - 1
            grey = stretched(samples, top)
            latitude = {'may': frozenset({'8 bits'}), 'most': 1} if bits == 12 else {}
            second = {1: pillow, 2: pillow, 4: pillow, 12: None}[bits]
            write = partial(by_bytes, _page(samples, bits, 1), packed(samples, bits), order)
            yield _case(f'grey{bits}-{name}', write, grey, second, **latitude)
            write = partial(by_bytes, _page(samples, bits, 0), packed(top - samples, bits), order)
            yield _case(f'grey{bits}-miniswhite-{name}', write, grey, second, **latitude)
        for samples, bits in ((GREY, 8), (GREY16, 16)):
            options = {'byteorder': order, 'photometric': 'minisblack'}
            yield _case(f'grey{bits}-{name}', partial(by_tifffile, samples, **options), samples)
            options['photometric'] = 'miniswhite'
            write = partial(by_tifffile, 2**bits - 1 - samples, **options)
            yield _case(f'grey{bits}-miniswhite-{name}', write, samples, negative)
    samples = levels(1)
    mirrored = np.packbits(np.unpackbits(np.frombuffer(packed(samples, 1), np.uint8)).reshape(-1, 8)[:, ::-1])
    write = partial(by_bytes, _page(samples, 1, 1, t266=(3, [2])), mirrored.tobytes())
    yield _case('grey1-lowest-bit-first', write, samples * 255, pillow)
    for compression in ('packbits', 'lzw', 'deflate'):
        write = partial(by_tifffile, samples > 0, photometric='miniswhite', compression=compression)
        yield _case(f'grey1-miniswhite-{compression}', write, 255 - samples * 255, pillow)
    bilevel = PIL.Image.fromarray(samples > 0)
    for compression in ('group3', 'group4', 'tiff_ccitt'):
        write = partial(saved, bilevel, 'TIFF', compression=compression)
        # some versions of imagecodecs cannot decode fax
        may = frozenset() if hasattr(imagecodecs, 'ccittfax3_decode') else frozenset({'refuse'})
        yield _case(f'grey1-{compression}', write, samples * 255, pillow, may=may)
    for bits in (2, 4, 12):
        top = 2**bits - 1
        samples = np.rint(RGB16 / 65535 * top).astype(np.uint16)
        tags = {**_page(samples, bits, 2), 258: (3, 3 * [bits]), 277: (3, [3])}
        write = partial(by_bytes, tags, packed(samples.reshape(40, -1), bits))
        latitude = {'may': frozenset({'8 bits', 'refuse'}), 'most': 1} if bits == 12 else {'may': frozenset({'refuse'})}
        yield _case(f'rgb{bits}', write, stretched(samples, top), None, **latitude)


def _arrangements() -> Iterator[Case]:
    """Chunky and planar, strips and tiles, byte order, BigTIFF."""
    for order, name in _ORDERS:
        for big in (False, True):
            for samples, bits in ((RGB, 8), (RGB16, 16)):
                options = {'photometric': 'rgb', 'byteorder': order, 'bigtiff': big}
                label = f'rgb{bits}-{name}{"-big" * big}'
                yield _case(label, partial(by_tifffile, samples, **options), samples)
                write = partial(by_tifffile, _planar(samples), planarconfig='separate', **options)
                yield _case(f'{label}-planar', write, samples, libtiff_planar)
    for samples, bits in ((RGB, 8), (RGB16, 16), (GREY16, 16)):
        kind = {'photometric': 'rgb' if samples.ndim == 3 else 'minisblack'}
        label = f'{"rgb" if samples.ndim == 3 else "grey"}{bits}'
        for rows in (1, 7, 40):
            yield _case(f'{label}-strips{rows}', partial(by_tifffile, samples, rowsperstrip=rows, **kind), samples)
        for tile in ((16, 16), (32, 48), (64, 64)):
            write = partial(by_tifffile, samples, tile=tile, **kind)
            yield _case(f'{label}-tiles{tile[1]}x{tile[0]}', write, samples)
    for samples, bits in ((RGB, 8), (RGB16, 16)):
        planar = {'photometric': 'rgb', 'planarconfig': 'separate'}
        write = partial(by_tifffile, _planar(samples), tile=(16, 32), compression='zlib', predictor=True, **planar)
        yield _case(f'rgb{bits}-planar-tiles-predictor', write, samples, libtiff_planar)
        write = partial(by_tifffile, _planar(samples), rowsperstrip=7, compression='lzw', byteorder='>', **planar)
        yield _case(f'rgb{bits}-planar-strips-lzw-mm', write, samples, libtiff_planar)


def _compressions() -> Iterator[Case]:
    for compression in ('lzw', 'packbits', 'deflate', 'adobe_deflate', 'zstd', 'lzma'):
        rare = compression == 'lzma'
        second, may = (None, {'refuse'}) if rare else (libtiff, {})
        for samples, bits in ((RGB, 8), (RGB16, 16)):
            options = {'photometric': 'rgb', 'compression': compression, 'rowsperstrip': 16}
            write = partial(by_tifffile, samples, **options)
            yield _case(f'rgb{bits}-{compression}', write, samples, second, may=frozenset(may))
    for compression in ('lzw', 'deflate', 'zstd'):
        for order, name in _ORDERS:
            for samples, kind in ((RGB, 'rgb8'), (RGB16, 'rgb16'), (GREY16, 'grey16')):
                options = {'photometric': 'rgb' if samples.ndim == 3 else 'minisblack', 'byteorder': order}
                write = partial(by_tifffile, samples, compression=compression, predictor=True, **options)
                yield _case(f'{kind}-{compression}-predictor-{name}', write, samples)
    for compression in ('tiff_lzw', 'tiff_adobe_deflate', 'packbits', 'zstd'):
        write = partial(saved, RGB, 'TIFF', compression=compression)
        yield _case(f'rgb8-by-pillow-{compression}', write, RGB)
    for compression, arguments, second in (
        ('webp', {'lossless': True}, libtiff),
        ('jpeg2000', {'level': 0}, None),
        ('png', None, None),
        ('jpegxl', {'lossless': True}, None),
    ):
        options = {'photometric': 'rgb', 'compression': compression, 'compressionargs': arguments}
        write = partial(by_tifffile, RGB, **options)
        yield _case(f'rgb8-{compression}', write, RGB, second, may=frozenset({'refuse'}))


def _multiplied(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """Colours multiplied by alpha and rounded, and the colours that can be had back of that."""
    top = np.iinfo(pixels.dtype).max
    colours, alpha = pixels[..., :-1].astype(np.float64), pixels[..., -1:].astype(np.float64)
    multiplied = np.rint(colours * alpha / top)
    back = np.rint(multiplied * top / np.maximum(alpha, 1)).clip(0, top)
    return (np.dstack([values, alpha]).astype(pixels.dtype) for values in (multiplied, back))


def _alpha() -> Iterator[Case]:
    grey, colour = {'photometric': 'minisblack'}, {'photometric': 'rgb'}
    for pixels, kind, options in (
        (GREY_ALPHA, 'grey-alpha8', {**grey, 'planarconfig': 'contig'}),
        (GREY_ALPHA16, 'grey-alpha16', {**grey, 'planarconfig': 'contig'}),
        (RGBA, 'rgba8', colour),
        (RGBA16, 'rgba16', colour),
    ):
        multiplied, back = _multiplied(pixels)
        for order, name in _ORDERS:
            for big in (False, True):
                more = {**options, 'byteorder': order, 'bigtiff': big}
                label = f'{kind}-{name}{"-big" * big}'
                write = partial(by_tifffile, pixels, extrasamples=['unassalpha'], **more)
                yield _case(f'{label}-unassociated', write, pixels)
                write = partial(by_tifffile, multiplied, extrasamples=['assocalpha'], **more)
                second = pillow if kind == 'rgba8' and not big else None
                yield _case(f'{label}-associated', write, back, second, most=1)
        planar = {**options, 'planarconfig': 'separate'}
        write = partial(by_tifffile, _planar(pixels), extrasamples=['unassalpha'], **planar)
        yield _case(f'{kind}-planar', write, pixels, libtiff_planar)
        write = partial(by_tifffile, _planar(multiplied), extrasamples=['assocalpha'], compression='lzw', **planar)
        yield _case(f'{kind}-planar-associated-lzw', write, back, None, most=1)
        tiled = {'tile': (16, 16), 'compression': 'zlib', 'predictor': True}
        write = partial(by_tifffile, pixels, extrasamples=['unassalpha'], **tiled, **options)
        yield _case(f'{kind}-tiles-predictor', write, pixels)
    binary = np.dstack([RGB, DISC])
    multiplied, back = _multiplied(binary)
    for samples, extra in ((binary, 'unassalpha'), (multiplied, 'assocalpha')):
        write = partial(by_tifffile, samples, extrasamples=[extra], **colour)
        yield _case(f'rgba8-binary-{extra}', write, back, pillow)
    yield _case('rgba8-by-pillow', partial(saved, RGBA, 'TIFF'), RGBA)
    yield _case('grey-alpha8-by-pillow', partial(saved, PIL.Image.fromarray(GREY_ALPHA), 'TIFF'), GREY_ALPHA)
    white = np.dstack([255 - GREY, ALPHA])
    write = partial(by_tifffile, white, photometric='miniswhite', planarconfig='contig', extrasamples=['unassalpha'])
    yield _case('grey-alpha8-miniswhite', write, GREY_ALPHA, None)


def _palettes() -> Iterator[Case]:
    for bits in (1, 2, 4, 8):
        size = 2**bits
        chosen, palette = indices(size), palette_of(size)
        table = (3, (palette.T.astype(int) * 257).ravel().tolist())
        for order, name in _ORDERS:
            write = partial(by_bytes, _page(chosen, bits, 3, t320=table), packed(chosen, bits), order)
            yield _case(f'palette{bits}-{name}', write, palette[chosen], pillow)
    table = (3, palette.T.ravel().tolist())  # some programs write 8 bits
    write = partial(by_bytes, _page(chosen, 8, 3, t320=table), packed(chosen, 8))
    yield _case('palette8-of-8-bits', write, palette[chosen], opencv)
    colormap = palette.T.astype(np.uint16) * 257
    options = {'photometric': 'palette', 'colormap': colormap, 'compression': 'lzw', 'tile': (16, 16)}
    yield _case('palette8-tiles-lzw', partial(by_tifffile, chosen, **options), palette[chosen], pillow)


def _inks() -> Iterator[Case]:
    plain, by_profile = cmyk_plainly(INK), cmyk_to_srgb(INK)
    may = frozenset({'srgb'})
    ink = {'photometric': 'separated'}
    for order, name in _ORDERS:
        write = partial(by_tifffile, INK, byteorder=order, **ink)
        yield _case(f'cmyk8-{name}', write, plain, pillow_rgb, most=2, may=may)
        write = partial(by_tifffile, INK, byteorder=order, iccprofile=CMYK, compression='lzw', predictor=True, **ink)
        yield _case(f'cmyk8-icc-lzw-{name}', write, by_profile, littlecms, most=8, may=may)
    write = partial(by_tifffile, _planar(INK), planarconfig='separate', **ink)
    yield _case('cmyk8-planar', write, plain, pillow_rgb, most=2, may=may)
    write = partial(by_tifffile, _planar(INK), planarconfig='separate', iccprofile=CMYK, **ink)
    yield _case('cmyk8-planar-icc', write, by_profile, None, most=8, may=may)
    write = partial(by_tifffile, INK, tile=(16, 32), compression='zlib', iccprofile=CMYK, bigtiff=True, **ink)
    yield _case('cmyk8-icc-tiles-big', write, by_profile, littlecms, most=8, may=may)
    write = partial(saved, PIL.Image.fromarray(INK, 'CMYK'), 'TIFF', icc_profile=CMYK)
    yield _case('cmyk8-icc-by-pillow', write, by_profile, littlecms, most=8, may=may)


def _brightness_and_colour() -> Iterator[Case]:
    """YCbCr without JPEG, and L*a*b*."""
    ycc = np.asarray(PIL.Image.fromarray(SMOOTH).convert('YCbCr'))
    close = {'most': 4, 'may': frozenset({'refuse'})}
    for order, name in _ORDERS:
        tags = _page(ycc, 8, 6, t258=(3, [8, 8, 8]), t277=(3, [3]), t530=(3, [1, 1]), t531=(3, [1]))
        yield _case(f'ycbcr8-{name}', partial(by_bytes, tags, ycc.tobytes(), order), SMOOTH, opencv, **close)
    blocks = ycc.reshape(20, 2, 28, 2, 3).swapaxes(1, 2).reshape(20, 28, 4, 3)
    units = np.concatenate([blocks[..., 0], np.rint(blocks[..., 1:].mean(2)).astype(np.uint8)], axis=2)
    tags = _page(ycc, 8, 6, t258=(3, [8, 8, 8]), t277=(3, [3]), t530=(3, [2, 2]), t531=(3, [1]))
    close['most'] = 12
    yield _case('ycbcr8-420', partial(by_bytes, tags, units.tobytes()), SMOOTH, None, **close)
    lab = PIL.Image.fromarray(np.full((40, 56, 3), (128, 0, 0), np.uint8), 'LAB')
    middle = np.full((40, 56, 3), 119, np.uint8)  # L* = 50
    yield _case('lab8', partial(saved, lab, 'TIFF'), middle, None, most=3, may=frozenset({'refuse', 'srgb'}))


def _jpeg() -> Iterator[Case]:
    lossy = {'most': 12, 'mean': 2.5, 'near': 3}
    write = partial(saved, SMOOTH, 'TIFF', compression='jpeg', quality=97)
    yield _case('jpeg-by-pillow', write, SMOOTH, pillow_rgb, **lossy)
    grey = np.ascontiguousarray(SMOOTH[..., 1])
    write = partial(saved, grey, 'TIFF', compression='jpeg', quality=97)
    yield _case('jpeg-grey-by-pillow', write, grey, pillow, **lossy)
    part = np.ascontiguousarray(SMOOTH[:32, :48])  # whole tiles
    for name, options in (('strips', {'rowsperstrip': 16}), ('tiles', {'tile': (16, 16)})):
        options = {'photometric': 'rgb', 'compression': 'jpeg', **options}
        write = partial(by_tifffile, part, compressionargs={'level': 97}, subsampling=(1, 1), **options)
        yield _case(f'jpeg-ycbcr-{name}', write, part, pillow_rgb, **lossy)
        write = partial(by_tifffile, part, compressionargs={'level': 97}, subsampling=(2, 2), byteorder='>', **options)
        yield _case(f'jpeg-ycbcr-420-{name}-mm', write, part, pillow_rgb, **lossy)
        arguments = {'level': 97, 'colorspace': 'rgb', 'outcolorspace': 'rgb'}
        write = partial(by_tifffile, part, compressionargs=arguments, **options)
        yield _case(f'jpeg-rgb-{name}', write, part, pillow_rgb, **lossy)


def _sizes() -> Iterator[Case]:
    for height, width in ((1, 1), (1, 7), (7, 1), (3, 3), (4, 4), (3, 5), (4, 1), (37, 53)):
        for samples, kind in ((GREY16, 'grey16'), (RGB, 'rgb8'), (RGBA16, 'rgba16')):
            part = np.ascontiguousarray(samples[:height, -width:])
            options = {'photometric': 'rgb' if samples.ndim == 3 else 'minisblack'}
            options |= {'extrasamples': ['unassalpha']} if kind == 'rgba16' else {}
            yield _case(f'{kind}-{width}x{height}', partial(by_tifffile, part, **options), part, opencv)
            if kind == 'rgb8':
                write = partial(by_tifffile, _planar(part), planarconfig='separate', **options)
                yield _case(f'{kind}-planar-{width}x{height}', write, part, pillow)
            if kind == 'grey16':
                write = partial(by_tifffile, part, metadata={}, compression='zlib', predictor=True, **options)
                yield _case(f'{kind}-described-{width}x{height}', write, part, opencv)


def _profiles() -> Iterator[Case]:
    for name, profile in (('srgb', SRGB), ('wide', WIDE), ('swapped', SWAPPED), ('large', LARGE)):
        for samples, bits in ((RGB, 8), (RGB16, 16)):
            write = partial(by_tifffile, samples, photometric='rgb', iccprofile=profile)
            yield _case(f'rgb{bits}-icc-{name}', write, samples, opencv, profile=profile)
    write = partial(by_tifffile, RGBA16, photometric='rgb', extrasamples=['unassalpha'], iccprofile=WIDE, bigtiff=True)
    yield _case('rgba16-icc-wide-big', write, RGBA16, opencv, profile=WIDE)
    for samples, bits in ((GREY, 8), (GREY16, 16)):
        write = partial(by_tifffile, samples, photometric='minisblack', iccprofile=GREY22, byteorder='>')
        yield _case(f'grey{bits}-icc', write, samples, opencv, profile=GREY22)
    write = partial(by_tifffile, RGB, photometric='rgb', iccprofile=GREY22)
    yield _case('rgb8-icc-of-grey', write, RGB)
    write = partial(saved, RGB, 'TIFF', compression='tiff_lzw', icc_profile=WIDE)
    yield _case('rgb8-icc-by-pillow', write, RGB, opencv, profile=WIDE)


def _orientations() -> Iterator[Case]:
    for orientation in range(1, 9):
        tag = {'extratags': [(274, 'H', 1, orientation, True)]}
        write = partial(by_tifffile, unturned(RGB, orientation), photometric='rgb', **tag)
        yield _case(f'rgb8-orientation{orientation}', write, RGB, pillow)
        write = partial(by_tifffile, unturned(GREY16, orientation), photometric='minisblack', **tag)
        yield _case(f'grey16-orientation{orientation}', write, GREY16, turned(libtiff))
    tag = {'extratags': [(274, 'H', 1, 6, True)]}
    options = {'photometric': 'rgb', 'planarconfig': 'separate', 'extrasamples': ['unassalpha']}
    write = partial(by_tifffile, _planar(unturned(RGBA16, 6)), **options, **tag)
    yield _case('rgba16-planar-orientation6', write, RGBA16, turned(libtiff_planar))


def _pages() -> Iterator[Case]:
    """The first page is the picture."""

    def pages(*images: np.ndarray, **options: object) -> bytes:
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            for image in images:
                writer.write(image, photometric='rgb' if image.ndim == 3 else 'minisblack', metadata=None, **options)
        return file.getvalue()

    def pyramid() -> bytes:
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            writer.write(RGB16, photometric='rgb', subifds=1, metadata=None)
            writer.write(RGB16[::2, ::2], photometric='rgb', subfiletype=1, metadata=None)
        return file.getvalue()

    def case(name, encode, *pages: Pixels) -> Case:
        first, *later = map(planes, pages)
        return Case(f'tiff-{name}.tif', 'TIFF pages', encode, first, opencv, later=tuple(later))

    flipped, grey = np.ascontiguousarray(RGB16[::-1]), np.stack([GREY16, GREY16[::-1]])
    yield case('pages-rgb16', partial(pages, RGB16, flipped), RGB16, flipped)
    yield case('pages-of-two-sizes', partial(pages, RGB16, flipped[:20]), RGB16, flipped[:20])
    yield case('pages-of-two-kinds', partial(pages, GREY, RGB), GREY, RGB)
    yield case('pages-smaller-picture-within', pyramid, RGB16)
    yield case('pages-described', partial(by_tifffile, grey, photometric='minisblack', metadata={}), *grey)
    yield case('pages-imagej', partial(by_tifffile, grey, imagej=True, metadata={}), *grey)
    three = np.ascontiguousarray(np.moveaxis(RGB, 2, 0))
    yield case('pages-three-grey', partial(by_tifffile, three, photometric='minisblack'), *three)
