"""Image files written: other libraries read back every pixel and every word, and nothing is left half-written."""

import os
import struct
import subprocess
import sys
from dataclasses import replace
from io import BytesIO

import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.IptcImagePlugin
import PIL.TiffImagePlugin
import png
import pytest
import tifffile

from asid_plugin.images import (
    FORMATS,
    Image,
    ImageError,
    Metadata,
    Strips,
    check_size,
    read_image,
    write_frames,
    write_image,
)
from asid_plugin.images.exif import adapt_exif, without_subject
from asid_plugin.images.fitting import Fitted
from asid_plugin.images.metadata import adapt_xmp, fit_metadata
from asid_plugin.images.writers import tiff as tiff_writer
from asid_plugin.images.writers.png import filtered, filters

RNG = np.random.default_rng(0)
LAYOUTS = {'grey': 1, 'grey alpha': 2, 'RGB': 3, 'RGBA': 4}


def noise(channels, bits=8, height=37, width=29):
    pixels = RNG.integers(0, 2**bits, (height, width, channels), dtype=f'uint{bits}')
    if channels in (2, 4):
        pixels[:5, :5, -1] = 0
    return pixels


def smooth(channels=3, height=64, width=80):
    return cv2.GaussianBlur(noise(channels, 8, height, width), (0, 0), 2).reshape(height, width, channels)


def strips(pixels, counts=(1, 6, 2), **fields):
    """The pixels in strips of odd sizes."""
    height, width, channels = pixels.shape

    def rows():
        top, number = 0, 0
        while top < height:
            count = counts[number % len(counts)]
            yield pixels[top : top + count].copy()
            top, number = top + count, number + 1

    return Strips(height, width, channels, 8 * pixels.itemsize, rows(), **fields)


def profile(space=b'RGB '):
    data = bytearray(PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile('sRGB')).tobytes())
    data[16:20] = space
    return bytes(data)


def exif(order='<', orientation=1, thumbnail=b''):
    """A camera's EXIF block, laid out by Pillow."""
    head = b'II*\0\x08\0\0\0' if order == '<' else b'MM\0*\0\0\0\x08'
    main = PIL.TiffImagePlugin.ImageFileDirectory_v2(head)
    main[271], main[272], main[306], main[33432] = 'Maker', 'Model 1', '2024:05:06 07:08:09', 'Somebody'
    main[256], main[257], main[274], main[282] = 640, 480, orientation, 300.0
    main[283], main[296] = 300.0, 2
    main[34665] = {0xA002: 640, 0xA003: 480, 0x829A: PIL.TiffImagePlugin.IFDRational(1, 250), 0x927C: b'notes' * 9}
    main[34853] = {1: 'N', 2: (47.0, 22.0, 11.5), 29: '2024:05:06'}
    block = head + main.tobytes(8)
    if thumbnail:
        second = PIL.TiffImagePlugin.ImageFileDirectory_v2(head)
        second[259], second[513], second[514] = 6, 12345, len(thumbnail)
        start = len(block) + len(block) % 2
        second[513] = start + len(second.tobytes(start))
        (number,) = struct.unpack_from(f'{order}H', block, 8)
        block = bytearray(block.ljust(start, b'\0') + second.tobytes(start) + thumbnail)
        struct.pack_into(f'{order}I', block, 10 + 12 * number, start)
    return bytes(block)


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'tiff:ImageWidth="640" tiff:Orientation = \'6\' dc:format="a 640">'
    b'<tiff:ImageLength>480</tiff:ImageLength><exif:PixelXDimension> 640</exif:PixelXDimension>'
    b'<xmp:Thumbnails><rdf:Alt>AAAA\nBBBB</rdf:Alt></xmp:Thumbnails></rdf:Description></rdf:RDF></x:xmpmeta>'
)
IPTC = b'\x1c\x02\x69\x00\x05Title' + b'\x1c\x02\x50\x00\x06Author'
TEXT = {'Title': 'A title', 'Author': 'Zoë', 'Comment': 'снимок', 'Long': 'words and ' * 999, 'Lang': 'слова и ' * 999}
ALL = Metadata(profile(), exif(), XMP, IPTC, (300.0, 150.0), TEXT)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_png_is_what_pypng_reads(tmp_path, layout, bits):
    pixels = noise(LAYOUTS[layout], bits)
    assert write_image(strips(pixels), tmp_path / 'a.png') == []
    width, height, rows, info = png.Reader(str(tmp_path / 'a.png')).read()
    assert (height, width, info['planes'], info['bitdepth']) == (*pixels.shape, bits)
    assert (info['greyscale'], info['alpha']) == (layout.startswith('grey'), layout.endswith('A') or 'alpha' in layout)
    np.testing.assert_array_equal(np.vstack(list(rows)).reshape(pixels.shape), pixels)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_tiff_is_what_tifffile_reads(tmp_path, layout, bits):
    pixels = noise(LAYOUTS[layout], bits)
    assert write_image(strips(pixels), tmp_path / 'a.TIFF') == []
    with tifffile.TiffFile(tmp_path / 'a.TIFF') as file:
        page = file.pages[0]
        assert page.photometric.name == ('MINISBLACK' if layout.startswith('grey') else 'RGB')
        assert page.extrasamples == ((2,) if pixels.shape[2] in (2, 4) else ())
        assert page.dtype == pixels.dtype and page.compression.name == 'ADOBE_DEFLATE' and page.predictor == 2
        np.testing.assert_array_equal(page.asarray().reshape(pixels.shape), pixels)
    if pixels.shape[2] != 2:
        other = np.atleast_3d(cv2.imread(str(tmp_path / 'a.TIFF'), cv2.IMREAD_UNCHANGED))
        order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]
        if (layout, bits) != ('RGBA', 8):  # OpenCV's TIFF reader multiplies by alpha there
            np.testing.assert_array_equal(other[..., order], pixels)
    if bits == 8 or layout == 'grey':
        np.testing.assert_array_equal(
            np.atleast_3d(np.asarray(PIL.Image.open(tmp_path / 'a.TIFF'))), np.atleast_3d(pixels.squeeze())
        )


@pytest.mark.parametrize('layout', LAYOUTS)
def test_webp_keeps_every_pixel_also_where_nothing_is_seen(tmp_path, layout):
    pixels = noise(LAYOUTS[layout])
    assert write_image(strips(pixels), tmp_path / 'a.webp') == []
    want = pixels[..., [0, 0, 0, 1][: pixels.shape[2] + 2]] if pixels.shape[2] < 3 else pixels
    with PIL.Image.open(tmp_path / 'a.webp') as file:
        np.testing.assert_array_equal(np.asarray(file), want)


@pytest.mark.parametrize('layout', ['grey', 'RGB'])
def test_bmp_keeps_every_pixel(tmp_path, layout):
    pixels = noise(LAYOUTS[layout])
    assert write_image(strips(pixels), tmp_path / 'a.bmp') == []
    with PIL.Image.open(tmp_path / 'a.bmp') as file:
        assert file.mode == ('L' if layout == 'grey' else 'RGB')
        np.testing.assert_array_equal(np.asarray(file), pixels.squeeze())


def test_jpeg_is_close_and_keeps_full_colour_resolution(tmp_path):
    pixels = smooth()
    assert write_image(strips(pixels), tmp_path / 'a.jpg') == []
    with PIL.Image.open(tmp_path / 'a.jpg') as file:
        assert [layer[1:3] for layer in file.layer] == [(1, 1)] * 3
        assert np.abs(np.asarray(file).astype(int) - pixels).mean() < 2
    assert write_image(Image(smooth(1)), tmp_path / 'g.jpeg') == []
    with PIL.Image.open(tmp_path / 'g.jpeg') as file:
        assert file.mode == 'L'
        assert np.abs(np.asarray(file).astype(int) - smooth(1)[..., 0]).mean() < 99


def test_jpeg_quality(tmp_path):
    sizes = []
    for quality in (1, 50, 95, 100):
        write_image(Image(noise(3, 8, 200, 200)), tmp_path / 'a.jpg', quality)  # noise: more bytes than pixels
        sizes.append((tmp_path / 'a.jpg').stat().st_size)
    assert sizes == sorted(set(sizes)) and sizes[-1] > 200 * 200 * 3


@pytest.mark.slow
@pytest.mark.parametrize('suffix', sorted(set(FORMATS) - {'.jpeg', '.tif'}))
@pytest.mark.parametrize('shape', [(1, 1), (1, 300), (300, 1), (700, 900)])
def test_strips_make_the_same_file_as_the_whole(tmp_path, suffix, shape):
    pixels = np.ascontiguousarray(noise(3, 8, *shape)[::-1])
    metadata = replace(ALL, text={})
    write_image(Image(pixels, metadata), tmp_path / f'whole{suffix}')
    for number, counts in enumerate([(1,), (7, 300, 2), (1000,)]):
        write_image(strips(pixels, counts, metadata=metadata), tmp_path / f'{number}{suffix}')
        assert (tmp_path / f'{number}{suffix}').read_bytes() == (tmp_path / f'whole{suffix}').read_bytes()


def test_png_is_as_small_as_pillows(tmp_path):
    photo, text = smooth(3, 256, 256), np.full((256, 256, 3), 255, np.uint8)
    for row in range(20, 240, 20):
        cv2.putText(text, 'the same words in every line', (4, row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0))
    for pixels in (photo, text):
        write_image(Image(pixels), tmp_path / 'a.png')
        PIL.Image.fromarray(pixels).save(tmp_path / 'b.png')
        assert (tmp_path / 'a.png').stat().st_size < 1.1 * (tmp_path / 'b.png').stat().st_size


def paeth(left, up, corner):
    """As the PNG specification writes it."""
    p = left + up - corner
    pa, pb, pc = abs(p - left), abs(p - up), abs(p - corner)
    if pa <= pb and pa <= pc:
        return left
    return up if pb <= pc else corner


@pytest.mark.parametrize('top', [2, 5, 256])  # few values: many ties
@pytest.mark.parametrize('pixel', [1, 3, 8])
def test_png_filters_are_the_specifications(top, pixel):
    above, *rows = RNG.integers(0, top, (9, 40), dtype=np.uint8)
    previous = [above, *rows]
    residuals = []
    for now, up in zip(rows, previous, strict=False):
        left, corner = (np.concatenate([np.zeros(pixel, int), row[:-pixel].astype(int)]) for row in (now, up))
        now, up = now.astype(int), up.astype(int)
        nearest = np.array([paeth(*three) for three in zip(left, up, corner, strict=True)])
        residuals.append([(now - guess) % 256 for guess in (0 * now, left, up, (left + up) // 2, nearest)])
    np.testing.assert_array_equal(np.swapaxes(list(filters(above, np.array(rows), pixel)), 0, 1), residuals)
    got = filtered(above, np.array(rows), pixel)
    for line, candidates in zip(got, residuals, strict=True):
        sums = [np.minimum(residual, 256 - residual).sum() for residual in candidates]
        assert sums[line[0]] == min(sums)
        np.testing.assert_array_equal(line[1:], candidates[line[0]])


@pytest.mark.parametrize('suffix', ['.jpg', '.bmp'])
@pytest.mark.parametrize('bits', [8, 16])
def test_alpha_is_composited_over_white_with_a_note(tmp_path, suffix, bits):
    red = np.zeros((8, 8, 4), f'uint{bits}')
    top = 2**bits - 1
    red[..., 0], red[..., 3] = top, top // 5
    notes = write_image(Image(red), tmp_path / f'a{suffix}')
    name = FORMATS[suffix].name
    over = f'{name} is written without alpha: composited over white'
    assert notes == ([f'{name} holds 8 bits per channel, not 16'] if bits == 16 else []) + [over]
    with PIL.Image.open(tmp_path / f'a{suffix}') as file:
        np.testing.assert_allclose(np.asarray(file)[4, 4], [255, 204, 204], atol=2)
    red[..., 3] = top
    assert over not in write_image(Image(red), tmp_path / f'a{suffix}')
    write_image(Image(red[..., [0, 3]]), tmp_path / f'a{suffix}')
    with PIL.Image.open(tmp_path / f'a{suffix}') as file:
        assert file.mode == 'L'


@pytest.mark.parametrize('suffix', ['.bmp', '.webp'])
def test_16_bits_are_rounded_to_8_with_a_note(tmp_path, suffix):
    pixels = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64, 1).repeat(3, axis=2)
    notes = write_image(Image(pixels), tmp_path / f'a{suffix}')
    assert notes == [f'{FORMATS[suffix].name} holds 8 bits per channel, not 16']
    with PIL.Image.open(tmp_path / f'a{suffix}') as file:
        np.testing.assert_array_equal(np.asarray(file), np.floor(pixels / 257 + 0.5))


WITHOUT = {
    '.png': [],
    '.jpg': ['the text Title, Author, Long, Lang'],
    '.webp': ['IPTC', 'the text Title, Author, Comment, Long, Lang'],
    '.tif': ['the text Long, Lang'],
    '.bmp': ['the colour profile', 'EXIF', 'XMP', 'IPTC', 'the text Title, Author, Comment, Long, Lang'],
}


@pytest.mark.parametrize('suffix', WITHOUT)
def test_metadata_that_a_format_cannot_hold_are_named(tmp_path, suffix):
    name = FORMATS[suffix].name
    assert write_image(Image(smooth(), ALL), tmp_path / f'a{suffix}') == [
        f'{name} is written without {kind}' for kind in WITHOUT[suffix]
    ]
    assert write_image(Image(smooth(), Metadata()), tmp_path / f'a{suffix}') == []


def test_a_resolution_that_exif_tells_too_is_not_lost(tmp_path):
    assert write_image(Image(smooth(), Metadata(dpi=(300, 300), exif=exif())), tmp_path / 'a.webp') == []
    assert write_image(Image(smooth(), Metadata(dpi=(300, 300))), tmp_path / 'a.webp') == [
        'WebP is written without the resolution'
    ]
    for dpi in ((0, 300), (300, float('nan')), (1e9, 1e9)):
        (note,) = write_image(Image(smooth(), Metadata(dpi=dpi)), tmp_path / 'a.png')
        assert note.startswith('the resolution is left out: ')


def test_a_resolution_that_only_exif_tells_stands_in_tiff(tmp_path):
    assert write_image(Image(smooth(), Metadata(exif=exif())), tmp_path / 'a.tif') == []
    assert read_image(tmp_path / 'a.tif').metadata.dpi == (300, 300) == read_dpi(tmp_path / 'a.tif')
    assert write_image(Image(smooth(), Metadata(exif=exif(), dpi=(72, 72))), tmp_path / 'a.tif') == []
    assert read_image(tmp_path / 'a.tif').metadata.dpi == (72, 72) == read_dpi(tmp_path / 'a.tif')


def read_dpi(path):
    with PIL.Image.open(path) as file:
        return file.info['dpi']


def test_a_profile_for_other_channels_is_left_out(tmp_path):
    for space, channels, suffix, fits in (
        (b'RGB ', 3, '.png', True),
        (b'RGB ', 1, '.jpg', False),
        (b'GRAY', 2, '.tif', True),
        (b'GRAY', 1, '.webp', False),  # which makes it RGB
        (b'CMYK', 4, '.png', False),
    ):
        pixels = smooth(channels)
        notes = write_image(Image(pixels, Metadata(profile(space))), tmp_path / f'a{suffix}')
        assert len(notes) == (not fits) and all('the colour profile is left out: ' in note for note in notes)
        with PIL.Image.open(tmp_path / f'a{suffix}') as file:
            assert file.info.get('icc_profile') == (profile(space) if fits else None)


def test_metadata_too_long_for_jpeg_are_left_out_with_a_note(tmp_path):
    long = Metadata(
        text={'Comment': 'c' * 65_534},
        exif=exif(thumbnail=b'')[:-1] + b'x' * 65_500,
        xmp=XMP + b' ' * 65_500,
        iptc=b'\x1c' * 65_507,
    )
    notes = write_image(Image(smooth(), long), tmp_path / 'a.jpg')
    kinds = ('EXIF', 'XMP', 'IPTC', 'the text Comment')
    assert [note.split(':')[0] for note in notes] == [f'JPEG is written without {kind}' for kind in kinds]
    assert 'bytes, more than 65527' in notes[0]
    fits = Metadata(
        profile=profile() + bytes(200_000),
        exif=exif().ljust(65_526, b'\0') + b'x',
        xmp=adapt_xmp(XMP, 64, 80).ljust(65_504),
        iptc=IPTC.ljust(65_506),
        text={'Comment': 'c' * 65_533},
    )
    assert write_image(Image(smooth(), fits), tmp_path / 'a.jpg') == []
    with PIL.Image.open(tmp_path / 'a.jpg') as file:
        assert file.info['icc_profile'] == fits.profile and file.info['xmp'] == fits.xmp
        assert len(file.info['exif']) == 65_533 and file.info['comment'] == b'c' * 65_533
        assert file.info['photoshop'][0x0404] == fits.iptc


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.tif'])
def test_exif_tells_the_new_size_and_nothing_else_changes(tmp_path, suffix, order):
    block = exif(order, orientation=6, thumbnail=b'\xff\xd8 thumbnail \xff\xd9')
    assert write_image(Image(smooth(), Metadata(exif=block)), tmp_path / f'a{suffix}') == []
    assert b'thumbnail' not in (tmp_path / f'a{suffix}').read_bytes()
    with PIL.Image.open(tmp_path / f'a{suffix}') as file:
        got = file.getexif()
        inner, gps = got.get_ifd(34665), got.get_ifd(34853)
        assert not got.get_ifd(1)
    assert [got[tag] for tag in (271, 272, 306, 33432)] == ['Maker', 'Model 1', '2024:05:06 07:08:09', 'Somebody']
    assert (got.get(274, 1), got.get(256, 80), got.get(257, 64)) == (1, 80, 64)
    assert inner == {0xA002: 80, 0xA003: 64, 0x829A: 1 / 250, 0x927C: b'notes' * 9}
    assert gps == {1: 'N', 2: (47.0, 22.0, 11.5), 29: '2024:05:06'}
    if suffix == '.tif':
        with tifffile.TiffFile(tmp_path / 'a.tif') as file:
            assert file.byteorder == order
            assert file.pages[0].tags['ExifTag'].value['PixelXDimension'] == 80
            assert file.pages[0].tags['GPSTag'].value['GPSDateStamp'] == '2024:05:06'


def test_large_sizes_are_written_over_small_ones():
    block = exif()
    for height, width in ((3, 70_000), (70_000, 3)):
        got = PIL.Image.Exif()
        got.load(adapt_exif(block, (height, width)))
        assert (got[256], got[257], got.get_ifd(34665)[0xA002], got.get_ifd(34665)[0xA003]) == (width, height) * 2


def test_makers_notes_stay_in_their_place():
    for thumbnail in (b'', b'\xff\xd8' + bytes(99)):
        block = exif(thumbnail=thumbnail)
        assert adapt_exif(block, (64, 80)).index(b'notesnotes') == block.index(b'notesnotes')
    without = adapt_exif(exif(thumbnail=b'\xff\xd8' * 50), (480, 640))
    assert without.rstrip(b'\0') == exif().rstrip(b'\0') and len(without) <= len(exif()) + 1


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.tif'])
@pytest.mark.parametrize(
    'block',
    [
        b'no EXIF',
        b'II*\0\x08\0\0',
        exif()[:60],
        b'II*\0\xff\xff\0\0',
        exif().replace(b'\x69\x87\x04\0\x01\0\0\0', b'\x69\x87\x04\0\x01\0\0\0\xff'),
    ],
)
def test_damaged_exif_is_left_out_with_a_note(tmp_path, suffix, block):
    assert write_image(Image(smooth(), Metadata(exif=block)), tmp_path / f'a{suffix}') == [
        'EXIF is left out: it is damaged'
    ]
    with PIL.Image.open(tmp_path / f'a{suffix}') as file:
        assert 34665 not in file.getexif()


def test_no_damage_of_exif_makes_writing_fail():
    block, pixels = exif('>', 6, b'\xff\xd8 thumbnail'), noise(1, 8, 3, 3)
    rng = np.random.default_rng(1)
    left_out = 0
    for _ in range(250):
        damaged = np.frombuffer(block, np.uint8).copy()
        places = rng.integers(8, len(block), rng.integers(1, 6))
        damaged[places] = rng.integers(0, 256, len(places))
        data = damaged.tobytes()[: rng.integers(8, len(block) + 1) if rng.random() < 0.3 else None]
        fitted = Fitted(strips(pixels, metadata=Metadata(exif=data)), FORMATS['.tif'])
        file = BytesIO()
        assert tiff_writer.write_tiff(file, iter([fitted.strips])) == []
        left_out += fitted.notes == ['EXIF is left out: it is damaged']
        file.seek(0)
        np.testing.assert_array_equal(tifffile.imread(file), pixels[..., 0])
    assert 10 < left_out < 240


def test_xmp_tells_the_new_size(tmp_path):
    got = adapt_xmp(XMP, 64, 80)
    assert b'tiff:ImageWidth="80" tiff:Orientation = \'1\' dc:format="a 640">' in got
    assert b'<tiff:ImageLength>64</tiff:ImageLength><exif:PixelXDimension> 80</exif:PixelXDimension></rdf' in got
    for suffix in ('.png', '.jpg', '.webp', '.tif'):
        write_image(Image(smooth(), Metadata(xmp=XMP)), tmp_path / f'a{suffix}')
        with PIL.Image.open(tmp_path / f'a{suffix}') as file:
            xmp = file.info['xmp']
            assert (xmp.encode() if isinstance(xmp, str) else xmp) == got


def test_xmp_scales_a_panorama_and_the_size_of_regions():
    """As attributes and as elements."""
    xmp = (
        b'<r GPano:FullPanoWidthPixels="4000" GPano:CroppedAreaImageWidthPixels="1000" GPano:Heading="90.5">'
        b'<GPano:CroppedAreaLeftPixels>501</GPano:CroppedAreaLeftPixels>'
        b'<GPano:CroppedAreaImageHeightPixels>300</GPano:CroppedAreaImageHeightPixels>'
        b'<GPano:LargestValidInteriorRectTop>6</GPano:LargestValidInteriorRectTop>'
        b'<mwg-rs:AppliedToDimensions stDim:w="1000" stDim:h="300" stDim:unit="pixel"/>'
        b'<mwg-rs:AppliedToDimensions rdf:parseType="Resource"><stDim:w>1000</stDim:w><stDim:h>300</stDim:h>'
        b'</mwg-rs:AppliedToDimensions><xmpTPg:MaxPageSize stDim:w="8" stDim:h="11" stDim:unit="inch"/></r>'
    )
    want = xmp
    for old, new in (
        (b'="4000"', b'="8000"'),
        (b'1000', b'2000'),
        (b'>501<', b'>1002<'),
        (b'300', b'900'),
        (b'>6<', b'>18<'),
    ):
        want = want.replace(old, new)
    assert adapt_xmp(xmp, 900, 2000) == want
    assert fit_metadata(Metadata(xmp=xmp), FORMATS['.png'], 900, 2000, 3)[1] == []


def test_places_in_pixels_of_an_unknown_size_are_left_out_with_a_note():
    xmp = (
        b'<r GPano:FullPanoWidthPixels="4000" exif:SubjectLocation=\'3 4\' a="b"><GPano:CroppedAreaTopPixels>6'
        b'</GPano:CroppedAreaTopPixels><exif:SubjectArea><rdf:Seq><rdf:li>5</rdf:li></rdf:Seq></exif:SubjectArea></r>'
    )
    got, notes = fit_metadata(Metadata(xmp=xmp), FORMATS['.png'], 900, 2000, 3)
    assert got.xmp == b'<r a="b"></r>' and notes == ['positions in pixels in XMP are left out']


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.tif'])
def test_the_place_of_the_subject_is_left_out_of_exif(tmp_path, suffix, order):
    head = b'II*\0\x08\0\0\0' if order == '<' else b'MM\0*\0\0\0\x08'
    main = PIL.TiffImagePlugin.ImageFileDirectory_v2(head)
    main[271] = 'Maker'
    main[34665] = {0x829A: 0.5, 0x9214: (320, 240, 64, 48), 0x927C: b'notes' * 9, 0xA002: 640, 0xA214: (3, 4)}
    block = head + main.tobytes(8)
    notes = write_image(Image(smooth(), Metadata(exif=block)), tmp_path / f'a{suffix}')
    assert notes == ['the location of the subject in EXIF is left out']
    with PIL.Image.open(tmp_path / f'a{suffix}') as file:
        got = file.getexif()
        assert got[271] == 'Maker'
        assert got.get_ifd(34665) == {0x829A: 0.5, 0x927C: b'notes' * 9, 0xA002: 80}
    assert without_subject(block).index(b'notesnotes') == block.index(b'notesnotes')
    assert without_subject(exif(order)) == exif(order)


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.tif', '.bmp'])
def test_profile_resolution_and_iptc_come_back(tmp_path, suffix):
    write_image(Image(smooth(), ALL), tmp_path / f'a{suffix}')
    with PIL.Image.open(tmp_path / f'a{suffix}') as file:
        file.load()
        assert file.info.get('icc_profile') == (None if suffix == '.bmp' else ALL.profile)
        if suffix != '.webp':
            assert file.info['dpi'] == pytest.approx((300, 150), abs=0.02)
        if suffix in ('.jpg', '.tif'):
            assert PIL.IptcImagePlugin.getiptcinfo(file) == {(2, 105): b'Title', (2, 80): b'Author'}


def test_png_has_iptc_as_imagemagick_writes_it(tmp_path):
    iptc = IPTC + b'\x1c\x02\x78' + bytes([0, 91]) + b'c' * 91
    assert len(iptc) % 2
    write_image(Image(smooth(), Metadata(iptc=iptc)), tmp_path / 'a.png')
    with PIL.Image.open(tmp_path / 'a.png') as file:
        file.load()
        start, name, length, *lines, end = file.text['Raw profile type iptc'].split('\n')
    data = bytes.fromhex(''.join(lines))
    assert (start, name, int(length), end) == ('', 'iptc', len(data), '') and max(map(len, lines)) == 72
    assert data == b'8BIM\x04\x04\0\0' + len(iptc).to_bytes(4, 'big') + iptc + b'\0'


def test_png_texts(tmp_path):
    texts = {
        **TEXT,
        'XML:com.adobe.xmp': 'old',
        'Raw profile type exif': 'old',
        ' space': 'x',
        'k' * 80: 'x',
        'ключ': '',
    }
    notes = write_image(Image(smooth(), Metadata(text=texts, xmp=XMP)), tmp_path / 'a.png')
    assert notes == [f'PNG is written without the text Raw profile type exif,  space, {"k" * 80}, ключ']
    with PIL.Image.open(tmp_path / 'a.png') as file:
        file.load()
        assert {key: value for key, value in file.text.items() if key in TEXT} == TEXT
        assert set(file.text) == {*TEXT, 'XML:com.adobe.xmp'}
    kinds = [kind for kind, _ in png.Reader(str(tmp_path / 'a.png')).chunks()]
    assert [kinds.count(kind) for kind in (b'tEXt', b'zTXt', b'iTXt')] == [2, 1, 3]
    assert (tmp_path / 'a.png').stat().st_size < 20_000, 'long texts are compressed'


def test_tiff_texts(tmp_path):
    text = {'Title': 'T', 'Description': 'Ä', 'Comment': 'C', 'Author': 'A', 'Copyright': 'Somebody', 'Software': 'S'}
    notes = write_image(Image(smooth(), Metadata(text=text, exif=exif())), tmp_path / 'a.tif')
    assert notes == ['TIFF is written without the text Comment: EXIF has another text for it']
    with tifffile.TiffFile(tmp_path / 'a.tif') as file:
        tags = file.pages[0].tags
        assert [tags[code].value for code in (269, 315, 33432, 305)] == ['T', 'A', 'Somebody', 'S']
        assert tags[270].value == 'Ä'


def animation(mixed=False):
    """Frames, and as Pillow shall show them."""
    frames = [smooth(channels, 20, 24) for channels in ((1, 3, 4, 2) if mixed else (4, 4, 4, 4))]
    for number, frame in enumerate(frames):
        if frame.shape[2] in (2, 4):
            frame[..., -1] = 255
            frame[number : number + 3, 5:, -1] = 0
            frame[frame[..., -1] == 0] = 0
    durations = [40, 70_000, 0, 130]
    want = [PIL.Image.fromarray(frame.squeeze()).convert('RGBA') for frame in frames]
    return (
        [strips(frame, duration=d, metadata=ALL) for frame, d in zip(frames, durations, strict=True)],
        want,
        durations,
    )


def seen(picture):
    """RGBA with black where nothing is seen: there WebP's encoder of animations keeps the frame before."""
    pixels = np.array(picture)
    return np.where(pixels[..., 3:] == 0, 0, pixels)


@pytest.mark.parametrize('mixed', [False, True])
@pytest.mark.parametrize('suffix', ['.png', '.webp'])
def test_animations_come_back(tmp_path, suffix, mixed):
    frames, want, durations = animation(mixed)
    notes = write_frames(iter(frames), tmp_path / f'a{suffix}', animated=True, loop=3)
    kinds = WITHOUT[suffix]
    assert notes == [f'{FORMATS[suffix].name} is written without {kind}' for kind in kinds]
    with PIL.Image.open(tmp_path / f'a{suffix}') as file:
        assert (file.n_frames, file.info['loop'], file.info['icc_profile']) == (4, 3, ALL.profile)
        assert file.getexif()[272] == 'Model 1'
        for number, picture in enumerate(want):
            file.seek(number)
            np.testing.assert_array_equal(seen(file.convert('RGBA')), seen(picture))
            assert file.info['duration'] == durations[number]


def test_the_first_frame_is_what_programs_without_animation_show(tmp_path):
    frames, want, _ = animation()
    write_frames(frames, tmp_path / 'a.png', animated=True)
    _, _, rows, info = png.Reader(str(tmp_path / 'a.png')).read()
    assert info['planes'] == 4
    np.testing.assert_array_equal(np.vstack(list(rows)).reshape(20, 24, 4), np.asarray(want[0]))


def test_animations_of_16_bits(tmp_path):
    frames = [Image(noise(3, 16, 9, 7), duration=50) for _ in range(2)]
    assert write_frames(frames, tmp_path / 'a.png', animated=True) == []
    _, _, rows, info = png.Reader(str(tmp_path / 'a.png')).read()
    assert info['bitdepth'] == 16
    np.testing.assert_array_equal(np.vstack(list(rows)).reshape(9, 7, 4)[..., :3], frames[0].pixels)
    assert write_frames(frames, tmp_path / 'a.webp', animated=True) == ['WebP holds 8 bits per channel, not 16']


def test_pages_come_back_each_of_its_kind(tmp_path):
    kinds = [(1, 8, '<'), (4, 16, '>'), (3, 8, '<'), (2, 16, '>')]
    pages = [noise(channels, bits, 20 + channels, 31) for channels, bits, _ in kinds]
    pictures = [
        strips(page, metadata=Metadata(exif=exif(order), text={'Title': str(n)}))
        for n, (page, (_, _, order)) in enumerate(zip(pages, kinds, strict=True))
    ]
    assert write_frames(iter(pictures), tmp_path / 'a.tif', animated=False) == []
    with tifffile.TiffFile(tmp_path / 'a.tif') as file:
        assert len(file.pages) == 4
        for number, (page, want) in enumerate(zip(file.pages, pages, strict=True)):
            np.testing.assert_array_equal(page.asarray().reshape(want.shape), want)
            assert page.tags['ExifTag'].value['PixelXDimension'] == 31
            assert page.tags['ExifTag'].value['ExposureTime'] == (1, 250)
            assert page.tags[269].value == str(number)


def test_an_animation_as_pages_loses_its_durations(tmp_path):
    frames, want, _ = animation()
    notes = write_frames(frames, tmp_path / 'a.tif', animated=True)
    assert notes[-1] == 'TIFF is written without the durations of the frames'
    assert len(notes) == len(set(notes)) == 2
    np.testing.assert_array_equal(tifffile.imread(tmp_path / 'a.tif'), np.stack([np.asarray(page) for page in want]))


def test_frames_that_do_not_go_in_are_errors(tmp_path):
    frames = [Image(noise(3)), Image(noise(3, height=5))]
    for suffix, animated, reason in (
        ('.jpg', True, 'JPEG holds one picture only'),
        ('.bmp', False, 'BMP holds one picture only'),
        ('.png', False, 'PNG holds no pages'),
        ('.png', True, 'the frames of an animation must have the same size, not 29x37 and 29x5'),
        ('.gif', True, 'the name must end in one of'),
    ):
        with pytest.raises(ImageError, match=rf'a\{suffix}: {reason}'):
            write_frames(frames, tmp_path / f'a{suffix}', animated)
    with pytest.raises(ImageError, match='there is no frame'):
        write_frames([], tmp_path / 'a.png', animated=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('order', '<>')
def test_above_4_gigabytes_a_tiff_is_a_bigtiff(tmp_path, monkeypatch, order):
    """The limit is lowered, so that the file need not be large."""
    monkeypatch.setattr(tiff_writer, '_TOP', 2000)
    pages = [noise(3, 16, 60, 50), noise(4, 8, 40, 30)]
    metadata = replace(ALL, exif=exif(order), text={})
    write_frames([strips(page, metadata=metadata) for page in pages], tmp_path / 'a.tif', animated=False)
    with tifffile.TiffFile(tmp_path / 'a.tif') as file:
        assert file.is_bigtiff and file.byteorder == order
        for page, want in zip(file.pages, pages, strict=True):
            np.testing.assert_array_equal(page.asarray(), want)
            assert page.tags['ExifTag'].value['ExposureTime'] == (1, 250)
            assert page.tags['GPSTag'].value['GPSLatitude'] == (47, 1, 22, 1, 23, 2)
            assert page.iccprofile == ALL.profile
    if order == '<':  # Pillow does not know the other header
        with PIL.Image.open(tmp_path / 'a.tif') as file:
            assert file.getexif()[272] == 'Model 1'


def test_names_may_be_of_any_alphabet_and_folders_are_made(tmp_path):
    path = tmp_path / 'Fotos für 祖母' / 'снимок №1.png'
    write_image(Image(noise(1)), path)
    assert os.listdir(path.parent) == [path.name]


def test_impossible_outputs_are_errors(tmp_path):
    with pytest.raises(ImageError, match=r'a\.gif: the name must end in one of \.png'):
        write_image(Image(noise(3)), tmp_path / 'a.gif')
    with pytest.raises(ImageError, match=r'16384x1 is too large: WebP allows 16383'):
        write_image(Image(noise(3, height=1, width=16384)), tmp_path / 'a.webp')
    (tmp_path / 'file').touch()
    with pytest.raises(ImageError, match=r'file/a\.png: '):
        write_image(Image(noise(3)), tmp_path / 'file' / 'a.png')
    assert os.listdir(tmp_path) == ['file']


@pytest.mark.parametrize('suffix', ['.jpg', '.webp'])
def test_the_largest_side_can_be_written(tmp_path, suffix):
    side = FORMATS[suffix].max_side
    for height, width in ((1, side), (side, 1)):
        write_image(Image(np.zeros((height, width, 1), np.uint8)), tmp_path / f'a{suffix}')
        with PIL.Image.open(tmp_path / f'a{suffix}') as file:
            assert file.size == (width, height)
    with pytest.raises(ImageError):
        check_size(f'a{suffix}', side + 1, 1)


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.tif', '.bmp'])
@pytest.mark.parametrize('error', [FloatingPointError, KeyboardInterrupt, OSError, ImageError])
def test_a_picture_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path, suffix, error):
    path = tmp_path / f'a{suffix}'
    path.write_bytes(b'old')
    failure = error(5, 'of the source')

    def rows():
        yield noise(3, 8, 600, 300)
        raise failure

    broken = Strips(1000, 300, 3, 8, rows())
    calls = [lambda: write_image(broken, path)]
    if FORMATS[suffix].frames:
        calls.append(lambda: write_frames(iter([Image(noise(3, 8, 1000, 300)), broken]), path, animated=True))
    for call in calls:
        broken = replace(broken, rows=rows())
        with pytest.raises(error) as caught:
            call()
        assert caught.value is failure
        assert path.read_bytes() == b'old' and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize('rows', [36, 38])
def test_strips_that_do_not_add_up_are_no_picture(tmp_path, rows):
    for suffix in FORMATS:
        with pytest.raises(ValueError, match=f'strips of {rows} rows in all, for a picture of 37'):
            write_image(Strips(37, 29, 3, 8, [noise(3, height=rows)]), tmp_path / f'a{suffix}')
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='no resource limits on Windows')
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    """The disk is full half-way, or at the last bytes: here, the process may write no file above so many bytes."""
    program = f"""
import os, resource, signal
from pathlib import Path
import numpy as np
from asid_plugin.images import Image, ImageError, write_frames, write_image
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path({str(tmp_path)!r})
image = Image(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
for suffix in ('.png', '.jpg', '.webp', '.tif', '.bmp'):
    path = folder / f'a{{suffix}}'
    write_image(image, path)
    size = path.stat().st_size
    for limit in (0, 1000, size - 1):
        path.write_bytes(b'old') if limit else None
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            write_image(image, path)
        except ImageError as error:
            assert str(error) == f'{{path}}: File too large', error
        else:
            raise SystemExit(f'{{suffix}} {{limit}}: no error')
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert path.read_bytes() == b'old' or not limit
    assert sorted(os.listdir(folder)) == [path.name]
    path.unlink()
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='no resource limits on Windows')
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_60_megapixels_need_little_memory(tmp_path, suffix):
    program = f"""
import resource
import numpy as np
from asid_plugin.images import Image, Strips, write_image
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def picture(height):
    return Strips(height, 10_000, 3, 8, (strip for _ in range(height // 100)))
strip = np.zeros((100, 10_000, 3), np.uint8)
strip[::7, ::11] = 200
write_image(picture(500), {str(tmp_path / f'small{suffix}')!r})
before = peak()
write_image(picture(6_000), {str(tmp_path / f'a{suffix}')!r})
print(peak() - before)
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    grown = int(done.stdout) / (1024 if sys.platform == 'linux' else 1024**2)
    assert grown < 16, f'{grown:.0f} MiB, of 172 MiB of pixels'


def test_an_existing_file_is_replaced(tmp_path):
    for pixels in (noise(1), noise(3)):
        write_image(Image(pixels), tmp_path / 'a.png')
        with PIL.Image.open(BytesIO((tmp_path / 'a.png').read_bytes())) as file:
            np.testing.assert_array_equal(np.asarray(file), pixels.squeeze())
    assert os.listdir(tmp_path) == ['a.png']


@pytest.mark.slow
def test_pillow_opens_a_png_with_huge_texts(tmp_path):
    texts = {'Title': 'words ' * 200_000, 'Author': 'слова ' * 100_000}
    huge = Metadata(profile() + bytes(2**21), iptc=IPTC + bytes(2**19), xmp=XMP + b' ' * 2**21, text=texts)
    assert write_image(Image(smooth(), replace(huge, profile=None)), tmp_path / 'a.png') == []
    with PIL.Image.open(tmp_path / 'a.png') as file:
        file.load()
        assert {key: file.text[key] for key in texts} == texts
    assert write_image(Image(smooth(), huge), tmp_path / 'a.png') == []
    got = read_image(tmp_path / 'a.png').metadata
    assert (got.profile, got.iptc, got.text) == (huge.profile, huge.iptc, texts)
    assert got.xmp.rstrip() == adapt_xmp(XMP, 64, 80) and len(got.xmp) > 2**21
