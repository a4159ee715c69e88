"""Write an evaluation as one HTML file: the table, and sliders between the images of any two methods."""

import base64
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, StrictUndefined
from tqdm import tqdm

from asid_plugin.files import whole_file
from asid_plugin.images import FORMATS
from asid_plugin.printable import printable

from .results import Evaluation, EvaluationError, ImageResult
from .table import notes, rows

_WEBP = FORMATS['.webp']
_LOSSLESS = (cv2.IMWRITE_WEBP_QUALITY, 101)  # above 100


def write_report(evaluation: Evaluation, path: Path, title: str = 'Super-resolution on benchmarks') -> None:
    """Write the report, whole or not at all; it needs no other file and fetches nothing.

    Each saved image is embedded once, without loss. An image with fewer than two saved pictures gets no slider, so an
    evaluation without images gives only the tables.

    Raises:
        EvaluationError: A saved picture is missing, damaged, or has another size than the compared one.
        OSError: The report cannot be written.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_plain
    )
    images = [image for result in evaluation.sets for image in result.images]
    num_pictures = sum(len(choices(evaluation, image)) for image in images)
    with (
        tqdm(desc='report', total=num_pictures, unit='picture', leave=False, delay=1, disable=None) as bar,
        whole_file(path) as unfinished,
        unfinished.open('w', encoding='utf-8') as file,
    ):

        def embed(picture: Path, image: ImageResult) -> str:
            bar.update()
            return data_uri(picture, image.height, image.width)

        # Written in pieces, because the pictures of Urban100 have hundreds of megabytes.
        pieces = environment.from_string(_own('report.html')).generate(
            comparison_css=_own('comparison.css'),
            comparison_js=_own('comparison.js'),
            title=title,
            evaluation=evaluation,
            notes=notes(evaluation),
            rows=rows(evaluation),
            labels=_labels(evaluation) if num_pictures else [],
            choices=lambda image: choices(evaluation, image),
            embed=embed,
        )
        file.writelines(pieces)


def choices(evaluation: Evaluation, image: ImageResult) -> dict[str, Path]:
    """The pictures that the slider of this image shows, by label; empty if there is nothing to compare.

    The first two, bicubic and the first network in an evaluation by the command, are shown at first.
    """
    found = {label: image.files[label] for label in _labels(evaluation) if label in image.files}
    return found if len(found) > 1 else {}


def _own(name: str) -> str:
    """A text file of this package."""
    return (files('asid_plugin.evaluate') / name).read_text(encoding='utf-8')


def _plain(value: object) -> object:
    """A value for the page: names are untrusted, and may hold marks that change the direction of writing."""
    return printable(value) if type(value) is str else value


def _labels(evaluation: Evaluation) -> list[str]:
    return [*(method.label for method in evaluation.methods), 'HR']


def data_uri(path: Path, height: int, width: int) -> str:
    """The picture of a PNG file as a URI: lossless WebP, or the file itself if that is smaller.

    Raises:
        EvaluationError: The file is missing, damaged, or not `height` x `width` pixels.
    """
    try:
        png = path.read_bytes()
    except OSError as error:
        raise EvaluationError(f'{path}: {error.strerror}') from error
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED) if png else None
    if pixels is None:
        raise EvaluationError(f'{path}: damaged, or not a PNG image')
    if pixels.shape[:2] != (height, width):
        found = f'{pixels.shape[1]}x{pixels.shape[0]}'
        raise EvaluationError(f'{path}: {found} pixels; the evaluated image has {width}x{height}')
    candidates = {'png': png}
    if pixels.dtype == np.uint8 and max(height, width) <= _WEBP.max_side:
        done, webp = cv2.imencode('.webp', pixels, _LOSSLESS)
        if done:
            candidates['webp'] = webp.tobytes()
    kind, data = min(candidates.items(), key=lambda item: len(item[1]))
    return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'
