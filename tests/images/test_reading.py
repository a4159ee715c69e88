"""Image files in: every kind of picture comes out as it was stored, or is refused by name."""

import functools
import io
import logging
import os
import struct
import sys
import threading
import time
import warnings
import zlib

import cv2
import imagecodecs
import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import PIL.PngImagePlugin
import PIL.TiffImagePlugin
import pytest
import tifffile

from asid_plugin.images import Header, ImageError, read_frames, read_header, read_image, write_image
from asid_plugin.images.readers.png import PngReader

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (20, 24), dtype=np.uint8)
ALPHA[0, 0] = 0
GREY = RGB[..., 0].copy()
RGB16 = RNG.integers(0, 65536, (20, 24, 3), dtype=np.uint16)
ALPHA16 = RNG.integers(0, 65536, (20, 24), dtype=np.uint16)
GREY16 = RGB16[..., 0].copy()
SMOOTH = cv2.GaussianBlur(RGB, (0, 0), 2)


def same(image, want):
    """The pixels and their type are those of an array, whose channel axis may be missing."""
    assert image.pixels.dtype == want.dtype and image.pixels.flags['C_CONTIGUOUS']
    np.testing.assert_array_equal(image.pixels, want[..., None] if want.ndim == 2 else want)


def near(image, want, tolerance):
    assert image.pixels.dtype == want.dtype
    want = np.atleast_3d(want)
    assert image.pixels.shape == want.shape
    assert np.abs(image.pixels.astype(int) - want).max() <= tolerance


def pillow(tmp_path, pixels, name, mode=None, **options):
    picture = pixels if isinstance(pixels, PIL.Image.Image) else PIL.Image.fromarray(pixels, mode)
    picture.save(tmp_path / name, **options)
    return read_image(tmp_path / name)


def tiff(tmp_path, pixels, **options):
    tifffile.imwrite(tmp_path / 'a.tif', pixels, **options)
    return read_image(tmp_path / 'a.tif')


def packed(tmp_path, samples, bits, **options):
    """A TIFF of samples of any number of bits; tifffile leaves packing them to some versions of imagecodecs."""
    digits = (samples[..., None] >> np.arange(bits)[::-1]) & 1
    rows = np.packbits(digits.reshape(len(samples), -1).astype(np.uint8), axis=1)
    dtype = bool if bits == 1 else samples.dtype
    layout = {'shape': samples.shape, 'dtype': dtype, 'bitspersample': bits, 'rowsperstrip': len(samples)}
    tifffile.imwrite(tmp_path / 'a.tif', iter([rows.tobytes()]), **layout, **options)
    return read_image(tmp_path / 'a.tif')


def content(tmp_path, data, name='a.png'):
    (tmp_path / name).write_bytes(data)
    return read_image(tmp_path / name)


def png(pixels, depth, kind, interlaced=False, **options):
    writer = pytest.importorskip('png').Writer
    height, width = pixels.shape[:2]
    file = io.BytesIO()
    layout = {'greyscale': kind in ('L', 'LA'), 'alpha': kind in ('LA', 'RGBA')}
    writer(width, height, bitdepth=depth, interlace=interlaced, **layout, **options).write(
        file, pixels.reshape(height, -1).tolist()
    )
    return file.getvalue()


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


@functools.cache  # a profile holds the second in which it was made
def profile(space=b'RGB '):
    data = bytearray(PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile('sRGB')).tobytes())
    data[16:20] = space
    return bytes(data)


class TestTiff:
    @pytest.mark.parametrize('order', ['<', '>'])
    @pytest.mark.parametrize('bigtiff', [False, True])
    def test_separate_planes(self, tmp_path, order, bigtiff):
        planes = np.moveaxis(RGB16, 2, 0)
        options = {'byteorder': order, 'bigtiff': bigtiff}
        same(tiff(tmp_path, planes, photometric='rgb', planarconfig='separate', **options), RGB16)
        planes = np.moveaxis(np.dstack([RGB, ALPHA]), 2, 0)
        options |= {'extrasamples': ['unassalpha'], 'tile': (16, 16), 'compression': 'lzw', 'predictor': True}
        got = tiff(tmp_path, planes, photometric='rgb', planarconfig='separate', **options)
        same(got, np.dstack([RGB, ALPHA]))

    @pytest.mark.parametrize('grey', [GREY, GREY16])
    def test_white_that_is_zero(self, tmp_path, grey):
        top = np.iinfo(grey.dtype).max
        same(tiff(tmp_path, top - grey, photometric='miniswhite'), grey)
        opacity = np.roll(grey, 3, axis=0)
        stored = np.dstack([top - grey, opacity])
        got = tiff(tmp_path, stored, photometric='miniswhite', planarconfig='contig', extrasamples=['unassalpha'])
        same(got, np.dstack([grey, opacity]))

    @pytest.mark.parametrize('order', ['<', '>'])
    @pytest.mark.parametrize('bigtiff', [False, True])
    def test_alpha_beside_colours(self, tmp_path, order, bigtiff):
        options = {'photometric': 'rgb', 'extrasamples': ['unassalpha'], 'byteorder': order, 'bigtiff': bigtiff}
        same(tiff(tmp_path, np.dstack([RGB, ALPHA]), **options), np.dstack([RGB, ALPHA]))
        same(tiff(tmp_path, np.dstack([RGB16, ALPHA16]), **options), np.dstack([RGB16, ALPHA16]))

    @pytest.mark.parametrize('bigtiff', [False, True])
    @pytest.mark.parametrize(('colour', 'alpha'), [(RGB, ALPHA), (RGB16, ALPHA16), (GREY, ALPHA)])
    def test_colours_multiplied_by_alpha(self, tmp_path, bigtiff, colour, alpha):
        top = np.iinfo(colour.dtype).max
        colour, alpha = np.atleast_3d(colour), np.maximum(alpha, top // 2)
        stored = np.rint(colour * (alpha[..., None] / top)).astype(colour.dtype)
        photometric = 'rgb' if colour.shape[2] == 3 else 'minisblack'
        options = {'photometric': photometric, 'extrasamples': ['assocalpha'], 'bigtiff': bigtiff}
        got = tiff(tmp_path, np.dstack([stored, alpha]), planarconfig='contig', **options)
        near(got, np.dstack([colour, alpha]), 1)

    def test_colours_beyond_their_alpha_and_under_none(self, tmp_path):
        half = np.full((4, 4, 4), 32768, np.uint16)
        half[0] = 0
        got = tiff(tmp_path, half, photometric='rgb', extrasamples=['assocalpha'])
        assert got.pixels[1, 0].tolist() == [65535, 65535, 65535, 32768] and not got.pixels[0].any()

    def test_a_fourth_channel(self, tmp_path):
        """It is opacity where nothing is said, as OpenCV writes it; where it is said to be none of these, it is not."""
        cv2.imwrite(str(tmp_path / 'a.tif'), np.dstack([RGB[..., ::-1], ALPHA]))
        with tifffile.TiffFile(tmp_path / 'a.tif') as file:
            assert 'ExtraSamples' not in file.pages[0].tags
        same(read_image(tmp_path / 'a.tif'), np.dstack([RGB, ALPHA]))
        got = tiff(tmp_path, np.dstack([RGB, ALPHA]), photometric='rgb', extrasamples=['unspecified'])
        same(got, RGB)
        assert got.notes == ('a channel that is neither colour nor opacity',)

    def test_grey_with_alpha(self, tmp_path):
        for grey, alpha in ((GREY, ALPHA), (GREY16, ALPHA16)):
            stored = np.dstack([grey, alpha])
            got = tiff(tmp_path, stored, photometric='minisblack', planarconfig='contig', extrasamples=['unassalpha'])
            same(got, stored)

    @pytest.mark.parametrize('bits', [1, 2, 4, 6, 10, 12, 14])
    def test_other_depths(self, tmp_path, bits):
        top = 2**bits - 1
        stored = (RGB16[..., 0] >> (16 - bits)).astype(np.uint8 if bits <= 8 else np.uint16)
        white = 255 if bits <= 8 else 65535
        want = np.floor(stored * (white / top) + 0.5).astype(stored.dtype)
        same(packed(tmp_path, stored, bits, photometric='minisblack'), want)
        if bits == 1:
            same(packed(tmp_path, stored, 1, photometric='miniswhite'), 255 - want)

    @pytest.mark.parametrize('compression', ['lzw', 'packbits', 'deflate', 'zstd', 'lzma'])
    @pytest.mark.parametrize('options', [{}, {'tile': (16, 16)}, {'rowsperstrip': 7, 'byteorder': '>'}])
    def test_compressions(self, tmp_path, compression, options):
        for pixels in (RGB, RGB16):
            same(tiff(tmp_path, pixels, photometric='rgb', compression=compression, **options), pixels)
            if compression != 'packbits':
                options = {**options, 'predictor': True}
                same(tiff(tmp_path, pixels, photometric='rgb', compression=compression, **options), pixels)

    @pytest.mark.parametrize('subsampling', [(1, 1), (2, 2)])
    @pytest.mark.parametrize('options', [{}, {'tile': (16, 16)}])
    def test_jpeg_within(self, tmp_path, subsampling, options):
        smooth = cv2.resize(SMOOTH, (96, 80), interpolation=cv2.INTER_CUBIC)
        got = tiff(
            tmp_path,
            smooth,
            photometric='rgb',
            compression='jpeg',
            compressionargs={'level': 98},
            subsampling=subsampling,
            **options,
        )
        near(got, smooth, 12)
        assert np.abs(got.pixels.astype(int) - smooth).mean() < 1.5

    def test_jpeg_by_libtiff(self, tmp_path):
        """Pillow writes YCbCr with tables apart."""
        near(pillow(tmp_path, SMOOTH, 'a.tif', compression='jpeg', quality=98), SMOOTH, 40)

    @pytest.mark.skipif(not hasattr(imagecodecs, 'ccittfax3_decode'), reason='imagecodecs has no fax')
    @pytest.mark.parametrize('mode', ['group3', 'group4', 'tiff_ccitt'])
    def test_fax(self, tmp_path, mode):
        got = pillow(tmp_path, PIL.Image.fromarray(GREY > 128), 'a.tif', compression=mode)
        same(got, np.where(GREY > 128, 255, 0).astype(np.uint8))

    @pytest.mark.parametrize('bits', [1, 2, 4, 8])
    def test_palettes(self, tmp_path, bits):
        colours = RNG.integers(0, 256, (3, 2**bits)).astype(np.uint16)
        index = GREY >> (8 - bits)
        want = colours.T[index].astype(np.uint8)
        for factor in (257, 256, 1):
            stored = colours * factor
            table = [(320, 3, stored.size, stored.ravel().tolist(), True)]
            packed(tmp_path, index, bits, photometric='minisblack', extratags=table)
            with tifffile.TiffFile(tmp_path / 'a.tif', mode='r+') as file:
                file.pages[0].tags['PhotometricInterpretation'].overwrite(3)
            same(read_image(tmp_path / 'a.tif'), want)

    @pytest.mark.parametrize('compression', [None, 'lzw'])
    def test_inks(self, tmp_path, compression):
        inks = np.asarray(PIL.Image.fromarray(SMOOTH).convert('CMYK'))
        got = tiff(tmp_path, inks, photometric='separated', compression=compression)
        same(got, np.asarray(PIL.Image.fromarray(inks, 'CMYK').convert('RGB')))
        assert got.notes == ('CMYK converted to RGB',)

    @pytest.mark.parametrize(
        ('pixels', 'options', 'reason'),
        [
            (RGB.astype(np.float16), {'photometric': 'rgb'}, 'float16'),
            (GREY.astype(np.float32), {'photometric': 'minisblack'}, 'float32'),
            (GREY.astype(np.int16), {'photometric': 'minisblack'}, 'signed'),
            (GREY.astype(np.uint32), {'photometric': 'minisblack'}, '32 bits'),
            (np.dstack([RGB16, GREY16]), {'photometric': 'separated'}, 'CMYK of 16 bits'),
            (np.dstack([RGB, RGB[..., :2]]), {'photometric': 'rgb'}, '5 bands'),
            (np.dstack([RGB, RGB[..., :2]]), {'photometric': 'minisblack', 'planarconfig': 'contig'}, '5 bands'),
            (np.dstack([RGB, RGB[..., :2]]), {'photometric': 'separated'}, '5 bands'),
            (RGB, {'photometric': 'cielab'}, 'CIELab'),
            (RGB, {'photometric': 'ycbcr'}, 'YCbCr without JPEG'),
            (GREY16, {'photometric': 'cfa'}, 'camera raw'),
        ],
    )
    def test_kinds_that_are_refused(self, tmp_path, pixels, options, reason):
        for read in (lambda path: tifffile.imwrite(path, pixels, **options), read_header, read_image):
            if read in (read_header, read_image):
                with pytest.raises(ImageError, match=rf'a\.tif: not supported: .*{reason}'):
                    read(tmp_path / 'a.tif')
            else:
                read(tmp_path / 'a.tif')

    def test_camera_raw_is_not_its_thumbnail(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / 'a.dng') as file:
            file.write(RGB, photometric='rgb', subfiletype=1, extratags=[(50706, 1, 4, b'\1\4\0\0', True)])
        with pytest.raises(ImageError, match='not supported: camera raw'):
            read_image(tmp_path / 'a.dng')

    def test_metadata(self, tmp_path):
        wide = profile()
        exif = PIL.Image.Exif()
        exif[315], exif[306] = 'Anna', '2024:01:02 03:04:05'
        exif[0x8769], exif[0x8825] = {0x9003: '2023:01:02 03:04:05'}, {1: 'N'}
        exif[700] = xmp = b'<x:xmpmeta><a tiff:Orientation="6"/></x:xmpmeta>'
        exif.load(exif.tobytes())
        options = {'icc_profile': wide, 'dpi': (300, 200), 'exif': exif}
        for bigtiff in (False, True):
            got = pillow(tmp_path, RGB, 'a.tif', big_tiff=bigtiff, **options).metadata
            assert (got.profile, got.dpi) == (wide, (300, 200))
            assert got.xmp == xmp.replace(b'6', b'1')
            found = PIL.Image.Exif()
            found.load(got.exif)
            assert dict(found.items()).items() >= {315: 'Anna', 306: '2024:01:02 03:04:05'}.items()
            assert found.get_ifd(0x8769) == {0x9003: '2023:01:02 03:04:05'} and found.get_ifd(0x8825) == {1: 'N'}
            assert not {256, 257, 258, 259, 273, 279, 34675} & set(found), 'tags of storage'
        assert tiff(tmp_path, RGB16, photometric='rgb', iccprofile=wide).metadata.profile == wide
        records = b'\x1c\2\5\0\3A B'
        for kind, count in ((7, 8), (1, 8), (4, 2)):  # bytes, of which some programs say that they are numbers
            got = tiff(tmp_path, RGB, photometric='rgb', extratags=[(33723, kind, count, records, True)], byteorder='<')
            assert got.metadata.iptc == records
        for order in ('<', '>'):
            tags = [(315, 2, 5, 'Anna', True)]
            got = tiff(tmp_path, RGB, photometric='rgb', bigtiff=True, byteorder=order, extratags=tags)
            assert b'Anna' in got.metadata.exif and not got.notes
        got = tiff(tmp_path, RGB, photometric='rgb', resolution=(100, 100), resolutionunit='CENTIMETER')
        np.testing.assert_allclose(got.metadata.dpi, 254)
        assert got.metadata.exif is None or b'shape' not in got.metadata.exif

    def test_pages(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / 'a.tif') as file:
            file.write(RGB, photometric='rgb')
            file.write(RGB[::2, ::2], photometric='rgb', subfiletype=1)
            file.write(GREY16[:7], photometric='minisblack')
            file.write(GREY > 128, photometric='mask', subfiletype=4)
        assert read_header(tmp_path / 'a.tif') == Header('TIFF', 20, 24, 2, channels=3, sizes=((20, 24), (7, 24)))
        first, second = read_frames(tmp_path / 'a.tif')
        same(first, RGB)
        same(second, GREY16[:7])
        same(read_image(tmp_path / 'a.tif'), RGB)

    @pytest.mark.parametrize('compression', [None, 'lzw', 'packbits', 'deflate', 'jpeg'])
    @pytest.mark.parametrize('options', [{}, {'tile': (16, 16)}, {'rowsperstrip': 4}])
    def test_missing_strips_and_tiles(self, tmp_path, compression, options):
        path = tmp_path / 'a.tif'
        tifffile.imwrite(path, RGB, photometric='rgb', compression=compression, **options)
        data = path.read_bytes()
        for missing in (1, 40, len(data) // 2):
            with pytest.raises(ImageError, match='cut short'):
                content(tmp_path, data[:-missing], 'b.tif')
        with tifffile.TiffFile(path, mode='r+') as file:
            tag = file.pages[0].tags.get('StripByteCounts') or file.pages[0].tags['TileByteCounts']
            counts = list(tag.value)
            tag.overwrite([*counts[:-1], 0])
        with pytest.raises(ImageError, match='cut short'):
            read_image(path)

    @pytest.mark.parametrize('compression', ['lzw', 'packbits', 'deflate', None])
    def test_strips_that_end_early(self, tmp_path, compression):
        path = tmp_path / 'a.tif'
        tifffile.imwrite(path, RGB, photometric='rgb', compression=compression, rowsperstrip=10)
        with tifffile.TiffFile(path, mode='r+') as file:
            tag = file.pages[0].tags['StripByteCounts']
            tag.overwrite([tag.value[0] // 2, tag.value[1]])
        with pytest.raises(ImageError, match='cut short'):
            read_image(path)


class TestPng:
    @pytest.mark.parametrize('interlaced', [False, True])
    @pytest.mark.parametrize(
        ('kind', 'pixels'),
        [
            ('L', GREY16),
            ('LA', np.dstack([GREY16, ALPHA16])),
            ('RGB', RGB16),
            ('RGBA', np.dstack([RGB16, ALPHA16])),
        ],
    )
    def test_16_bits(self, tmp_path, kind, pixels, interlaced, capfd):
        same(content(tmp_path, png(pixels, 16, kind, interlaced)), pixels)
        assert capfd.readouterr().err == ''

    @pytest.mark.parametrize('interlaced', [False, True])
    @pytest.mark.parametrize('depth', [1, 2, 4, 8, 16])
    def test_a_grey_that_is_transparent(self, tmp_path, depth, interlaced):
        stored = (GREY16 >> (16 - depth)).astype(np.uint16)
        grey = (stored * ((255 if depth < 16 else 65535) // (2**depth - 1))).astype(
            np.uint8 if depth < 16 else np.uint16
        )
        clear = int(stored[3, 3])
        alpha = np.where(stored == clear, 0, np.iinfo(grey.dtype).max).astype(grey.dtype)
        same(content(tmp_path, png(stored, depth, 'L', interlaced)), grey)
        same(content(tmp_path, png(stored, depth, 'L', interlaced, transparent=clear)), np.dstack([grey, alpha]))

    @pytest.mark.parametrize('interlaced', [False, True])
    @pytest.mark.parametrize('pixels', [RGB, RGB16])
    def test_a_colour_that_is_transparent(self, tmp_path, pixels, interlaced):
        pixels = pixels.copy()
        pixels[5:9, 2:7] = clear = pixels[5, 2]
        pixels[0, 0] = [*clear[:2], clear[2] ^ 1]
        alpha = np.where((pixels == clear).all(axis=2), 0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
        assert 20 <= (alpha == 0).sum() < 30
        data = png(pixels, 8 * pixels.itemsize, 'RGB', interlaced, transparent=tuple(clear.tolist()))
        same(content(tmp_path, data), np.dstack([pixels, alpha]))

    def test_8_bits(self, tmp_path):
        for pixels in (GREY, np.dstack([GREY, ALPHA]), RGB, np.dstack([RGB, ALPHA]), RGB[:1, :1]):
            same(pillow(tmp_path, pixels, 'a.png'), pixels)

    @pytest.mark.parametrize('bits', [1, 2, 4, 8])
    def test_palettes(self, tmp_path, bits):
        palette = PIL.Image.fromarray(RGB).quantize(2**bits)
        index = np.asarray(palette)
        colours = np.asarray(palette.convert('RGB'))
        same(pillow(tmp_path, palette, 'a.png'), colours)
        some = np.where(index == 1, 0, 255).astype(np.uint8)
        same(pillow(tmp_path, palette, 'b.png', transparency=1), np.dstack([colours, some]))
        table = RNG.integers(0, 256, 2**bits, dtype=np.uint8)
        got = pillow(tmp_path, palette, 'c.png', transparency=table.tobytes())
        same(got, np.dstack([colours, table[index]]))

    @pytest.mark.parametrize('clear', [0, 1])
    def test_black_or_white_that_is_transparent(self, tmp_path, clear):
        """Pillow has called white 1, and later 255."""
        stored = (GREY > 128).astype(np.uint8)
        want = np.dstack([255 * stored, np.where(stored == clear, 0, 255).astype(np.uint8)])
        same(content(tmp_path, png(stored, 1, 'L', transparent=clear)), want)
        with (tmp_path / 'a.png').open('rb') as file, PIL.Image.open(file) as picture:
            for white in (1, 255):
                picture.info['transparency'] = clear * white
                assert PngReader().clear_colour(picture, file) == 255 * clear

    @pytest.mark.parametrize(
        ('chunks', 'note'),
        [
            ({b'cICP': bytes([9, 16, 0, 1])}, 'colours of BT.2020 in PQ (HDR) are not converted'),
            ({b'cICP': bytes([12, 13, 0, 1]), b'sRGB': b'\0'}, 'colours of Display P3 are not converted'),
            ({b'cICP': bytes([1, 13, 0, 0])}, 'colours of the code points 1, 13, 0, 0 are not converted'),
            ({b'cICP': bytes([1, 13, 0, 1]), b'cHRM': bytes(32)}, None),
            ({b'cHRM': struct.pack('>8I', 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)}, None),
            (
                {b'cHRM': struct.pack('>8I', 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)},
                'colours with other primaries than sRGB are not converted',
            ),
            ({b'cHRM': struct.pack('>8I', *[31270, 32900] * 4), b'sRGB': b'\0'}, None),
            ({b'cHRM': struct.pack('>8I', *[31270, 32900] * 4), b'iCCP': b'p\0\0' + zlib.compress(profile())}, None),
            ({b'iCCP': b'p\0\0garbage'}, 'a damaged iCCP chunk'),
            ({b'iCCP': b'p\0\1garbage'}, 'a damaged iCCP chunk'),
            ({b'iCCP': b'p\0\0' + zlib.compress(b'garbage' * 30)}, 'a damaged colour profile'),
            ({b'pHYs': b'1'}, 'a damaged pHYs chunk'),
        ],
    )
    @pytest.mark.parametrize('pixels', [RGB, RGB16])
    def test_colours_and_descriptions_that_cannot_be_kept_are_told(self, tmp_path, pixels, chunks, note, capfd):
        data = png(pixels, 8 * pixels.itemsize, 'RGB')
        got = content(tmp_path, data[:33] + b''.join(chunk(*parts) for parts in chunks.items()) + data[33:])
        same(got, pixels)
        assert got.notes == ((note,) if note else ())
        assert read_header(tmp_path / 'a.png') == Header('PNG', 20, 24, channels=3)
        assert capfd.readouterr().err == ''

    @pytest.mark.parametrize('pixels', [RGB, RGB16])
    def test_a_wrong_checksum_of_a_description(self, tmp_path, pixels, capfd):
        data, text = png(pixels, 8 * pixels.itemsize, 'RGB'), chunk(b'tEXt', b'Title\0one')
        for damaged in (data[:33] + text[:-1] + b'?' + data[33:], data[:-12] + text[:-1] + b'?' + data[-12:]):
            got = content(tmp_path, damaged)
            same(got, pixels)
            assert got.notes == ('a damaged tEXt chunk',) and not got.metadata.text
            assert read_header(tmp_path / 'a.png') == Header('PNG', 20, 24, channels=3)
        assert capfd.readouterr().err == ''

    def test_equal_keywords(self, tmp_path):
        data = png(RGB, 8, 'RGB')
        texts = chunk(b'tEXt', b'Title\0one') + chunk(b'zTXt', b'Title\0\0' + zlib.compress(b'two'))
        got = content(tmp_path, data[:33] + texts + data[33:-12] + chunk(b'tEXt', b'Title\0three') + data[-12:])
        assert got.metadata.text == {'Title': 'one\ntwo\nthree'}

    def test_a_turn_behind_the_pixels(self, tmp_path):
        exif = PIL.Image.Exif()
        exif[0x112] = 6
        data = png(RGB, 8, 'RGB')
        same(content(tmp_path, data[:-12] + chunk(b'eXIf', exif.tobytes()[6:]) + data[-12:]), np.rot90(RGB, -1))
        assert read_header(tmp_path / 'a.png') == Header('PNG', 24, 20, channels=3)

    def test_metadata_before_and_after_the_pixels(self, tmp_path):
        info = PIL.PngImagePlugin.PngInfo()
        info.add_text('Title', 'Käse')
        info.add_itxt('Author', '祖母', zip=True)
        info.add_text('Copyright', 'nobody', zip=True)
        info.add_itxt('XML:com.adobe.xmp', '<x tiff:Orientation="1"/>')
        exif = PIL.Image.Exif()
        exif[315], exif[0x112] = 'Anna', 6
        wide = profile()
        path = tmp_path / 'a.png'
        PIL.Image.fromarray(RGB).save(path, pnginfo=info, dpi=(300, 300), icc_profile=wide, exif=exif)
        data = path.read_bytes()
        at = data.index(b'eXIf') - 4
        block = data[at : at + 12 + int.from_bytes(data[at : at + 4], 'big')]
        late = data[:at] + data[at + len(block) : -12] + block + data[-12:]
        title = data[data.index(b'tEXtTitle') - 4 :]
        title = title[: 12 + int.from_bytes(title[:4], 'big')]
        late = late.replace(title, b'')[:-12] + title + data[-12:]
        for variant in (data, late):
            got = content(tmp_path, variant)
            same(got, np.rot90(RGB, -1))
            assert got.metadata.text == {'Title': 'Käse', 'Author': '祖母', 'Copyright': 'nobody'}
            assert got.metadata.xmp == b'<x tiff:Orientation="1"/>' and got.metadata.profile == wide
            np.testing.assert_allclose(got.metadata.dpi, 300, atol=0.01)
            assert (read_header(path).height, read_header(path).width) == (24, 20)
            found = PIL.Image.Exif()
            found.load(got.metadata.exif)
            assert dict(found) == {315: 'Anna', 0x112: 1}

    def test_16_bits_have_metadata_and_turns(self, tmp_path):
        exif = PIL.Image.Exif()
        exif[0x112] = 8
        for interlaced in (False, True):
            data = png(RGB16, 16, 'RGB', interlaced)
            block = exif.tobytes()[6:]
            turn = chunk(b'eXIf', block)
            same(content(tmp_path, data[:33] + turn + data[33:]), np.rot90(RGB16))
            same(content(tmp_path, data[:-12] + turn + data[-12:]), np.rot90(RGB16))

    def test_16_bits_have_a_profile_and_texts(self, tmp_path):
        wide = profile()
        data = png(RGB16, 16, 'RGB')
        data = data[:33] + chunk(b'iCCP', b'wide\0\0' + zlib.compress(wide)) + data[33:-12]
        got = content(tmp_path, data + chunk(b'tEXt', b'Title\0K\xe4se') + chunk(b'IEND', b''))
        same(got, RGB16)
        assert got.metadata.profile == wide and got.metadata.text == {'Title': 'Käse'}

    def test_an_animation_of_16_bits_is_told(self, tmp_path):
        pictures = [png(RGB16, 16, 'RGB'), png(RGB16[::-1], 16, 'RGB')]
        idat = [data[data.index(b'IDAT') + 4 : data.index(b'IEND') - 8] for data in pictures]

        def control(number):
            return chunk(b'fcTL', struct.pack('>IIIIIHHBB', number, 24, 20, 0, 0, 1, 10, 0, 0))

        parts = [pictures[0][:33], chunk(b'acTL', struct.pack('>II', 2, 0)), control(0), chunk(b'IDAT', idat[0])]
        parts += [control(1), chunk(b'fdAT', struct.pack('>I', 2) + idat[1]), chunk(b'IEND', b'')]
        (tmp_path / 'a.png').write_bytes(b''.join(parts))
        for frame, pixels in zip(read_frames(tmp_path / 'a.png'), [RGB16, RGB16[::-1]], strict=True):
            same(frame, (pixels >> 8).astype(np.uint8))
            assert frame.notes == ('animated PNG of 16 bits read as 8',) and frame.duration == 100

    def test_blocks_among_the_texts(self, tmp_path):
        """ImageMagick writes EXIF and IPTC as texts."""
        exif = PIL.Image.Exif()
        exif[0x112] = 3
        records = b'8BIM\x04\x04\0\0' + struct.pack('>I', 6) + b'\x1c\2\5\0\1A'
        info = PIL.PngImagePlugin.PngInfo()
        for kind, block in (('exif', exif.tobytes()), ('iptc', records)):
            info.add_text(f'Raw profile type {kind}', f'\n{kind}\n{len(block):8}\n{block.hex()}\n')
        got = pillow(tmp_path, RGB, 'a.png', pnginfo=info)
        same(got, RGB[::-1, ::-1])
        assert got.metadata.iptc == b'\x1c\2\5\0\1A' and not got.metadata.text

    def test_gamma_is_told(self, tmp_path):
        def gamma(value, more=b''):
            data = png(RGB, 8, 'RGB')
            return content(tmp_path, data[:33] + chunk(b'gAMA', struct.pack('>I', value)) + more + data[33:]).notes

        assert gamma(45455) == () and gamma(100000) == ('gamma 1.00 of a PNG',)
        assert gamma(100000, chunk(b'sRGB', b'\0')) == (), 'which then does not count'


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif', '.webp', '.avif'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_is_honoured(tmp_path, suffix, orientation):
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f'a{suffix}'
    smooth = cv2.resize(SMOOTH, (47, 33), interpolation=cv2.INTER_CUBIC)
    lossy = suffix in ('.jpg', '.avif')
    options = {'quality': 100, 'subsampling': '4:4:4'} if lossy else {'lossless': True}
    PIL.Image.fromarray(smooth).save(path, exif=exif, **options)
    with PIL.Image.open(path) as file:
        upright = np.asarray(PIL.ImageOps.exif_transpose(file))
    turned = {3: np.rot90(smooth, 2), 6: np.rot90(smooth, -1), 8: np.rot90(smooth)}
    if orientation in turned:
        assert np.abs(upright.astype(int) - turned[orientation]).max() <= 8, 'Pillow sees it the same way'
    got = read_image(path)
    near(got, upright, 0)
    header = read_header(path)
    assert (header.height, header.width) == (got.height, got.width) == upright.shape[:2]
    if got.metadata.exif is not None:
        found = PIL.Image.Exif()
        found.load(got.metadata.exif)
        assert found.get(0x112, 1) == 1


def test_exif_orientation_turns_alpha_too(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x112] = 6
    pixels = np.dstack([RGB, ALPHA])
    for name in ('a.png', 'a.tif', 'a.webp'):
        got = pillow(tmp_path, pixels, name, exif=exif, lossless=True, exact=True)
        same(got, np.rot90(pixels, -1))


def test_orientation_of_xmp_counts_where_exif_has_none(tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    got = pillow(tmp_path, RGB, 'a.webp', xmp=xmp, lossless=True)
    same(got, np.rot90(RGB, -1))
    assert got.metadata.xmp == xmp.replace(b'>6<', b'>1<')
    exif = PIL.Image.Exif()
    exif[0x112] = 1
    same(pillow(tmp_path, RGB, 'a.webp', xmp=xmp, exif=exif, lossless=True), RGB)


def test_colours_of_a_tiff_that_are_not_srgb_are_told(tmp_path):
    note = 'colours with other primaries than sRGB are not converted'
    for green, notes in (((30, 100, 60, 100), ()), ((21, 100, 71, 100), (note,))):
        primaries = (64, 100, 33, 100, *green, 15, 100, 6, 100)
        tags = [(318, 5, 2, (3127, 10000, 3290, 10000), True), (319, 5, 6, primaries, True)]
        assert tiff(tmp_path, RGB, photometric='rgb', extratags=tags).notes == notes
        assert tiff(tmp_path, RGB, photometric='rgb', extratags=tags, iccprofile=profile()).notes == ()


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('bigtiff', [False, True])
@pytest.mark.parametrize('code', ['utf-8', 'latin-1'])
def test_names_of_people_in_a_tiff_keep_their_letters(tmp_path, order, bigtiff, code):
    name = 'Jürgen Müller'.encode(code) + b'\0'
    word, width = ('Q', 20) if bigtiff else ('I', 12)
    start = 0
    for _ in range(2):  # the second time with the place of the directory that comes behind the file
        tags = [(315, 2, len(name), name, True), (34664, 4, 1, start, True)]
        tiff(tmp_path, RGB, photometric='rgb', bigtiff=bigtiff, byteorder=order, extratags=tags, metadata=None)
        data = (tmp_path / 'a.tif').read_bytes()
        # Tifffile does not write the tag of EXIF.
        data = data.replace(struct.pack(f'{order}HH', 34664, 4), struct.pack(f'{order}HH', 34665, 4))
        data += bytes(len(data) % 2)
        start = len(data)
    head = struct.pack(order + ('Q' if bigtiff else 'H'), 1)
    entry = struct.pack(f'{order}HH{word}{word}', 0xA430, 2, len(name), start + len(head) + width + 8)
    got = content(tmp_path, data + head + entry + bytes(8) + name, 'a.tif')
    assert got.notes == ()
    found = PIL.TiffImagePlugin.ImageFileDirectory_v2(got.metadata.exif[:8])
    file = io.BytesIO(got.metadata.exif)
    file.seek(8)
    found.load(file)
    assert found._tagdata[315] == name
    file.seek(found[34665])
    found.load(file)
    assert found._tagdata[0xA430] == name
    assert write_image(got, tmp_path / 'b.tif') == []
    assert (tmp_path / 'b.tif').read_bytes().count(name) == 2


def test_huge_compressed_texts_and_profiles_of_a_png(tmp_path):
    wide = profile() + RNG.bytes(2**21)
    info = PIL.PngImagePlugin.PngInfo()
    info.add_text('Title', 'words ' * 400_000, zip=True)
    info.add_itxt('XML:com.adobe.xmp', '<x:xmpmeta/>'.ljust(2**21), zip=True)
    got = pillow(tmp_path, RGB, 'a.png', pnginfo=info, icc_profile=wide)
    same(got, RGB)
    assert got.metadata.profile == wide and got.metadata.text == {'Title': 'words ' * 400_000}
    assert len(got.metadata.xmp) == 2**21


class TestJpeg:
    def test_colours_and_grey(self, tmp_path):
        near(pillow(tmp_path, SMOOTH, 'a.jpg', quality=100, subsampling=0), SMOOTH, 3)
        near(pillow(tmp_path, SMOOTH[..., 0], 'a.jfif', format='JPEG', quality=100), SMOOTH[..., 0], 3)
        near(pillow(tmp_path, SMOOTH[..., 0], 'a.jpg', quality=100, progressive=True), SMOOTH[..., 0], 3)
        near(pillow(tmp_path, SMOOTH, 'a.jpg', quality=100, subsampling=0, restart_marker_blocks=2), SMOOTH, 3)

    def test_inks_without_a_profile(self, tmp_path):
        inks = PIL.Image.fromarray(SMOOTH).convert('CMYK')
        got = pillow(tmp_path, inks, 'a.jpg', quality=100, subsampling=0)
        near(got, SMOOTH, 4)
        assert got.notes == ('CMYK converted to RGB',) and got.metadata.profile is None

    @pytest.mark.slow
    def test_inks_with_a_profile(self, tmp_path):
        """LittleCMS is asked for the same conversion, of the pixels that Pillow decodes."""
        wanted = cmyk_profile()
        inks = PIL.Image.fromarray(np.dstack([SMOOTH, SMOOTH[..., 0] // 4]), 'CMYK')
        for name, options in (('a.jpg', {'quality': 100, 'subsampling': 0}), ('a.tif', {})):
            got = pillow(tmp_path, inks, name, icc_profile=wanted, **options)
            with PIL.Image.open(tmp_path / name) as file:
                assert file.mode == 'CMYK'
                srgb = PIL.ImageCms.createProfile('sRGB')
                want = PIL.ImageCms.profileToProfile(
                    file,
                    io.BytesIO(wanted),
                    srgb,
                    PIL.ImageCms.Intent.RELATIVE_COLORIMETRIC,
                    'RGB',
                    flags=PIL.ImageCms.Flags.BLACKPOINTCOMPENSATION,
                )
                naive = file.convert('RGB')
            near(got, np.asarray(want), 0)
            assert np.abs(got.pixels.astype(int) - np.asarray(naive)).mean() > 5, 'the profile makes a difference'
            assert got.notes == ('CMYK converted to RGB',) and got.metadata.profile is None

    def test_metadata(self, tmp_path):
        thumbnail = encoded('.jpg')
        block = exif_with_thumbnail(thumbnail)
        picture = PIL.Image.fromarray(SMOOTH)
        xmp = b"<x:xmpmeta><a tiff:Orientation = '6'/></x:xmpmeta>"
        options = {'exif': b'Exif\0\0' + block, 'dpi': (300, 150), 'comment': 'Käse', 'icc_profile': profile()}
        picture.save(tmp_path / 'a.jpg', xmp=xmp, **options)
        data = (tmp_path / 'a.jpg').read_bytes()
        resources = b'8BIM\x04\x04\0\0' + struct.pack('>I', 6) + b'\x1c\2\5\0\1A'
        app13 = b'Photoshop 3.0\0' + b'8BIM\x03\xf3\0\0' + struct.pack('>I', 3) + b'abc\0' + resources
        data = data[:2] + b'\xff\xed' + struct.pack('>H', len(app13) + 2) + app13 + data[2:]
        got = content(tmp_path, data, 'a.jpg').metadata
        assert got.dpi == (300, 150) and got.text == {'Comment': 'Käse'} and got.profile == profile()
        assert got.iptc == b'\x1c\2\5\0\1A' and got.xmp == xmp.replace(b'6', b'1')
        assert thumbnail not in got.exif and len(got.exif) < 300
        found = PIL.Image.Exif()
        found.load(got.exif)
        assert found[0x112] == 1 and found[315] == 'Anna' and not found.get_ifd(PIL.ExifTags.IFD.IFD1)
        assert found.get_ifd(0x8825) == {1: 'N', 2: (1.0, 2.0, 3.0)}
        assert (read_header(tmp_path / 'a.jpg').height, read_header(tmp_path / 'a.jpg').width) == (24, 20)

    def test_damaged_exif_is_told(self, tmp_path):
        for block in (b'Exif\0\0junk', b'Exif\0\0MM\0*\0\0\xff\xff', b'Exif\0\0MM\0*\0\0\0\x08\0\x09\0'):
            got = pillow(tmp_path, SMOOTH, 'a.jpg', exif=block)
            assert got.metadata.exif is None and got.notes == ('damaged EXIF',)
        turned = b'Exif\0\0MM\0*\0\0\0\x08\0\x09\1\x12\0\3\0\0\0\1\0\6\0\0'  # one of nine tags is there
        assert pillow(tmp_path, SMOOTH, 'a.jpg', exif=turned).pixels.shape == (24, 20, 3)
        got = pillow(tmp_path, SMOOTH, 'a.jpg', icc_profile=bytes(200))
        assert got.metadata.profile is None and got.notes == ('a damaged colour profile',)

    def test_several_comments_and_extended_xmp(self, tmp_path):
        file = io.BytesIO()
        main = b'<x xmpNote:HasExtendedXMP="0123" dc:format="a"/>'
        PIL.Image.fromarray(SMOOTH).save(file, 'JPEG', comment='Käse'.encode(), xmp=main)
        data = file.getvalue()

        def segment(kind, body):
            return b'\xff' + kind + struct.pack('>H', len(body) + 2) + body

        more = segment(b'\xfe', b'K\xe4se') + segment(b'\xfe', b'three\0')
        extension = b'http://ns.adobe.com/xmp/extension/\0' + b'0' * 32 + struct.pack('>II', 4, 0) + b'more'
        at = data.index(b'\xff\xdb')
        got = content(tmp_path, data[:at] + more + segment(b'\xe1', extension) + data[at:], 'a.jpg')
        assert got.metadata.text == {'Comment': 'Käse\nKäse\nthree'}
        assert got.metadata.xmp == b'<x dc:format="a"/>' and got.notes == ('the extended part of XMP',)

    @pytest.mark.parametrize('piece', [b' ', b'<xmpNote:HasExtendedXMP>', b' xmpNote:HasExtendedXMP = '])
    def test_xmp_takes_time_by_its_length(self, tmp_path, piece):
        xmp = piece * (65_000 // len(piece))
        began = time.process_time()
        assert pillow(tmp_path, SMOOTH, 'a.jpg', xmp=xmp).metadata.xmp == xmp
        assert time.process_time() - began < 2

    def test_a_map_of_gains_is_told(self, tmp_path):
        path = tmp_path / 'a.jpg'
        xmp = b'<x:xmpmeta hdrgm:Version="1.0"/>'
        PIL.Image.fromarray(SMOOTH).save(path, 'MPO', save_all=True, append_images=[PIL.Image.fromarray(GREY)], xmp=xmp)
        with PIL.Image.open(path) as file:
            assert file.format == 'JPEG'
        assert read_image(path).notes == ('only the first of the 2 pictures of the MPO',)

    def test_the_second_picture_of_an_mpo_is_no_page(self, tmp_path):
        path = tmp_path / 'a.jpg'
        PIL.Image.fromarray(SMOOTH).save(
            path, 'MPO', save_all=True, append_images=[PIL.Image.fromarray(255 - SMOOTH)], quality=100, subsampling=0
        )
        assert read_header(path) == Header('JPEG', 20, 24, channels=3, quality=100)
        near(read_image(path), SMOOTH, 3)
        (frame,) = read_frames(path)
        assert frame.notes == ('only the first of the 2 pictures of the MPO',)

    @pytest.mark.slow
    @pytest.mark.parametrize(('options', 'least'), [({}, 24), ({'progressive': True}, 20), ({'optimize': True}, 24)])
    def test_most_holes_are_found(self, tmp_path, options, least):
        """They put the decoder out of step; now and then it ends with the last block nevertheless."""
        file = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
        PIL.Image.fromarray(noise).resize((320, 240)).save(file, 'JPEG', quality=90, **options)
        data = file.getvalue()
        content(tmp_path, data, 'a.jpg')
        found = 0
        for at in range(len(data) // 3, len(data) - 600, len(data) // 48):
            try:
                content(tmp_path, data[:at] + bytes(512) + data[at + 512 :], 'a.jpg')
            except ImageError as error:
                found += 'cut short' in str(error)
        assert found >= least  # of 30

    @pytest.mark.parametrize('options', [{}, {'progressive': True}, {'optimize': True}, {'restart_marker_rows': 1}])
    @pytest.mark.parametrize('quality', [5, 60, 95])
    def test_whole_pictures_are_taken_for_whole(self, tmp_path, options, quality):
        """Also flat ones, those that end flat, and those with zeros before their end, as cameras put them there."""
        noise = RNG.integers(0, 256, (120, 160, 3), dtype=np.uint8)
        half = noise.copy()
        half[50:] = 255
        for pixels in (noise, half, half[::-1], half * 0, noise[:1, :1], noise[:8, :9], noise[..., 0]):
            file = io.BytesIO()
            PIL.Image.fromarray(np.ascontiguousarray(pixels)).save(file, 'JPEG', quality=quality, **options)
            data = file.getvalue()
            read = content(tmp_path, data, 'a.jpg')
            assert read.pixels.shape[:2] == pixels.shape[:2]
            same(content(tmp_path, data[:-2] + bytes(100) + data[-2:], 'a.jpg'), read.pixels)

    def test_a_restart_that_is_missing(self, tmp_path):
        file = io.BytesIO()
        PIL.Image.fromarray(RNG.integers(0, 256, (120, 160), dtype=np.uint8)).save(file, 'JPEG', restart_marker_rows=1)
        data = file.getvalue()
        at = data.index(b'\xff\xd3')
        with pytest.raises(ImageError, match='damaged or cut short'):
            content(tmp_path, data[:at] + data[at + 2 :], 'a.jpg')

    @pytest.mark.parametrize('options', [{}, {'progressive': True}, {'restart_marker_rows': 1}, {'subsampling': 0}])
    @pytest.mark.parametrize('mode', ['L', 'RGB', 'CMYK'])
    def test_an_end_before_its_time(self, tmp_path, options, mode):
        """Libjpeg fills up data that end at an end marker, without an error."""
        noise = PIL.Image.fromarray(RNG.integers(0, 256, (120, 160, 3), dtype=np.uint8)).convert(mode)
        flat = PIL.Image.new(mode, (120, 160), 7)
        for picture in (noise, flat):
            file = io.BytesIO()
            picture.save(file, 'JPEG', **options)
            data = file.getvalue()
            read = content(tmp_path, data, 'a.jpg')
            assert read.notes == (('CMYK converted to RGB',) if mode == 'CMYK' else ())
            same(content(tmp_path, data + b'more' * 9, 'a.jpg'), read.pixels)
            if picture is noise:
                for length in (0.5, 0.9):
                    with pytest.raises(ImageError, match='cut short'):
                        content(tmp_path, data[: int(length * len(data))] + b'\xff\xd9', 'a.jpg')

    def test_kinds_that_are_refused(self, tmp_path):
        for data, reason in (
            (imagecodecs.jpeg_encode(RGB16 >> 4, bitspersample=12), 'JPEG of 12 bits'),
            (imagecodecs.ljpeg_encode(GREY16), 'lossless'),
            (imagecodecs.jpegls_encode(GREY), 'JPEG-LS'),
        ):
            with pytest.raises(ImageError, match=f'not supported: {reason}'):
                content(tmp_path, data, 'a.jpg')


class TestOthers:
    def test_webp(self, tmp_path):
        pixels = np.dstack([RGB, ALPHA])
        same(pillow(tmp_path, RGB, 'a.webp', lossless=True), RGB)
        same(pillow(tmp_path, pixels, 'a.webp', lossless=True, exact=True), pixels)

    @pytest.mark.parametrize('masks', [(), (0xF800, 0x07E0, 0x001F), (0x7C00, 0x03E0, 0x001F)])
    def test_bmp_of_16_bits(self, tmp_path, masks):
        stored = RNG.integers(0, 65536 if masks[:1] == (0xF800,) else 32768, (6, 8), dtype=np.uint16)
        stored[0, 0], stored[0, 1] = (0xFFFF if masks[:1] == (0xF800,) else 0x7FFF), 0
        head = struct.pack('<IiiHHIIiiII', 40, 8, 6, 1, 16, 3 if masks else 0, 0, 0, 0, 0, 0)
        head += b''.join(struct.pack('<I', mask) for mask in masks)
        data = b'BM' + struct.pack('<IHHI', 0, 0, 0, 14 + len(head)) + head + stored[::-1].astype('<u2').tobytes()
        shifts = ((11, 6), (5, 5 + 1), (0, 5)) if masks[:1] == (0xF800,) else ((10, 5), (5, 5), (0, 5))
        tops = (31, 63, 31) if masks[:1] == (0xF800,) else (31, 31, 31)
        want = np.dstack([(stored >> shift & top) * 255 / top for (shift, _), top in zip(shifts, tops, strict=True)])
        got = content(tmp_path, data, 'a.bmp')
        assert got.pixels[0, 0].tolist() == [255] * 3 and got.pixels[0, 1].tolist() == [0] * 3
        assert np.abs(got.pixels - want).max() <= 1

    def test_bmp(self, tmp_path):
        palette = PIL.Image.fromarray(RGB).quantize(64)
        for pixels in (RGB, GREY):
            same(pillow(tmp_path, pixels, 'a.bmp'), pixels)
        same(pillow(tmp_path, palette, 'a.bmp'), np.asarray(palette.convert('RGB')))
        same(pillow(tmp_path, PIL.Image.fromarray(GREY > 128), 'a.bmp'), np.where(GREY > 128, 255, 0).astype(np.uint8))

    def test_the_profile_of_a_bmp(self, tmp_path):
        wide = profile()
        pixels = np.zeros((2, 2, 4), np.uint8)
        pixels[..., :3] = [1, 2, 3]
        head = struct.pack('<IiiHHIIiiII', 124, 2, 2, 1, 32, 0, 0, 0, 0, 0, 0) + bytes(16) + b'DEBM' + bytes(48)
        head += struct.pack('<IIII', 4, 124 + pixels.size, len(wide), 0)
        data = b'BM' + struct.pack('<IHHI', 0, 0, 0, 14 + 124) + head + pixels.tobytes() + wide
        got = content(tmp_path, data, 'a.bmp')
        assert got.metadata.profile == wide and got.pixels[0, 0].tolist() == [3, 2, 1]

    @pytest.mark.parametrize('compression', [None, 'tga_rle'])
    def test_tga(self, tmp_path, compression):
        for pixels in (RGB, GREY, np.dstack([RGB, ALPHA]), np.dstack([GREY, ALPHA])):
            same(pillow(tmp_path, pixels, 'a.tga', compression=compression), pixels)
            (tmp_path / 'a.tga').rename(tmp_path / 'b.jpg')
            same(read_image(tmp_path / 'b.jpg'), pixels)

    @pytest.mark.parametrize('top', [1, 15, 100, 255, 256, 1023, 40000, 65535])
    @pytest.mark.parametrize('plain', [False, True])
    def test_netpbm(self, tmp_path, top, plain):
        white = 255 if top < 256 else 65535
        for stored, magic in ((RGB16.astype(int) % (top + 1), b'63'), (GREY16.astype(int) % (top + 1), b'52')):
            body = stored.astype('>u2' if top > 255 else np.uint8).tobytes()
            if plain:
                body = b'\n'.join(b' '.join(b'%d' % value for value in row.ravel()) for row in stored)
            data = b'P%c\n# a comment 7\n24 20 # more\n%d\n' % (magic[plain], top) + body
            want = np.floor(stored * (white / top) + 0.5).astype(np.uint8 if top < 256 else np.uint16)
            near(content(tmp_path, data, 'a.ppm'), want, 0 if top in (1, 15, 255) or top > 255 else 1)

    def test_bitmaps(self, tmp_path):
        bits = np.zeros((3, 5), np.uint8)
        bits[1, 2] = 1
        want = np.where(bits, 0, 255).astype(np.uint8)
        same(content(tmp_path, b'P4 5 3\n' + np.packbits(bits, axis=1).tobytes(), 'a.pbm'), want)
        same(content(tmp_path, b'P1 5 3 00000 00100 00000', 'a.pbm'), want)

    @pytest.mark.parametrize('kind', ['jp2', 'j2k'])
    @pytest.mark.parametrize('depth', [8, 12, 16])
    def test_jpeg_2000(self, tmp_path, kind, depth):
        for pixels in (GREY16, RGB16, np.dstack([RGB16, ALPHA16])):
            stored = (pixels >> (16 - depth)).astype(np.uint8 if depth == 8 else np.uint16)
            data = imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, codecformat=kind, bitspersample=depth)
            want = stored if depth != 12 else np.floor(stored * (65535 / 4095) + 0.5).astype(np.uint16)
            same(content(tmp_path, data, f'a.{kind}'), want)
            assert read_header(tmp_path / f'a.{kind}') == Header(
                'JPEG2000', 20, 24, channels=np.atleast_3d(pixels).shape[2]
            )

    def test_avif(self, tmp_path):
        smooth = cv2.resize(SMOOTH, (48, 40), interpolation=cv2.INTER_CUBIC)
        near(pillow(tmp_path, smooth, 'a.avif', quality=100, subsampling='4:4:4'), smooth, 4)
        alpha = np.full((40, 48), 100, np.uint8)
        alpha[10:] = 255
        got = pillow(tmp_path, np.dstack([smooth, alpha]), 'a.avif', quality=100, subsampling='4:4:4')
        near(got, np.dstack([smooth, alpha]), 4)

    def test_avif_of_10_bits_is_told(self, tmp_path):
        smooth = cv2.resize(SMOOTH, (48, 40), interpolation=cv2.INTER_CUBIC).astype(np.uint16) * 4
        data = imagecodecs.avif_encode(smooth, level=100, bitspersample=10, pixelformat='444')
        got = content(tmp_path, data, 'a.avif')
        assert got.notes == ('AVIF of 10 bits read as 8',)
        near(got, (smooth // 4).astype(np.uint8), 5)

    @pytest.mark.parametrize(
        ('primaries', 'transfer', 'notes'),
        [
            (9, 16, ('colours of BT.2020 in PQ (HDR) are not converted',)),
            (12, 13, ('colours of Display P3 are not converted',)),
            (1, 13, ()),
        ],
    )
    def test_colours_of_avif_that_are_not_srgb_are_told(self, tmp_path, primaries, transfer, notes):
        data = imagecodecs.avif_encode(SMOOTH)
        at = data.index(b'colrnclx') + 8
        data = data[:at] + struct.pack('>HH', primaries, transfer) + data[at + 4 :]
        assert content(tmp_path, data, 'a.avif').notes == notes


class TestExtras:
    """HEIC and JPEG XL, of the extra `formats`."""

    @pytest.mark.parametrize('orientation', range(1, 9))
    def test_heic_is_upright(self, tmp_path, orientation):
        heif = pytest.importorskip('pillow_heif')
        smooth = cv2.resize(SMOOTH, (96, 80), interpolation=cv2.INTER_CUBIC)
        exif = PIL.Image.Exif()
        exif[0x112], exif[315] = orientation, 'Anna'
        heif.from_pillow(PIL.Image.fromarray(smooth)).save(
            tmp_path / 'a.heic', quality=100, chroma=444, exif=exif.tobytes()
        )
        got = read_image(tmp_path / 'a.heic')
        turn = PIL.Image.fromarray(smooth)
        turn.getexif()[0x112] = orientation
        near(got, np.asarray(PIL.ImageOps.exif_transpose(turn)), 16)
        assert read_header(tmp_path / 'a.heic') == Header('HEIF', got.height, got.width, channels=3)
        found = PIL.Image.Exif()
        found.load(got.metadata.exif)
        assert found[315] == 'Anna' and found.get(0x112, 1) == 1

    @pytest.mark.parametrize(
        ('primaries', 'transfer', 'notes'),
        [
            (9, 16, ('colours of BT.2020 in PQ (HDR) are not converted',)),
            (12, 13, ('colours of Display P3 are not converted',)),
            (1, 18, ('colours of HLG (HDR) are not converted',)),
            (1, 13, ()),
            (1, 1, ()),
            (2, 2, ()),
        ],
    )
    def test_colours_of_heic_that_are_not_srgb_are_told(self, tmp_path, primaries, transfer, notes):
        heif = pytest.importorskip('pillow_heif')
        picture = heif.from_pillow(PIL.Image.fromarray(SMOOTH))
        points = {'color_primaries': primaries, 'transfer_characteristics': transfer}
        picture.save(tmp_path / 'a.heic', matrix_coefficients=6, full_range_flag=1, **points)
        assert read_image(tmp_path / 'a.heic').notes == notes

    def test_heic_of_10_bits_is_told(self, tmp_path):
        heif = pytest.importorskip('pillow_heif')
        heif.from_bytes(mode='RGB;16', size=(24, 20), data=RGB16.tobytes()).save(tmp_path / 'a.heic', quality=90)
        assert read_image(tmp_path / 'a.heic').notes == ('HEIC of 10 bits read as 8',)

    def test_jpeg_xl(self, tmp_path):
        pytest.importorskip('pillow_jxl')
        for pixels in (RGB, GREY, np.dstack([RGB, ALPHA])):
            same(pillow(tmp_path, pixels, 'a.jxl', lossless=True), pixels)
        for pixels in (RGB16, GREY16, np.dstack([RGB16, ALPHA16])):
            same(content(tmp_path, imagecodecs.jpegxl_encode(pixels, lossless=True), 'a.jxl'), pixels)
        for bits in (10, 12, 14):
            data = imagecodecs.jpegxl_encode(RGB16 >> (16 - bits), bitspersample=bits, lossless=True)
            want = np.floor((RGB16 >> (16 - bits)) * (65535 / (2**bits - 1)) + 0.5).astype(np.uint16)
            same(content(tmp_path, data, 'a.jxl'), want)
        with pytest.raises(ImageError, match='not supported: pixels in floating point'):
            content(tmp_path, imagecodecs.jpegxl_encode(RGB.astype(np.float32) / 255), 'a.jxl')
        exif = PIL.Image.Exif()
        exif[315] = 'Anna'
        got = pillow(tmp_path, RGB, 'a.jxl', lossless=True, exif=exif.tobytes())
        assert b'Anna' in got.metadata.exif

    def test_a_jpeg_packed_as_jpeg_xl(self, tmp_path):
        pytest.importorskip('pillow_jxl')
        exif = PIL.Image.Exif()
        exif[0x112] = 6
        want = pillow(tmp_path, SMOOTH, 'a.jpg', exif=exif)
        got = content(tmp_path, imagecodecs.jpegxl_encode_jpeg((tmp_path / 'a.jpg').read_bytes()), 'a.jxl')
        same(got, want.pixels)
        assert read_header(tmp_path / 'a.jxl') == Header('JXL', 24, 20)

    def test_an_animated_jpeg_xl_is_told(self, tmp_path):
        pytest.importorskip('pillow_jxl')
        got = content(tmp_path, imagecodecs.jpegxl_encode(np.stack([RGB, RGB[::-1]]), lossless=True), 'a.jxl')
        same(got, RGB)
        assert got.notes == ('only the first frame of an animated JPEG XL',)

    @pytest.mark.parametrize('size', [(8, 8), (256, 256), (20, 24), (300, 200), (1, 1), (1080, 1920), (3000, 1)])
    def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(self, tmp_path, size):
        for pixels in (np.zeros(size, np.uint8), np.zeros((*size, 3), np.uint16), np.zeros((*size, 4), np.uint8)):
            for container in (False, True):
                data = imagecodecs.jpegxl_encode(pixels, effort=1, usecontainer=container)
                (tmp_path / 'a.jxl').write_bytes(data)
                assert read_header(tmp_path / 'a.jxl') == Header('JXL', *size)

    @pytest.mark.parametrize(('package', 'suffix'), [('pillow_heif', '.heic'), ('pillow_jxl', '.jxl')])
    def test_the_extra_is_named(self, tmp_path, monkeypatch, package, suffix):
        monkeypatch.setitem(sys.modules, package, None)
        data = b'\0\0\0\x18ftypheic\0\0\0\0heicmif1' if suffix == '.heic' else imagecodecs.jpegxl_encode(RGB)
        with pytest.raises(ImageError, match=rf"a{suffix}: .* needs .*pip install '\.\[formats\]' in a checkout"):
            content(tmp_path, data, f'a{suffix}')


class TestFrames:
    @pytest.mark.parametrize('suffix', ['.gif', '.webp', '.png', '.avif'])
    def test_animations(self, tmp_path, suffix):
        """A square moves over a background; each frame stores its own part only."""
        pictures = [PIL.Image.new('RGB', (40, 30), (200, 30, 90)) for _ in range(4)]
        for index, picture in enumerate(pictures):
            picture.paste((10, 200, 60), (8 * index, 4, 8 * index + 8, 12))
        path = tmp_path / f'a{suffix}'
        options = {'duration': [40, 100, 150, 40], 'loop': 3, 'lossless': True, 'quality': 100, 'subsampling': '4:4:4'}
        if suffix != '.webp':
            options.pop('lossless')
        pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
        header = read_header(path)
        loop = {'.gif': 4, '.avif': 0}.get(suffix, 3)  # a GIF says how often it is shown again; Pillow has none of AVIF
        assert (header.height, header.width, header.num_frames, header.animated) == (30, 40, 4, True)
        assert header.loop == loop
        frames = list(read_frames(path))
        assert [frame.duration for frame in frames] == [40, 100, 150, 40]
        assert len({frame.channels for frame in frames}) == 1
        for frame, picture in zip(frames, pictures, strict=True):
            assert np.abs(frame.pixels[..., :3].astype(int) - np.asarray(picture)).max() <= (
                9 if suffix == '.avif' else 2
            )
            assert not frame.has_alpha or frame.pixels[..., 3].min() == 255
        same(read_image(path), frames[0].pixels)

    def test_a_gif_without_a_loop_is_shown_once(self, tmp_path):
        pictures = [PIL.Image.fromarray(RGB).quantize(8), PIL.Image.fromarray(RGB[::-1].copy()).quantize(8)]
        pictures[0].save(tmp_path / 'a.gif', save_all=True, append_images=pictures[1:])
        assert read_header(tmp_path / 'a.gif').loop == 1
        pictures[0].save(tmp_path / 'a.gif', save_all=True, append_images=pictures[1:], loop=0, comment=b'K\xe4se')
        assert read_header(tmp_path / 'a.gif').loop == 0
        assert read_image(tmp_path / 'a.gif').metadata.text == {'Comment': 'Käse'}

    def test_transparent_frames_of_a_gif(self, tmp_path):
        pictures = [PIL.Image.new('RGBA', (20, 20)) for _ in range(3)]
        for index, picture in enumerate(pictures):
            picture.paste((250, 0, 0, 255), (5 * index, 0, 5 * index + 5, 20))
        pictures[0].save(tmp_path / 'a.gif', save_all=True, append_images=pictures[1:], disposal=2)
        for frame, picture in zip(read_frames(tmp_path / 'a.gif'), pictures, strict=True):
            np.testing.assert_array_equal(frame.pixels[..., 3], np.asarray(picture)[..., 3])
            assert (frame.pixels[frame.pixels[..., 3] > 0][:, 0] == 250).all()

    def test_a_gif_that_stands(self, tmp_path):
        palette = PIL.Image.fromarray(RGB).quantize(64)
        same(pillow(tmp_path, palette, 'a.gif'), np.asarray(palette.convert('RGB')))
        assert read_header(tmp_path / 'a.gif') == Header('GIF', 20, 24, loop=1, channels=3)
        got = pillow(tmp_path, palette, 'a.gif', transparency=3)
        np.testing.assert_array_equal(got.pixels[..., 3] == 0, np.asarray(palette) == 3)
        same(pillow(tmp_path, np.arange(256, dtype=np.uint8)[None], 'a.gif'), np.arange(256, dtype=np.uint8)[None])

    @pytest.mark.parametrize('default', [False, True])
    def test_the_default_image_of_an_apng_is_no_frame(self, tmp_path, default):
        pictures = [PIL.Image.new('RGB', (20, 20), (60 * index, 0, 0)) for index in range(4)]
        first = {'default_image': True} if default else {}
        pictures[0].save(tmp_path / 'a.png', save_all=True, append_images=pictures[1:], duration=70, **first)
        header = read_header(tmp_path / 'a.png')
        assert (header.num_frames, header.animated) == (4 - default, True)
        reds = [int(frame.pixels[0, 0, 0]) for frame in read_frames(tmp_path / 'a.png')]
        assert reds == [0, 60, 120, 180][default:]

    def test_a_frame_beyond_the_screen_of_a_gif(self, tmp_path):
        pictures = [PIL.Image.new('P', (20, 20), index) for index in range(2)]
        pictures[0].putpalette([255, 0, 0, 0, 255, 0])
        pictures[1].putpalette([255, 0, 0, 0, 255, 0])
        pictures[0].save(tmp_path / 'a.gif', save_all=True, append_images=pictures[1:])
        data = bytearray((tmp_path / 'a.gif').read_bytes())
        at = data.rindex(b',\0\0\0\0\x14\0\x14\0')
        data[at + 1] = 5
        (tmp_path / 'a.gif').write_bytes(data)
        assert [frame.pixels.shape for frame in read_frames(tmp_path / 'a.gif')] == [(20, 20, 4)] * 2


def encoded(suffix, mode='RGB'):
    noise = PIL.Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).convert(mode)
    file = io.BytesIO()
    noise.save(file, {'.jpg': 'JPEG', '.tif': 'TIFF', '.jp2': 'JPEG2000'}.get(suffix, suffix[1:].upper()))
    return file.getvalue()


def exif_with_thumbnail(thumbnail):
    """Orientation 6, an artist, GPS, and a thumbnail in a second directory."""
    exif = PIL.Image.Exif()
    exif[315], exif[0x112] = 'Anna', 6
    exif.get_ifd(0x8825).update({1: 'N', 2: (1.0, 2.0, 3.0)})
    data = bytearray(exif.tobytes()[6:])
    start = int.from_bytes(data[4:8], 'big')
    link = start + 2 + 12 * int.from_bytes(data[start : start + 2], 'big')
    data[link : link + 4] = struct.pack('>I', len(data))
    at = len(data) + 2 + 2 * 12 + 4
    second = struct.pack('>HHHIIHHIII', 2, 0x201, 4, 1, at, 0x202, 4, 1, len(thumbnail), 0)
    return bytes(data) + second + thumbnail


def cmyk_profile():
    """A made-up printer of four strong inks: a table of two steps per ink, from inks to CIELab in 8 bits."""
    steps = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing='ij'), axis=-1).reshape(-1, 4)  # the last ink runs fastest
    lightness = 100 * np.prod(1 - steps * [0.4, 0.5, 0.1, 0.8], axis=1)
    a = (steps @ [-30, 60, -5, 0]) * (1 - 0.9 * steps[:, 3])
    b = (steps @ [-40, -5, 80, 0]) * (1 - 0.9 * steps[:, 3])
    table = np.stack([lightness * 2.55, a + 128, b + 128], axis=1).clip(0, 255).astype(np.uint8).tobytes()
    identity = struct.pack('>9i', *(65536 * np.eye(3, dtype=int)).ravel().tolist())
    ramp = bytes(range(256))
    tags = {
        b'A2B0': b'mft1' + bytes(4) + bytes([4, 3, 2, 0]) + identity + 4 * ramp + table + 3 * ramp,
        b'wtpt': b'XYZ ' + bytes(4) + struct.pack('>3i', 63190, 65536, 54061),
        b'cprt': b'text' + bytes(4) + b'none\0\0\0\0',
        b'desc': b'desc' + bytes(4) + struct.pack('>I', 5) + b'inks\0' + bytes(79),
    }
    entries, body = b'', b''
    start = 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        entries += name + struct.pack('>II', start + len(body), len(tag))
        body += tag
    head = struct.pack(
        '>I4sI4s4s4s12s4s', start + len(body), b'lcms', 0x02100000, b'prtr', b'CMYK', b'Lab ', bytes(12), b'acsp'
    )
    head = (head + bytes(28) + struct.pack('>3i', 63190, 65536, 54061)).ljust(128, b'\0')
    return head + struct.pack('>I', len(tags)) + entries + body


SUFFIXES = ['.png', '.jpg', '.webp', '.tif', '.bmp', '.gif', '.tga', '.ppm', '.jp2', '.avif']


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize('missing', [40, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_an_error(tmp_path, suffix, missing, capfd, caplog):
    data = encoded(suffix)
    path = tmp_path / f'a{suffix}'
    path.write_bytes(data[: len(data) - int(missing if missing > 1 else missing * len(data))])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with pytest.raises(ImageError, match='cut short') as caught:
            read_image(path)
        with pytest.raises(ImageError):
            list(read_frames(path))
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)
    assert capfd.readouterr().err == '' and not caplog.records


@pytest.mark.parametrize('interlaced', [False, True])
def test_a_16_bit_png_that_is_damaged_is_an_error(tmp_path, interlaced, capfd):
    data = bytearray(png(RGB16, 16, 'RGB', interlaced))
    for cut in (40, len(data) // 2):
        with pytest.raises(ImageError, match='cut short'):
            content(tmp_path, bytes(data[:-cut]))
    data[len(data) // 2] ^= 0x55
    with pytest.raises(ImageError, match='damaged'):
        content(tmp_path, bytes(data))
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('suffix', ['.gif', '.webp', '.png', '.avif'])
def test_an_animation_cut_short_is_an_error(tmp_path, suffix):
    noise = [PIL.Image.fromarray(RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(3)]
    noise[0].save(tmp_path / f'a{suffix}', save_all=True, append_images=noise[1:])
    data = (tmp_path / f'a{suffix}').read_bytes()
    (tmp_path / f'a{suffix}').write_bytes(data[: len(data) * 9 // 10])
    with pytest.raises(ImageError, match='cut short'):
        list(read_frames(tmp_path / f'a{suffix}'))


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        (b'', 'the file is empty'),
        (b'%PDF-1.4 not a picture', 'not supported: PDF'),
        (b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1' + bytes(600), 'not an image in a supported format'),  # Thumbs.db
        (b'hello', 'not an image in a supported format'),
        (b'BMW and other words', 'not an image in a supported format'),
        (b'P5 and other words', 'damaged or cut short'),
        (encoded('.png')[:20], 'damaged or cut short'),
        (b'\x76\x2f\x31\x01' + bytes(90), 'not supported: OpenEXR, which is in floating point'),
        (b'#?RADIANCE\n' + bytes(90), 'not supported: Radiance HDR'),
        (b'PF\n2 2\n-1.0\n' + bytes(48), 'not supported: PFM'),
        (b'8BPS\0\1' + bytes(90), 'not supported: Photoshop files'),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', 'not supported: SVG'),
        (b'<!-- a --> <!--\n<svg>--><!----><svg/>', 'not supported: SVG'),
        (b'<!---->' * 100, 'not an image in a supported format'),  # of which each pair might be one comment or two
        (b'II*\0\x10\0\0\0CR\2\0' + bytes(90), 'not supported: camera raw'),
    ],
)
def test_messages(tmp_path, data, reason):
    (tmp_path / 'a.png').write_bytes(data)
    for read in (read_image, read_header, lambda path: list(read_frames(path))):
        with pytest.raises(ImageError, match=rf'a\.png: {reason}'):
            read(tmp_path / 'a.png')


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(ImageError, match=r'none\.png: No such file'):
        read_image(tmp_path / 'none.png')
    with pytest.raises(ImageError, match='directory' if os.name != 'nt' else 'denied'):
        read_image(tmp_path)


def bombs():
    head = chunk(b'IHDR', struct.pack('>II', 33000, 33000) + b'\1\0\0\0\0')
    yield '.png', b'\x89PNG\r\n\x1a\n' + head + chunk(b'IDAT', zlib.compress(b'\0' * 1000))
    yield (
        '.gif',
        b'GIF89a' + struct.pack('<HH', 65535, 65535) + b'\0\0\0,' + bytes(4) + b'\xff\xff\xff\xff\0\x08\1\0\0;',
    )
    yield '.ppm', b'P6 40000 40000 65535\n' + bytes(100)
    yield '.pgm', b'P5 40000 40000 255\n' + bytes(100)
    yield '.bmp', b'BM' + struct.pack('<IHHIIiiHHIIiiII', 0, 0, 0, 54, 40, 40000, 40000, 1, 24, 0, 0, 0, 0, 0, 0)
    jpeg = bytearray(encoded('.jpg'))
    at = jpeg.index(b'\xff\xc0')
    jpeg[at + 5 : at + 9] = struct.pack('>HH', 40000, 40000)
    yield '.jpg', bytes(jpeg)
    jp2 = bytearray(encoded('.jp2'))
    at = jp2.index(b'ihdr')
    jp2[at + 4 : at + 12] = struct.pack('>II', 40000, 40000)
    yield '.jp2', bytes(jp2)
    yield '.jxl', b'\xff\x0a' + (0b11 << 1 | 39999 << 3 | 1 << 33).to_bytes(8, 'little') + bytes(20)
    # little-endian, three entries: width and height of 40000, and the rows of a strip
    entries = b''.join(struct.pack('<HHII', tag, 4, 1, 40000) for tag in (256, 257, 278))
    offsets = b''.join(struct.pack('<HHII', tag, 4, 1, 8) for tag in (273, 279))
    yield '.tif', b'II*\0\x08\0\0\0\5\0' + entries[:24] + offsets[:12] + entries[24:] + offsets[12:] + bytes(4)


BOMBS = ['.png', '.gif', '.ppm', '.pgm', '.bmp', '.jpg', '.jp2', '.jxl', '.tif']


@pytest.mark.parametrize('suffix', BOMBS)
def test_more_than_a_thousand_million_pixels_are_refused_before_they_are_decoded(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    path.write_bytes(dict(bombs())[suffix])
    for read in (read_header, read_image):
        with pytest.raises(ImageError, match=r'is larger than 2\^30 pixels'):
            read(path)


@pytest.mark.slow
def test_up_to_the_limit_nothing_is_said_of_bombs(tmp_path):
    """Pillow warns above 89 megapixels, and refuses above 179."""
    PIL.Image.new('1', (20000, 10000)).save(tmp_path / 'a.png')
    limit = PIL.Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert read_header(tmp_path / 'a.png') == Header('PNG', 10000, 20000, channels=1)
        assert read_image(tmp_path / 'a.png').pixels.shape == (10000, 20000, 1)
    assert limit == PIL.Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize('grey', [False, True])
@pytest.mark.parametrize('name', ['a.png', 'a.jpg', 'a.tif', 'a.webp'])
def test_a_profile_of_other_colours_is_left_out(tmp_path, name, grey):
    if name == 'a.webp' and grey:
        pytest.skip('WebP has no grey')
    pixels = GREY if grey else RGB
    fitting, other = (b'GRAY', b'RGB ') if grey else (b'RGB ', b'GRAY')
    got = pillow(tmp_path, pixels, name, icc_profile=profile(fitting))
    assert got.metadata.profile == profile(fitting) and got.notes == ()
    got = pillow(tmp_path, pixels, name, icc_profile=profile(other))
    assert got.metadata.profile is None and len(got.notes) == 1 and 'colour profile' in got.notes[0]


def test_names_may_be_of_any_alphabet_and_need_not_say_the_format(tmp_path):
    folder = tmp_path / 'Fotos für 祖母'
    folder.mkdir()
    PIL.Image.fromarray(RGB).save(folder / 'снимок №1.jpg', format='PNG')
    same(read_image(folder / 'снимок №1.jpg'), RGB)
    assert read_header(str(folder / 'снимок №1.jpg')) == Header('PNG', 20, 24, channels=3)


def test_settings_of_the_libraries_are_put_back(tmp_path):
    """Also when threads overlap."""
    tifffile.imwrite(tmp_path / 'a.tif', RGB, photometric='rgb')
    PIL.Image.fromarray(RGB).save(tmp_path / 'a.png')
    log = getattr(cv2.utils, 'logging', cv2)

    def settings():
        limits = PIL.PngImagePlugin.MAX_TEXT_CHUNK, PIL.PngImagePlugin.MAX_TEXT_MEMORY, PIL.Image.MAX_IMAGE_PIXELS
        return *limits, logging.getLogger('tifffile').disabled, log.getLogLevel(), warnings.filters[:]

    before = settings()

    def read():
        for _ in range(20):
            read_image(tmp_path / 'a.tif')
            list(read_frames(tmp_path / 'a.png'))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert settings() == before


@pytest.mark.skipif(sys.platform == 'win32', reason='pipes')
def test_pipes_are_refused_by_their_name():
    reader, writer = os.pipe()
    os.write(writer, b'\x89PNG\r\n\x1a\n')
    os.close(writer)
    try:
        for read in (read_header, read_image):
            with pytest.raises(ImageError, match=f'^/dev/fd/{reader}: not a regular file'):
                read(f'/dev/fd/{reader}')
    finally:
        os.close(reader)


@pytest.mark.parametrize('level', [0, 6])
@pytest.mark.parametrize('mode', ['L', 'P', 'RGB', 'RGBA'])
def test_a_flipped_bit_of_a_png_is_no_other_picture(tmp_path, mode, level):
    """Without compression every byte decodes; Pillow does not look at the checksums of the chunks."""
    path, file = tmp_path / 'a.png', io.BytesIO()
    PIL.Image.fromarray(RGB).convert(mode).save(file, 'PNG', compress_level=level, pnginfo=None)
    data = file.getvalue()
    path.write_bytes(data)
    whole = read_image(path).pixels
    for at in range(8, len(data) - 12, max(1, len(data) // 60)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        with pytest.raises(ImageError):
            read_image(path)
    path.write_bytes(data)
    same(read_image(path), whole)


def test_a_png_whose_description_is_damaged_is_read(tmp_path):
    info = PIL.PngImagePlugin.PngInfo()
    info.add_text('Comment', 'a' * 50)
    PIL.Image.fromarray(RGB).save(tmp_path / 'a.png', pnginfo=info)
    data = (tmp_path / 'a.png').read_bytes()
    (tmp_path / 'a.png').write_bytes(data.replace(b'aaaa', b'aaab', 1))
    same(read_image(tmp_path / 'a.png'), RGB)
