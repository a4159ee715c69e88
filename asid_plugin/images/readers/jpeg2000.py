"""JPEG 2000: more than 8 bits by imagecodecs, else by Pillow."""

from collections.abc import Iterator
from dataclasses import replace
from typing import IO

import imagecodecs
import numpy as np

from ..image import Image
from .metadata import fit_profile
from .pillow import PillowReader
from .refusal import unsupported
from .scaling import scale_samples

_START = b'\xff\x4f\xff\x51'  # of the codestream, and of its segment of sizes
_NUM_COMPONENTS, _COMPONENTS = 40, 42  # offsets from there; a component has its depth, and two more bytes


class Jpeg2000Reader(PillowReader):
    """Reads JPEG 2000."""

    def __init__(self) -> None:
        super().__init__('JPEG2000')

    def frames(self, file: IO[bytes]) -> Iterator[Image]:
        """See `read_frames`."""
        depths = _depths(file)
        if max(depths) <= 8:
            yield from super().frames(file)
            return
        if min(depths) != max(depths) or not 1 <= len(depths) <= 4:
            raise unsupported(f'JPEG 2000 with components of {", ".join(map(str, depths))} bits')
        if max(depths) > 16:
            raise unsupported(f'{max(depths)} bits per channel')
        with self.open(file) as picture:
            described = self.describe(picture, file)
        file.seek(0)
        samples = np.atleast_3d(imagecodecs.jpeg2k_decode(file.read()))
        described = fit_profile(replace(described, orientation=1), grey=samples.shape[2] < 3)
        yield Image(scale_samples(samples, 2 ** depths[0] - 1), described.metadata, notes=described.notes)


def _depths(file: IO[bytes]) -> list[int]:
    """Bits of each component."""
    file.seek(0)
    data = file.read(2**20)
    start = data.index(_START)
    count = int.from_bytes(data[start + _NUM_COMPONENTS : start + _COMPONENTS], 'big')
    return [(depth & 0x7F) + 1 for depth in data[start + _COMPONENTS : start + _COMPONENTS + 3 * count : 3]]
