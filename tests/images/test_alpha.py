"""Transparency: colours that nobody sees do not bleed into those that are seen."""

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest

from asid_plugin.images import Image, read_image
from asid_plugin.images.alpha import enlarge_alpha, fill_hidden, over_white
from asid_plugin.inference import load_upscaler
from asid_plugin.prepare.sub_images import read_bgr

RNG = np.random.default_rng(0)


def disc(side, smooth, colour=(255, 0, 0)):
    """A disc on transparent black, (side, side, 4)."""
    y, x = np.mgrid[: 8 * side, : 8 * side] / 8 - side / 2
    alpha = (x**2 + y**2 < (0.35 * side) ** 2).reshape(side, 8, side, 8).mean((1, 3))
    alpha = np.rint(255 * (alpha if smooth else alpha >= 0.5)).astype(np.uint8)
    return np.dstack([np.where(alpha[..., None] > 0, colour, 0).astype(np.uint8), alpha])


def logo(side):
    """White letters on transparent black, (side, side, 4)."""
    letters = PIL.Image.new('L', (4 * side, 4 * side))
    PIL.ImageDraw.Draw(letters).text((side // 3, side), 'ASID', 255, PIL.ImageFont.load_default(4 * side // 3))
    alpha = np.rint(np.asarray(letters).reshape(side, 4, side, 4).mean((1, 3))).astype(np.uint8)
    return np.dstack([np.where(alpha[..., None] > 0, 255, 0).repeat(3, 2).astype(np.uint8), alpha])


def on_grey(rgba):
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 128 * (1 - alpha)


def premultiplied_bicubic(rgba):
    """Enlarged twice with colours multiplied by alpha, as programs for drawing do it."""
    planes = rgba.astype(np.float32)
    planes[..., :3] *= planes[..., 3:] / 255
    planes = cv2.resize(planes, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    alpha = planes[..., 3:].clip(0, 255)
    colour = (planes[..., :3] * 255 / np.maximum(alpha, 1)).clip(0, 255)
    return np.rint(np.dstack([colour, alpha])).astype(np.uint8)


@pytest.fixture(scope='module')
def upscaler():
    return load_upscaler('packaged:x2', device='cpu')


@pytest.mark.parametrize(('draw', 'smooth'), [(disc, False), (disc, True), (logo, None)])
def test_edges_are_at_most_as_wrong_as_premultiplied_bicubic(upscaler, draw, smooth):
    args = () if smooth is None else (smooth,)
    low, high = draw(64, *args), draw(128, *args)
    edge = cv2.dilate(cv2.morphologyEx(high[..., 3], cv2.MORPH_GRADIENT, np.ones((3, 3))), np.ones((3, 3))) > 0
    errors = [
        np.abs(on_grey(sr) - on_grey(high))[edge] for sr in (upscaler(Image(low)).pixels, premultiplied_bicubic(low))
    ]
    rmse = [np.sqrt((error**2).mean()) for error in errors]
    assert rmse[0] <= rmse[1] + 0.1
    assert errors[0].max() <= errors[1].max() + 1


@pytest.mark.parametrize(
    ('draw', 'colour'), [(lambda: disc(64, smooth=False), (255, 0, 0)), (lambda: logo(64), (255,) * 3)]
)
def test_no_rim_of_the_hidden_colour(upscaler, draw, colour):
    sr = upscaler(Image(draw())).pixels
    seen = sr[sr[..., 3] > 0]
    assert np.abs(seen[:, :3].astype(int) - colour).max() <= 2


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [2, 4])
def test_hidden_pixels_get_the_colour_of_the_nearest_that_is_seen(dtype, channels):
    pixels = RNG.integers(0, np.iinfo(dtype).max + 1, (24, 30, channels), dtype=dtype)
    pixels[..., -1] *= RNG.random((24, 30)) < 0.1
    filled = fill_hidden(Image(pixels)).pixels
    places = np.argwhere(pixels[..., -1] > 0)
    np.testing.assert_array_equal(filled[tuple(places.T)], pixels[tuple(places.T)])
    np.testing.assert_array_equal(filled[..., -1], pixels[..., -1])
    for y, x in np.argwhere(pixels[..., -1] == 0):
        distances = np.hypot(*(places - (y, x)).T)
        near = places[distances <= 1.05 * distances.min()]  # OpenCV's distances are right to a few per cent
        assert (filled[y, x, :-1] == pixels[tuple(near.T)][:, :-1]).all(1).any()


@pytest.mark.parametrize('alpha', [0, 255])
def test_where_all_or_nothing_is_seen_colours_stay(alpha):
    pixels = RNG.integers(0, 256, (8, 9, 4), dtype=np.uint8)
    pixels[..., 3] = alpha
    np.testing.assert_array_equal(fill_hidden(Image(pixels)).pixels, pixels)


def test_opacity_of_16_bits_is_enlarged_in_16_bits():
    alpha = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    enlarged = enlarge_alpha(Image(np.dstack([alpha, alpha])), 2)
    assert enlarged.dtype == np.uint16 and enlarged.shape == (16, 16)
    assert np.abs(cv2.resize(enlarged, (8, 8), interpolation=cv2.INTER_AREA).astype(int) - alpha).max() < 1500


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_over_white(dtype):
    top = np.iinfo(dtype).max
    pixels = np.array([[[top, 0, 0, 0], [top, 0, 0, top], [top, 0, top // 5, top // 5]]], dtype)
    np.testing.assert_array_equal(
        over_white(pixels), [[[top] * 3, [top, 0, 0], [top, top // 5 * 4, top // 25 + top // 5 * 4]]]
    )


def test_training_data_have_no_hidden_colours_either(tmp_path):
    low = disc(64, smooth=False)
    PIL.Image.fromarray(low).save(tmp_path / 'disc.png')
    assert (read_image(tmp_path / 'disc.png').pixels == low).all()
    bgr, remarks = read_bgr(tmp_path / 'disc.png')
    assert 'alpha dropped' in remarks and (bgr == (0, 0, 255)).all()
