"""A correction of the JPEG compression of patches in BasicSR."""

import functools
from importlib.util import find_spec
from typing import Any

from .patching import rebind


def jpeg_of_any_quality() -> None:
    """Let `add_jpg_compression` accept fractional qualities, for which OpenCV 5 raises an error.

    `random_add_jpg_compression` of all versions of BasicSR draws such qualities. OpenCV also gets the image in 8 bits:
    with floating-point numbers, the result is the same, and OpenCV prints a warning.
    """
    if find_spec('basicsr.data.degradations') is None:
        return
    import cv2
    import numpy as np

    try:
        cv2.imencode('.jpg', np.zeros((8, 8, 3), np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 50.5])  # type: ignore[list-item]
    except cv2.error:
        pass
    else:
        return
    from basicsr.data import degradations

    original = degradations.add_jpg_compression

    @functools.wraps(original)
    def add_jpg_compression(img: Any, quality: float = 90) -> Any:
        pixels = np.rint(np.clip(img, 0, 1) * 255).astype(np.uint8)
        _, data = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None  # it has just been encoded
        return decoded.astype(np.float32) / 255

    rebind(original, add_jpg_compression)
