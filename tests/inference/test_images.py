"""Image files: what is read is what was there, what is written comes back, nothing is left half-written."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import pytest

from asid_plugin.inference.images import FORMATS, Image, ImageError, check_size, read_image, write_image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (20, 24), dtype=np.uint8)
ALPHA[0, 0] = 0
GREY = RGB[..., 0].copy()
RGB16 = RNG.integers(0, 65536, (20, 24, 3), dtype=np.uint16)
ALPHA16 = RNG.integers(0, 65536, (20, 24), dtype=np.uint16)
HAS_PROFILES = tuple(int(part) for part in cv2.__version__.split('.')[:2]) >= (4, 13)
needs_profiles = pytest.mark.skipif(not HAS_PROFILES, reason=f'OpenCV {cv2.__version__} does not read colour profiles')


def floats(pixels):
    return (pixels.astype(np.float64) / np.iinfo(pixels.dtype).max).astype(np.float32)


def integers(values, bits=8):
    return np.rint(values * (2**bits - 1)).astype(int)


def image(colour, alpha=None, bits=8, profile=None):
    grey = colour.ndim == 2
    rgb = np.repeat(colour[..., None], 3, axis=2) if grey else colour
    return Image(floats(rgb), None if alpha is None else floats(alpha), bits, grey, profile)


KINDS = {
    'grey8': image(GREY),
    'rgb8': image(RGB),
    'rgba8': image(RGB, ALPHA),
    'grey alpha8': image(GREY, ALPHA),
    'grey16': image(RGB16[..., 0], bits=16),
    'rgb16': image(RGB16, bits=16),
    'rgba16': image(RGB16, ALPHA16, bits=16),
    'one pixel': image(RGB[:1, :1]),
}


def assert_same(got, want):
    assert (got.bits, got.grey, got.alpha is None) == (want.bits, want.grey, want.alpha is None)
    assert got.rgb.dtype == np.float32 and got.rgb.flags['C_CONTIGUOUS']
    np.testing.assert_array_equal(integers(got.rgb, got.bits), integers(want.rgb, got.bits))
    if want.alpha is not None:
        np.testing.assert_array_equal(integers(got.alpha, got.bits), integers(want.alpha, got.bits))


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.TIFF'])
@pytest.mark.parametrize('kind', KINDS)
def test_png_and_tiff_bring_everything_back(tmp_path, kind, suffix):
    path = tmp_path / f'a{suffix}'
    assert write_image(KINDS[kind], path) == []
    assert_same(read_image(path), KINDS[kind])


@pytest.mark.parametrize('suffix', ['.bmp', '.webp'])
def test_bmp_and_webp_bring_8_bits_back(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    assert write_image(image(RGB), path) == []
    assert_same(read_image(path), image(RGB))


def test_webp_brings_alpha_back(tmp_path):
    alpha = np.maximum(ALPHA, 1)  # where nothing is seen, WebP keeps no colour
    assert write_image(image(RGB, alpha), tmp_path / 'a.webp') == []
    assert_same(read_image(tmp_path / 'a.webp'), image(RGB, alpha))


def test_jpeg_is_close_and_keeps_full_colour_resolution(tmp_path):
    smooth = cv2.GaussianBlur(RGB, (0, 0), 1)
    assert write_image(image(smooth), tmp_path / 'a.jpg') == []
    with PIL.Image.open(tmp_path / 'a.jpg') as file:
        assert [layer[1:3] for layer in file.layer] == [(1, 1)] * 3
        assert np.abs(np.asarray(file).astype(int) - smooth).mean() < 3  # swapped channels would be 40
    assert write_image(image(GREY), tmp_path / 'g.jpeg') == []
    assert read_image(tmp_path / 'g.jpeg').grey


@pytest.mark.parametrize('suffix', ['.jpg', '.bmp'])
def test_alpha_is_composited_over_white_with_a_note(tmp_path, suffix):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    alpha = np.full((8, 8), 51, np.uint8)
    notes = write_image(image(red, alpha), tmp_path / f'a{suffix}')
    assert len(notes) == 1 and 'over white' in notes[0]
    got = read_image(tmp_path / f'a{suffix}')
    assert got.alpha is None
    np.testing.assert_allclose(integers(got.rgb[4, 4]), [255, 204, 204], atol=2)
    assert write_image(image(red, np.full_like(alpha, 255)), tmp_path / f'a{suffix}') == []


@pytest.mark.parametrize('suffix', ['.jpg', '.bmp', '.webp'])
def test_16_bits_become_8_with_a_note(tmp_path, suffix):
    notes = write_image(image(np.full((8, 8, 3), 257 * 100, np.uint16), bits=16), tmp_path / f'a{suffix}')
    assert len(notes) == 1 and '8 bits' in notes[0]
    got = read_image(tmp_path / f'a{suffix}')
    assert got.bits == 8
    np.testing.assert_allclose(integers(got.rgb), 100, atol=1)


def test_values_are_rounded_and_clipped(tmp_path):
    values = np.array([[-0.5, 0.4 / 255, 0.6 / 255, 254.4 / 255, 1.5]], np.float32)
    write_image(Image(np.repeat(values[..., None], 3, axis=2)), tmp_path / 'a.png')
    assert cv2.imread(str(tmp_path / 'a.png'))[0, :, 0].tolist() == [0, 0, 1, 254, 255]


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif', '.webp'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_is_honoured(tmp_path, suffix, orientation):
    if suffix == '.webp' and not HAS_PROFILES:
        pytest.skip(f'OpenCV {cv2.__version__} does not read EXIF in WebP')
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f'a{suffix}'
    PIL.Image.fromarray(RGB).save(
        path, exif=exif, lossless=True, quality=100, **({'subsampling': 0} if suffix == '.jpg' else {})
    )
    with PIL.Image.open(path) as file:
        upright = np.asarray(PIL.ImageOps.exif_transpose(file))
    got = integers(read_image(path).rgb)
    assert got.shape == upright.shape
    assert np.abs(got - upright).max() <= (3 if suffix == '.jpg' else 0)


def test_exif_orientation_turns_alpha_too(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x112] = 6
    PIL.Image.fromarray(np.dstack([RGB, ALPHA])).save(tmp_path / 'a.png', exif=exif)
    turned = image(np.rot90(RGB, -1), np.rot90(ALPHA, -1))
    assert_same(read_image(tmp_path / 'a.png'), turned)


def pillow(tmp_path, picture, name, **options):
    picture.save(tmp_path / name, **options)
    return read_image(tmp_path / name)


def test_palettes_become_colours(tmp_path):
    palette = PIL.Image.fromarray(RGB).quantize(64)
    colours = np.asarray(palette.convert('RGB'))
    for name in ('a.png', 'a.bmp', 'a.tif'):
        assert_same(pillow(tmp_path, palette, name), image(colours))
    transparent = np.where(np.asarray(palette) == 3, 0, 255).astype(np.uint8)
    assert_same(pillow(tmp_path, palette, 'b.png', transparency=3), image(colours, transparent))


def test_grey_with_alpha_is_grey(tmp_path):
    got = pillow(tmp_path, PIL.Image.fromarray(np.dstack([GREY, ALPHA]), 'LA'), 'a.png')
    assert_same(got, image(GREY, ALPHA))


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif'])
def test_one_bit_becomes_eight(tmp_path, name):
    got = pillow(tmp_path, PIL.Image.fromarray(GREY > 128), name)
    assert_same(got, image(np.where(GREY > 128, 255, 0).astype(np.uint8)))


def test_cmyk_jpeg_is_read_as_rgb(tmp_path):
    smooth = cv2.GaussianBlur(RGB, (0, 0), 2)
    cmyk = PIL.Image.fromarray(smooth).convert('CMYK')
    got = pillow(tmp_path, cmyk, 'a.jpg', quality=100, subsampling=0)
    assert (got.bits, got.grey, got.alpha) == (8, False, None)
    assert np.abs(integers(got.rgb) - smooth).max() <= 4


@pytest.mark.parametrize('order', ['<', '>'])
def test_tiff_colours_are_not_darkened_by_alpha(tmp_path, order):
    """Libtiff multiplies 8-bit colours by their alpha on reading; that is undone, whatever the byte order."""
    tifffile = pytest.importorskip('tifffile')
    alpha = np.maximum(ALPHA, 128)
    tifffile.imwrite(
        tmp_path / 'a.tif', np.dstack([RGB, alpha]), photometric='rgb', extrasamples=['unassalpha'], byteorder=order
    )
    got = read_image(tmp_path / 'a.tif')
    np.testing.assert_array_equal(integers(got.alpha), alpha)
    assert np.abs(integers(got.rgb) - RGB).max() <= 1
    tifffile.imwrite(
        tmp_path / 'b.tif', np.dstack([RGB16, ALPHA16]), photometric='rgb', extrasamples=['unassalpha'], byteorder=order
    )
    assert_same(read_image(tmp_path / 'b.tif'), KINDS['rgba16'])
    half = np.full((4, 4, 4), 32768, np.uint16)
    tifffile.imwrite(tmp_path / 'c.tif', half, photometric='rgb', extrasamples=['assocalpha'], byteorder=order)
    np.testing.assert_array_equal(read_image(tmp_path / 'c.tif').rgb, 1)


def test_names_may_be_of_any_alphabet_and_need_not_say_the_format(tmp_path):
    folder = tmp_path / 'Fotos für 祖母'
    folder.mkdir()
    write_image(image(RGB), folder / 'снимок №1.png')
    (folder / 'снимок №1.png').rename(folder / 'снимок.jpg')
    assert_same(read_image(folder / 'снимок.jpg'), image(RGB))


def profile(mode):
    data = bytearray(PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile('sRGB')).tobytes())
    data[16:20] = mode
    return bytes(data)


@needs_profiles
@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp'])
def test_the_colour_profile_goes_along(tmp_path, suffix):
    display = profile(b'RGB ')
    got = pillow(tmp_path, PIL.Image.fromarray(RGB), 'a.jpg', icc_profile=display)
    assert got.profile == display
    assert write_image(got, tmp_path / f'b{suffix}') == []
    with PIL.Image.open(tmp_path / f'b{suffix}') as file:
        assert file.info['icc_profile'] == display
    assert write_image(got, tmp_path / 'b.bmp') == ['BMP is written without the colour profile']


@needs_profiles
def test_the_profile_of_a_cmyk_image_does_not(tmp_path):
    got = pillow(tmp_path, PIL.Image.fromarray(RGB).convert('CMYK'), 'a.jpg', icc_profile=profile(b'CMYK'))
    assert write_image(got, tmp_path / 'b.png') == []
    with PIL.Image.open(tmp_path / 'b.png') as file:
        assert 'icc_profile' not in file.info


def encoded(suffix):
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return cv2.imencode(suffix, noise)[1].tobytes()


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.tif', '.bmp'])
@pytest.mark.parametrize('missing', [40, 0.5, 0.99])
def test_a_file_cut_short_is_an_error(tmp_path, suffix, missing, capfd):
    data = encoded(suffix)
    path = tmp_path / f'a{suffix}'
    path.write_bytes(data[: len(data) - int(missing if missing > 1 else missing * len(data))])
    with pytest.raises(ImageError, match='cut short') as caught:
        read_image(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)
    assert '[ERROR' not in capfd.readouterr().err, "OpenCV's log is kept quiet"


def float_tiff():
    return cv2.imencode('.tif', RGB.astype(np.float32))[1].tobytes()


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'empty'),
        (b'%PDF-1.4 not a picture', 'not a PNG'),
        (encoded('.png')[:20], 'cut short'),
        (float_tiff(), 'float32'),
    ],
)
def test_what_is_no_image_is_an_error(tmp_path, content, reason):
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(ImageError, match=rf'a\.png: .*{reason}'):
        read_image(tmp_path / 'a.png')


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(ImageError, match=r'none\.png: No such file'):
        read_image(tmp_path / 'none.png')
    with pytest.raises(ImageError, match='directory'):
        read_image(tmp_path)


def test_impossible_outputs_are_errors(tmp_path):
    with pytest.raises(ImageError, match=r'a\.gif: the name must end in one of \.png'):
        write_image(image(RGB), tmp_path / 'a.gif')
    wide = image(np.zeros((1, 16384, 3), np.uint8))
    with pytest.raises(ImageError, match=r'16384x1 is too large: WebP ends at 16383'):
        write_image(wide, tmp_path / 'a.webp')
    (tmp_path / 'file').touch()
    with pytest.raises(ImageError, match=r'file/a\.png: '):
        write_image(image(RGB), tmp_path / 'file' / 'a.png')
    assert os.listdir(tmp_path) == ['file']


@pytest.mark.parametrize('suffix', ['.jpg', '.webp'])
def test_the_largest_side_is_what_opencv_writes(tmp_path, suffix):
    side = FORMATS[suffix].max_side
    check_size(f'a{suffix}', 1, side)
    write_image(image(np.zeros((1, side), np.uint8)), tmp_path / f'a{suffix}')
    with pytest.raises(ImageError):
        check_size(f'a{suffix}', side + 1, 1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='no resource limits on Windows')
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    """The disk is full half-way: here, the process may write no file above 1000 bytes."""
    path = tmp_path / 'a.png'
    path.write_bytes(b'old')
    program = f"""
import resource, signal
import numpy as np
from asid_plugin.inference.images import Image, ImageError, write_image
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_image(Image(np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)), {str(path)!r})
except ImageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert done.stdout == f'{path}: File too large\n'
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['a.png']


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / 'a.png'
    path.write_bytes(b'old')
    write_bytes = Path.write_bytes

    def interrupted(self, data):
        write_bytes(self, data[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, 'write_bytes', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_image(image(RGB), path)
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['a.png']


def test_an_existing_file_is_replaced(tmp_path):
    for picture in (image(GREY), image(RGB)):
        write_image(picture, tmp_path / 'a.png')
        assert_same(read_image(tmp_path / 'a.png'), picture)
    assert os.listdir(tmp_path) == ['a.png']
