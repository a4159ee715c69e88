"""The detail in a patch, by which training patches are chosen."""

import random
from collections.abc import Callable
from typing import TypeVar

import cv2
import numpy as np

from .raw_pixels import Pixels

Patch = TypeVar('Patch')
MOST_DRAWS = 100
"""Patches that are drawn for one sample; the last one is taken, so data without any detail do not stop a training."""


def detail(gt: Pixels, lq: Pixels) -> float:
    """Measure the detail that super-resolution has to restore: the mean difference from a bicubic enlargement.

    Args:
        gt: Patch, (kH, kW, 3).
        lq: The same patch at 1/k of the size, (H, W, 3).

    Returns:
        The mean over all pixels and channels, from 0 to 255.
    """
    enlarged = cv2.resize(lq, gt.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return float(np.mean(cv2.absdiff(enlarged, gt)))


def draw_detailed(least: float | None, draw: Callable[[], Patch], measure: Callable[[Patch], float]) -> Patch:
    """Draw patches until one is taken: always from `least` on, below it with probability detail / `least`.

    Args:
        least: None takes the first patch, and draws no number from Python's `random`.
        draw: Draws a patch.
        measure: Its detail.
    """
    patch = draw()
    for _ in range(MOST_DRAWS - 1):
        if not least or measure(patch) > random.random() * least:
            break
        patch = draw()
    return patch
