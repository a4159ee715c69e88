"""The quality of a JPEG, which no file stores: it is estimated from the nearest table of the IJG."""

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# ITU-T T.81, table K.1, luminance, row by row; libjpeg scales it by the quality
_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)


def estimate_quality(table: Sequence[int]) -> int:
    """Estimate the quality, 1 to 100: libjpeg's nearest table by the sum of absolute differences.

    Args:
        table: The 64 divisors of luminance, row by row.
    """
    return int(np.abs(_tables() - np.asarray(table)).sum(1).argmin()) + 1


@functools.cache
def _tables() -> NDArray[np.int64]:
    """The tables of libjpeg for the qualities 1 to 100."""
    qualities = np.arange(1, 101)[:, None]
    percent = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    return ((np.array(_LUMINANCE) * percent + 50) // 100).clip(1, 255)
