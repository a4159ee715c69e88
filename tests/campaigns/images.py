"""Damaged image files: read right, or refused by name.

Of formats that have checksums, and of data that are missing, no other picture is read; of the others the table says
how often it is, which nobody can tell.
"""

import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import skimage.data
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from asid_plugin.images import read_image
from asid_plugin.pairs import check_file, decode

from .damage import DAMAGES, count
from .figures import Row
from .trials import attempt

PHOTOGRAPH = skimage.data.astronaut()[:160, 120:320]
LONG, SHORT = 500, 20
"""Trials of each way."""


def run(folder: Path, seed: int, long: bool) -> Iterator[Row]:
    """Damage files of each format and read them: as `asid upscale` does, and as a data set is checked and read."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    files = {name: (encode(), checked) for name, (encode, checked) in _FILES.items()}
    for way, read in (('asid upscale', _read), ('data set', _check_and_decode)):
        rng = random.Random(f'{seed} {way}')
        with_checksums, without = (Row(f'images: {way}, {kind}') for kind in ('PNG', 'without checksums'))
        for number in tqdm(range(LONG if long else SHORT), desc=f'images: {way}', file=sys.stderr, disable=not long):
            name, damage = list(files)[number % len(files)], rng.choice(list(DAMAGES))
            content, checked = files[name]
            place = folder / f'{way} {number}'
            place.mkdir()
            (place / name).write_bytes(DAMAGES[damage](content, rng))
            truth = folder / name
            truth.write_bytes(content)
            outcome = attempt(partial(read, Path(name), truth), place)
            row = with_checksums if checked else without
            count(row, outcome, f'seed {seed}, {number}: {damage} of {name}', name, promised=checked or damage == 'cut')
        yield from (with_checksums, without)


def _read(path: Path, truth: Path) -> bool:
    return np.array_equal(read_image(path).pixels, read_image(truth).pixels)


def _check_and_decode(path: Path, truth: Path) -> bool:
    check_file(path)
    return np.array_equal(decode(path.read_bytes(), path.name), decode(truth.read_bytes(), truth.name))


def _pillow(kind: str, pixels: NDArray[np.uint8] = PHOTOGRAPH, mode: str = 'RGB', **options: object) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


def _tiff(**options: object) -> bytes:
    file = BytesIO()
    tifffile.imwrite(file, PHOTOGRAPH, photometric='rgb', **options)
    return file.getvalue()


_FILES: dict[str, tuple[Callable[[], bytes], bool]] = {
    'a.png': (partial(_pillow, 'PNG'), True),
    'a.jpg': (partial(_pillow, 'JPEG', quality=92), False),
    'grey.png': (partial(_pillow, 'PNG', mode='L'), True),
    'progressive.jpg': (partial(_pillow, 'JPEG', quality=92, progressive=True), False),
    'palette.png': (partial(_pillow, 'PNG', mode='P'), True),
    'a.webp': (partial(_pillow, 'WEBP', quality=90), False),
    '16.png': (lambda: imagecodecs.png_encode(PHOTOGRAPH.astype(np.uint16) * 257), True),
    'lossless.webp': (partial(_pillow, 'WEBP', lossless=True), False),
    'opencv.png': (lambda: cv2.imencode('.png', PHOTOGRAPH)[1].tobytes(), True),
    'a.tif': (partial(_tiff), False),
    'deflate.tif': (partial(_tiff, compression='zlib', predictor=True, rowsperstrip=16), False),
    'a.bmp': (partial(_pillow, 'BMP'), False),
    'a.gif': (partial(_pillow, 'GIF', mode='P'), False),
    'a.ppm': (partial(_pillow, 'PPM'), False),
    'a.tga': (partial(_pillow, 'TGA'), False),
    'a.avif': (partial(_pillow, 'AVIF', quality=90), False),
    'a.jp2': (partial(_pillow, 'JPEG2000'), False),
}
"""A function that encodes each file, and whether its format has checksums."""
