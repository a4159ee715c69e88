"""The quality of a JPEG, estimated from its quantisation table, against the qualities given to other libraries."""

import io
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from skimage import data

from asid_plugin.images import read_header
from asid_plugin.images.readers.jpeg_quality import estimate_quality

QUALITIES = (50, 75, 89, 90, 95)
PICTURE = np.ascontiguousarray(data.astronaut()[:48, 150:230])


def test_every_quality_of_libjpeg_is_found() -> None:
    for quality in range(1, 101):
        file = io.BytesIO()
        PIL.Image.fromarray(PICTURE).save(file, 'JPEG', quality=quality)
        assert estimate_quality(PIL.Image.open(file).quantization[0]) == quality


@pytest.mark.parametrize('quality', QUALITIES)
@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
@pytest.mark.parametrize(
    'how', [{}, {'subsampling': '4:4:4'}, {'subsampling': '4:2:0'}, {'progressive': True}], ids=str
)
def test_pillows(tmp_path: Path, quality: int, mode: str, how: dict) -> None:
    PIL.Image.fromarray(PICTURE).convert(mode).save(tmp_path / 'a.jpg', quality=quality, **how)
    assert read_header(tmp_path / 'a.jpg').quality == quality


@pytest.mark.parametrize('quality', QUALITIES)
@pytest.mark.parametrize('sampling', [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444])
@pytest.mark.parametrize('progressive', [0, 1])
@pytest.mark.parametrize('pixels', [PICTURE, PICTURE[..., 0]], ids=['colour', 'grey'])
def test_opencvs(tmp_path: Path, quality: int, sampling: int, progressive: int, pixels: np.ndarray) -> None:
    how = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    cv2.imwrite(str(tmp_path / 'a.jpg'), pixels, [*how, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])
    assert read_header(tmp_path / 'a.jpg').quality == quality


@pytest.mark.parametrize('quality', QUALITIES)
def test_of_other_tables_the_nearest_quality_is_told(tmp_path: Path, quality: int) -> None:
    """Of tables that are a little finer or coarser."""
    file = io.BytesIO()
    PIL.Image.fromarray(PICTURE).save(file, 'JPEG', quality=quality)
    table = np.array(PIL.Image.open(file).quantization[0])
    for change in (-1, 1):
        other = (table + change * (np.arange(64) % 2)).clip(1, 255).tolist()
        PIL.Image.fromarray(PICTURE).save(tmp_path / 'a.jpg', qtables=[other, other])
        assert abs(read_header(tmp_path / 'a.jpg').quality - quality) <= 2


def test_a_flat_table_is_told_the_better_the_finer_it_is(tmp_path: Path) -> None:
    """As libjpeg has none; in a file of one table."""
    found = []
    for divisor in (80, 40, 20, 10, 5, 2, 1):
        PIL.Image.fromarray(PICTURE).save(tmp_path / 'a.jpg', qtables=[[divisor] * 64])
        found.append(read_header(tmp_path / 'a.jpg').quality)
    assert found == sorted(set(found)) and found[0] < 60 and found[-1] == 100


def test_other_files_have_none(tmp_path: Path) -> None:
    for name in ('a.png', 'a.webp', 'a.tif', 'a.bmp'):
        PIL.Image.fromarray(PICTURE).save(tmp_path / name)
        assert read_header(tmp_path / name).quality == 0
