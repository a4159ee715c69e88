"""Measure and estimate the time of an enlargement on this machine."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from asid_plugin.images import read_image, write_image
from asid_plugin.inference.tiling import tiles_at_once
from asid_plugin.inference.upscaler import Upscaler
from asid_plugin.tiles import TILE

from .enlarging import bicubic
from .example import EXAMPLE

_LONG_ENOUGH = 0.1
"""Shortest time in seconds that is exact enough."""
_TILES = 4
"""Fewest tiles in a measurement; with fewer, each takes longer."""


@dataclass
class Pace:
    """The speed of a network and of writing files.

    Attributes:
        network: Seconds for a pixel of a tile; overlapping pixels count for each tile.
        file: Seconds for a pixel of a bicubic enlargement, including its file.
    """

    network: float
    file: float

    @classmethod
    def measured(cls, upscaler: Upscaler) -> 'Pace':
        """Measure a network on a few tiles, and writing files on the example picture."""
        return cls(_network_pace(upscaler), _file_pace(upscaler.scale))

    def seconds(self, upscaler: Upscaler, height: int, width: int) -> float:
        """Estimate the seconds for a picture of this size, including the bicubic enlargement."""
        _, seen = upscaler.work(height, width)
        return self.network * seen + 2 * self.file * height * width * upscaler.scale**2

    def learn(self, upscaler: Upscaler, height: int, width: int, seconds: float) -> None:
        """Scale the estimate to an enlargement that took `seconds`, if that is long enough."""
        if seconds >= 10 * _LONG_ENOUGH:
            factor = seconds / self.seconds(upscaler, height, width)
            self.network *= factor
            self.file *= factor


@torch.inference_mode()
def _network_pace(upscaler: Upscaler) -> float:
    tiles, most = _TILES, tiles_at_once(TILE)
    while (seconds := _timed(upscaler.net, torch.rand(tiles, 3, TILE, TILE))) < _LONG_ENOUGH and tiles < most:
        tiles = min(2 * tiles, most)
    return seconds / (tiles * TILE**2)


def _file_pace(scale: int) -> float:
    image = read_image(EXAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        seconds = _timed(lambda path: write_image(bicubic(image, scale), path), Path(folder, 'bicubic.png'))
    return seconds / (image.height * image.width * scale**2)


def _timed(function: Callable[..., object], argument: object) -> float:
    """The shorter time of two calls: the first call takes longer, and other programs can only add time."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        function(argument)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
