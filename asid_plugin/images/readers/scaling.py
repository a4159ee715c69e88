"""Scale samples of any number of bits to 8 or 16."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..image import Pixels


def scale_samples(samples: NDArray[Any], top: int) -> Pixels:
    """Scale samples from 0 to `top` to 0 to 255 as uint8 if `top` is at most 255, else to 0 to 65535 as uint16."""
    target: type[np.unsignedinteger[Any]] = np.uint8 if top <= 255 else np.uint16
    white = int(np.iinfo(target).max)
    if top == white:
        return samples.astype(target, copy=False)
    samples = np.minimum(samples, top)
    if top <= 255:
        return np.array([(value * white + top // 2) // top for value in range(top + 1)], target)[samples.view(np.uint8)]
    return ((samples.astype(np.uint32) * white + top // 2) // top).astype(target)
