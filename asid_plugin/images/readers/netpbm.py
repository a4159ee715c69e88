"""PBM, PGM and PPM: more than 8 bits by NumPy, because Pillow would reduce colours to 8; all else by Pillow."""

import re
from collections.abc import Iterator
from typing import IO

import numpy as np

from ..image import Image
from .pillow import PillowReader
from .refusal import check_pixels
from .scaling import scale_samples

# magic number, width, height and largest value, between white space and comments; then one white space
_HEADER = re.compile(rb'P([2356])' + 3 * rb'(?:\s|#[^\r\n]*[\r\n])+(\d{1,9})' + rb'\s')


class NetpbmReader(PillowReader):
    """Reads PBM, PGM and PPM."""

    def __init__(self) -> None:
        super().__init__('PPM')

    def frames(self, file: IO[bytes]) -> Iterator[Image]:
        """See `read_frames`."""
        file.seek(0)
        found = _HEADER.match(file.read(4096))
        top = 0 if found is None else int(found[4])
        if found is None or not 255 < top < 65536:
            yield from super().frames(file)
            return
        kind, width, height = (int(found[index]) for index in (1, 2, 3))
        check_pixels(width, height)
        channels = 3 if kind in (3, 6) else 1
        file.seek(found.end())
        count = height * width * channels
        if kind in (5, 6):
            samples = np.frombuffer(file.read(2 * count), '>u2')
        else:
            samples = np.array(file.read().split()[:count], np.uint16)
        yield Image(scale_samples(samples.reshape(height, width, channels), top))
