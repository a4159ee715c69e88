"""One picture enlarged for the page: what is kept, what is noted, what is refused."""

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import skimage.data
import tifffile
import torch
from PIL.PngImagePlugin import PngInfo
from torch.nn import functional as F

from asid_plugin.demo.enlarging import bicubic, enlarge, limit, megapixels
from asid_plugin.demo.example import EXAMPLE
from asid_plugin.images import Image, ImageError, read_image
from asid_plugin.images.alpha import fill_hidden
from asid_plugin.inference import Upscaler

RGB = skimage.data.astronaut()[40:70, 190:230]
GREY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)
ALPHA = np.linspace(1, 255, 1200).reshape(30, 40).astype(np.uint8)
RGBA = np.dstack([RGB, ALPHA])


def doubled(lq: torch.Tensor) -> torch.Tensor:
    return lq.repeat_interleave(2, 2).repeat_interleave(2, 3)


@pytest.fixture
def double() -> Upscaler:
    return Upscaler(doubled, 2, tile=16, overlap=4)


def pillow(pixels: np.ndarray, **saving: object) -> Callable[[Path], None]:
    return lambda path: PIL.Image.fromarray(pixels).save(path, **saving)


def sixteen(pixels: np.ndarray) -> np.ndarray:
    """Values that 8 bits cannot hold."""
    return pixels.astype(np.uint16) * 257 + np.uint16(3) * (pixels < 255)


@pytest.mark.parametrize(
    ('name', 'write', 'pixels'),
    [
        ('rgb.png', pillow(RGB), RGB),
        ('RGB.TGA', pillow(RGB), RGB),
        ('rgb.Ppm', pillow(RGB), RGB),
        ('rgb.jp2', pillow(RGB, irreversible=False), RGB),
        ('rgb.gif', pillow(RGB // 128 * 128), RGB // 128 * 128),
        ('grey.bmp', pillow(GREY), GREY),
        ('rgba.webp', pillow(RGBA, lossless=True), RGBA),
        ('la.png', pillow(np.dstack([GREY, ALPHA])), np.dstack([GREY, ALPHA])),
        ('rgb16.tif', lambda path: tifffile.imwrite(path, sixteen(RGB), photometric='rgb'), sixteen(RGB)),
        ('rgba16.png', lambda path: cv2.imwrite(str(path), sixteen(RGBA)[..., [2, 1, 0, 3]]), sixteen(RGBA)),
    ],
)
def test_depth_layout_and_alpha_are_kept(tmp_path: Path, double: Upscaler, name: str, write, pixels: np.ndarray):
    write(tmp_path / name)
    result = enlarge(tmp_path / name, double, 1200)
    assert (result.height, result.width, result.notes) == (30, 40, ())
    assert result.after.name == f'{name.split(".")[0]}_x2.png'
    before, after = read_image(result.before).pixels, read_image(result.after).pixels
    expected = np.atleast_3d(pixels).repeat(2, 0).repeat(2, 1)
    if after.shape[2] in (2, 4):
        alpha = np.ascontiguousarray(pixels[..., -1])
        expected[..., -1] = cv2.resize(alpha, (80, 60), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_array_equal(before[..., -1], expected[..., -1])
    np.testing.assert_array_equal(after, expected)
    assert (before.shape, before.dtype) == (after.shape, after.dtype)


@pytest.mark.parametrize(('name', 'format'), [('a.jfif', 'jpeg'), ('a.JPEG', 'jpeg'), ('a.avif', 'avif')])
def test_formats_with_loss_are_taken(tmp_path: Path, double: Upscaler, name: str, format: str):
    pillow(RGB, format=format, quality=95)(tmp_path / name)
    result = enlarge(tmp_path / name, double, 1200)
    assert np.abs(read_image(result.after).pixels - RGB.repeat(2, 0).repeat(2, 1).astype(float)).mean() < 4


def test_profile_resolution_and_text_are_kept(tmp_path: Path, double: Upscaler):
    text = PngInfo()
    text.add_text('Copyright', 'nobody')
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile('sRGB')).tobytes()
    pillow(RGB, dpi=(300, 300), pnginfo=text, icc_profile=profile)(tmp_path / 'a.png')
    with PIL.Image.open(enlarge(tmp_path / 'a.png', double, 2000).after) as after:
        assert after.text['Copyright'] == 'nobody'
        assert after.info['icc_profile'] == profile
        assert after.info['dpi'] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize(('suffix', 'kind'), [('gif', 'frames'), ('webp', 'frames'), ('tif', 'pages')])
def test_of_several_frames_the_first_is_taken_and_this_is_noted(tmp_path: Path, double: Upscaler, suffix, kind):
    frames = [PIL.Image.fromarray(np.full((30, 40, 3), grey, np.uint8)) for grey in (10, 100, 200)]
    path = tmp_path / f'several.{suffix}'
    frames[0].save(path, save_all=True, append_images=frames[1:], **({'lossless': True} if suffix == 'webp' else {}))
    result = enlarge(path, double, 2000)
    assert f'only the first of 3 {kind} is enlarged' in result.notes
    assert set(read_image(result.after).pixels[..., 0].flat) == {10}


HUGE_GIF = (
    b'GIF89a' + struct.pack('<HH3B', 60000, 5000, 0, 0, 0) + b',' + struct.pack('<4HB', 0, 0, 1, 1, 0) + b'\2\2L\1\0;'
)
LONG_PNG = cv2.imencode('.png', np.zeros((1, 300_000), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('a.gif', HUGE_GIF, '60000x5000 is too large; pictures of up to 4 megapixels are accepted, such as 2449x1633'),
        ('a.png', LONG_PNG, 'PNG allows 1000000 pixels a side'),
    ],
    ids=['pixels', 'side'],
)
def test_what_would_cost_memory_or_time_for_nothing_is_refused_first(tmp_path: Path, name, content, message):
    (tmp_path / name).write_bytes(content)
    upscaler = Upscaler(lambda lq: pytest.fail('computed'), 4, tile=16, overlap=4)
    with pytest.raises(ImageError, match=message):
        enlarge(tmp_path / name, upscaler, 4_000_000)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize('error', [KeyboardInterrupt, FloatingPointError, ValueError])
def test_nothing_is_left_of_an_enlargement_that_is_stopped(tmp_path: Path, double: Upscaler, error):
    def stop(done: int, total: int) -> None:
        raise error

    pillow(RGB)(tmp_path / 'a.png')
    with pytest.raises(ImageError if error is FloatingPointError else error):
        enlarge(tmp_path / 'a.png', double, 2000, stop)
    assert [path.name for path in tmp_path.iterdir()] == ['a.png']


@pytest.mark.parametrize(
    'pixels',
    [
        skimage.data.astronaut()[:, 180:230],
        sixteen(skimage.data.astronaut()[:300, 180:230, :1]),
        np.dstack([skimage.data.astronaut()[:, 180:230], np.tile(np.uint8([0, 255]), (512, 25))]),
    ],
    ids=['8 bits', '16 bits, grey', 'alpha'],
)
def test_the_strips_of_the_bicubic_enlargement_are_seamless(pixels: np.ndarray):
    image = Image(pixels)
    strips = [*bicubic(image, 3)]
    assert len(strips) > 1
    colours = 1 if image.grey else 3
    lq = torch.from_numpy(fill_hidden(image).pixels[..., :colours].astype(np.float64)).permute(2, 0, 1)[None]
    whole = F.interpolate(lq, scale_factor=3, mode='bicubic', antialias=True)[0].permute(1, 2, 0)
    difference = np.concatenate(strips)[..., :colours] - whole.clamp(0, image.top).numpy()
    assert np.abs(difference).max() < (0.52 if image.bits == 8 else 1)  # of float32


def test_sizes_in_words():
    assert limit(4_000_000) == 'pictures of up to 4 megapixels are accepted, such as 2449x1633'
    assert limit(16_777_216) == 'pictures of up to 16.8 megapixels are accepted, such as 5016x3344'
    assert [megapixels(pixels, 2) for pixels in (1, 2304, 307_200, 1_000_000, 123_456_789)] == [
        '0.000001 megapixels',
        '0.0023 megapixels',
        '0.31 megapixels',
        '1 megapixel',
        '120 megapixels',
    ]


def test_the_example_picture_is_small_and_its_source_is_told():
    image = read_image(EXAMPLE)
    assert (image.height, image.width, image.channels) == (180, 240, 3)
    assert EXAMPLE.stat().st_size < 60_000
    assert 'CC0 1.0' in EXAMPLE.with_name('README.md').read_text(encoding='utf-8')
