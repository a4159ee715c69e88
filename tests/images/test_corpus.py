"""Each file of the corpus by the reader, by the upscaler, and by data preparation, against its truth."""

import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import torch
from corpus import CASES, REFUSED, Case, Refused
from corpus.case import difference, in_depth
from corpus.truth import check_image, check_pixels, check_profile, check_second, enlarged

import helpers
from asid_plugin.images import ImageError, read_frames, read_header, read_image, write_image
from asid_plugin.inference import Upscaler
from asid_plugin.prepare.sub_images import read_bgr

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning:PIL')
SCALE = 2


@pytest.fixture(scope='session')
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('corpus')


@pytest.fixture(scope='session')
def file(folder) -> Callable[[Case | Refused], Path]:
    """The path of a case's file, which is made when it is first asked for."""

    def make(case: Case | Refused) -> Path:
        path = folder / case.name
        if not path.exists():
            path.write_bytes(case.encode())
        return path

    return make


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param]


@pytest.fixture(params=REFUSED)
def refused(request) -> Refused:
    return REFUSED[request.param]


def read(path: Path, case: Case):
    """The picture by our reader; skips where the case lets it refuse, and it does."""
    try:
        return read_image(path)
    except ImageError as error:
        if 'refuse' in case.may and 'not supported' in str(error):
            pytest.skip(str(error).removeprefix(f'{path}: '))
        raise


def test_the_corpus_is_large_and_spread():
    formats = Counter(case.format for case in CASES.values())
    assert len(CASES) >= 500 and len(REFUSED) >= 100
    assert {'PNG', 'APNG', 'JPEG', 'WebP', 'TIFF', 'BMP', 'GIF', 'PNM', 'TGA', 'JPEG 2000', 'AVIF'} <= set(formats)
    without_second = [case.name for case in CASES.values() if case.second is None]
    assert len(without_second) < 0.1 * len(CASES)


def test_reading(file, case):
    """Both readers find the truth; where the format is lossy, the second one says more narrowly what it is."""
    path = file(case)
    second = None if case.second is None else case.second(path)
    if second is not None:
        check_pixels(second, case)
    image = read(path, case)
    check_image(image, case)
    header = read_header(path)
    assert (header.height, header.width, header.num_frames) == (image.height, image.width, 1 + len(case.later))
    assert header.channels in (0, image.channels)
    if second is not None:
        check_second(image.pixels, second, case)


@pytest.mark.parametrize('name', [case.name for case in CASES.values() if case.later])
def test_reading_all_frames(file, name):
    case = CASES[name]
    frames = list(read_frames(file(case)))
    assert len(frames) == 1 + len(case.later)
    for frame, want in zip(frames, (case.pixels, *case.later), strict=True):
        check_pixels(frame.pixels, case, want)
        assert frame.duration == (0 if case.format == 'TIFF pages' else 100)


def nearest(lq: torch.Tensor) -> torch.Tensor:
    """A network that repeats each pixel."""
    return lq.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3)


def bicubic(alpha: np.ndarray, scale: int) -> np.ndarray:
    """Opacity enlarged by PyTorch, (H, W)."""
    values = torch.from_numpy(alpha.astype(np.float64))[None, None]
    alphas = torch.nn.functional.interpolate(values, scale_factor=scale, mode='bicubic')
    return alphas[0, 0].clamp(0, np.iinfo(alpha.dtype).max).numpy()


def profile_in_png(data: bytes) -> bytes | None:
    """The profile of a PNG file."""
    at = data.find(b'iCCP')
    if at < 0:
        return None
    length = int.from_bytes(data[at - 4 : at], 'big')
    _, _, packed = data[at + 4 : at + 4 + length].partition(b'\0')
    return zlib.decompress(packed[1:])


def test_upscaling(file, case, folder):
    """Each pixel comes out four times, in the same layout and depth, with the profile; libpng reads the file."""
    image = read(file(case), case)
    strips = Upscaler(nearest, SCALE, tile=32, overlap=8).strips(image)
    target = folder / 'enlarged.png'
    notes = write_image(strips, target)
    data = target.read_bytes()
    pixels = np.atleast_3d(imagecodecs.png_decode(data))
    assert pixels.shape[2] == image.channels and pixels.itemsize == image.pixels.itemsize
    if image.has_alpha:
        alpha = bicubic(image.pixels[..., -1], SCALE)
        assert np.abs(pixels[..., -1] - alpha).max() <= (1 if image.bits == 8 else 2)
        pixels[..., -1] = enlarged(image.pixels[..., -1], SCALE)
    check_pixels(pixels, case, enlarged(case.pixels, SCALE))
    check_profile(profile_in_png(data), case, bool(image.notes or notes))


@pytest.mark.slow
def test_data_preparation(file, case):
    path = file(case)
    image = read(path, case)
    bgr, remarks = read_bgr(path)
    want = in_depth(case.pixels, 8)
    has_alpha = want.shape[2] in (2, 4)
    shown = want[..., -1] > 0 if has_alpha else np.ones(want.shape[:2], bool)
    colours = want[..., :3] if want.shape[2] > 2 else want[..., :1].repeat(3, axis=2)
    unit = 1 if case.pixels.itemsize == 1 else 257
    most, mean = difference(bgr[..., ::-1] * shown[..., None], colours * shown[..., None])
    cut = image.bits < 8 * case.pixels.itemsize  # by the reader, and not rounded
    assert most <= -(-case.most // unit) + cut and mean <= (case.mean or case.most) / unit + 0.5
    assert ('alpha dropped' in remarks) == image.has_alpha
    assert ('16 bits rounded to 8' in remarks) == (image.bits == 16)
    if shown.any():
        hidden = {tuple(colour) for colour in bgr[~shown].tolist()}
        assert hidden <= {tuple(colour) for colour in bgr[shown].tolist()}, 'hidden colours are not those of neighbours'


def test_refusing(file, refused, capfd):
    """One line says why, and no library says more; data preparation says the same."""
    path = file(refused)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f'{path}: ') and '\n' not in message
    assert any(words in message for words in refused.words), message
    assert capfd.readouterr() == ('', '')
    with pytest.raises(ImageError) as caught:
        read_bgr(path)
    assert str(caught.value) == message


@pytest.mark.slow
def test_the_command_refuses_each_by_name(file, tmp_path, capfd):
    paths = [file(refused) for refused in REFUSED.values()]
    assert helpers.command('upscale')([*paths, '-o', tmp_path / 'out', '--scale', 2, '--ext', 'png']) != 0
    lines = capfd.readouterr().err
    assert [path.name for path in paths if f'{path}: ' not in lines] == []
    assert not list((tmp_path / 'out').glob('*.png'))


BY_COMMAND = (
    'png-rgb8.png',
    'png-grey16.png',
    'png-grey8-trns.png',
    'png-rgba16-icc-wide.png',
    'png-palette8-alpha-smooth.png',
    'jpeg-orientation6-mm.jpg',
    'jpeg-cmyk-icc.jpg',
    'webp-rgba-icc-wide.webp',
    'tiff-rgb16-ii-planar.tif',
    'tiff-grey16-miniswhite-mm.tif',
    'tiff-rgba8-ii-big-associated.tif',
    'tiff-rgb16-icc-wide.tif',
    'bmp-rgb565.bmp',
    'pnm-p6-16.ppm',
    'tga-rgba32-runs.tga',
    'avif-rgba8-icc-wide.avif',
)


@pytest.mark.slow
@pytest.mark.parametrize('name', BY_COMMAND)
@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_the_command_keeps_layout_depth_profile_and_look(file, name, suffix, tmp_path):
    """Packaged weights: the mean of every four pixels is near the pixel that they come from."""
    case, target = CASES[name], tmp_path / f'a.{suffix}'
    assert helpers.command('upscale')([file(case), '-o', target, '--scale', SCALE]) == 0
    image = read_image(target)
    assert image.pixels.dtype == case.pixels.dtype and image.channels == case.pixels.shape[2]
    check_profile(image.metadata.profile, case, noted=False)
    height, width, channels = case.pixels.shape
    means = image.pixels.reshape(height, SCALE, width, SCALE, channels).mean((1, 3))
    apart = np.abs(means - case.pixels)
    if channels in (2, 4):
        apart[case.pixels[..., -1] == 0, :-1] = 0
    assert apart.mean() / np.iinfo(case.pixels.dtype).max < 0.02
