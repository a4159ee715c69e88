"""Turn pictures upright by orientation 1 to 8 of TIFF and EXIF."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of stored pixels, upright."""
    if swaps_sides(orientation):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def swaps_sides(orientation: int) -> bool:
    """Whether the width of stored pixels is the height of the upright picture."""
    return orientation >= 5


def upright_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Height and width of the upright picture."""
    return (width, height) if swaps_sides(orientation) else (height, width)


def empty_upright(
    height: int, width: int, channels: int, dtype: type[np.unsignedinteger[Any]], orientation: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """An empty upright picture, and its view in the stored orientation."""
    upright = np.empty((*upright_size(height, width, orientation), channels), dtype)
    # Two of the rotations are inverse to each other; all other operations are their own inverse.
    return upright, turn(upright, {6: 8, 8: 6}.get(orientation, orientation))
