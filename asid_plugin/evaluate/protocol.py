"""The paper's test protocol: bicubic images as MATLAB makes them, 8-bit results, PSNR and SSIM on Y."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import asid_plugin  # noqa: F401  # its import hook lets BasicSR be imported

# isort: split
from basicsr.metrics import calculate_psnr, calculate_ssim
from basicsr.utils.matlab_functions import imresize

from asid_plugin.published.reported import Figures


def bicubic(lq: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Upscale (H, W, C) as MATLAB's bicubic `imresize` does, by BasicSR's, rounded to 8 bits."""
    return (imresize(lq / 255.0, scale) * 255).clip(0, 255).round().astype(np.uint8)


def downscale(hr: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Make the LR image of (kH, kW, C) by BasicSR's `imresize`, rounded to 8 bits as MATLAB does: halves go up.

    It is not MATLAB's to the last bit, because that rounds between rows and columns too. On Set5 and Set14 a tenth to a
    sixth of the values differ, by 12 at most, and the mean PSNR of bicubic upscaling by 0.004 dB at most.
    """
    # on 0..255 rather than 0..1, halves are exact
    lr = imresize(hr.astype(np.float32), 1 / scale)
    return np.clip(np.floor(lr + 0.5), 0, 255).astype(np.uint8)


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """(H, W, C) as networks take it: (1, C, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def to_pixels(sr: Tensor) -> NDArray[np.uint8]:
    """(1, C, H, W), about [0, 1], as (H, W, C) rounded to 8 bits."""
    return (sr[0].float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def measure(sr: NDArray[np.uint8], hr: NDArray[np.uint8], scale: int) -> Figures:
    """Compare two (H, W, 3) RGB images on Y of YCbCr as MATLAB has it, without `scale` pixels on each side.

    A grey image is to be given as three equal channels. Its Y is then 16 + 219/255 grey, as that of a colour image
    would be, and its PSNR is 1.32 dB above that of the grey values. So it was published: with this, and not with the
    grey values, bicubic upscaling of Set14 has its known 30.33 dB at x2 (else 30.14), whether a file of a grey image
    has one channel or three.
    """
    images = [np.ascontiguousarray(image[..., ::-1]) for image in (sr, hr)]  # BasicSR's Y is that of BGR
    opt = {'crop_border': scale, 'test_y_channel': True}
    return Figures(float(calculate_psnr(*images, **opt)), float(calculate_ssim(*images, **opt)))
