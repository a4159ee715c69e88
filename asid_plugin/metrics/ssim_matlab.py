"""SSIM of MATLAB's luma."""

from typing import Any, Literal

import numpy as np
from basicsr.metrics import calculate_ssim
from basicsr.metrics.metric_util import reorder_image, to_y_channel

from asid_plugin.registry import METRIC_REGISTRY


@METRIC_REGISTRY.register()
def calculate_ssim_matlab(
    img: np.ndarray,
    img2: np.ndarray,
    crop_border: int,
    input_order: Literal['HWC', 'CHW'] = 'HWC',
    test_y_channel: bool = False,
    **_kwargs: Any,
) -> float:
    """SSIM of a MATLAB script on 8-bit images: `rgb2ycbcr` of uint8 is uint8, so Y is rounded.

    BasicSR's `calculate_ssim` does not round Y. The published figures of ASID and IMDN do not either, which gives
    0.0010 to 0.0012 more on Set5 upscaled bicubically (`tests/losses/test_losses_metrics.py`). All else is equal, so
    without `test_y_channel` the results are equal.

    Args:
        img: (H, W, C) BGR, [0, 255].
        img2: The other image in the same form.
        crop_border: Pixels cropped on each side.
        input_order: 'HWC' or 'CHW'.
        test_y_channel: Compare the luma Y of YCbCr instead of the colours.

    Returns:
        Mean SSIM.
    """
    if test_y_channel:
        img, img2 = (to_y_channel(reorder_image(image, input_order)).round() for image in (img, img2))
        input_order = 'HWC'
    return calculate_ssim(img, img2, crop_border, input_order)
