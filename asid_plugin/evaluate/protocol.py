"""The paper's test protocol: MATLAB's bicubic interpolation, 8-bit results, PSNR and SSIM on Y."""

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
    """Upscale (H, W, C) by BasicSR's version of MATLAB's bicubic `imresize`, rounded to 8 bits."""
    return (imresize(lq / 255.0, scale) * 255).clip(0, 255).round().astype(np.uint8)


def downscale(hr: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Make the LR image of (kH, kW, C) by BasicSR's `imresize`, rounded to 8 bits like MATLAB: halves are rounded up.

    It differs from MATLAB in the last bits, because MATLAB also rounds between rows and columns. On Set5 and Set14 a
    tenth to a sixth of the values differ, by 12 at most; the mean PSNR of bicubic upscaling differs by 0.004 dB at
    most.
    """
    # on 0..255 rather than 0..1, halves are exact
    lr = imresize(hr.astype(np.float32), 1 / scale)
    return np.clip(np.floor(lr + 0.5), 0, 255).astype(np.uint8)


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Convert (H, W, C) to the input of networks: (1, C, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def to_pixels(sr: Tensor) -> NDArray[np.uint8]:
    """Convert (1, C, H, W), about [0, 1], to (H, W, C) rounded to 8 bits."""
    return (sr[0].float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def measure(sr: NDArray[np.uint8], hr: NDArray[np.uint8], scale: int) -> Figures:
    """Compare two (H, W, 3) RGB images on Y of MATLAB's YCbCr, with `scale` pixels cropped on each side.

    A grey image must have three equal channels. Its Y is then 16 + 219/255 grey, as for a colour image, and its PSNR is
    1.32 dB above the PSNR of the grey values. Published figures use this: bicubic upscaling of Set14 then has its known
    30.33 dB at x2 (30.14 with the grey values), whether the file of a grey image has one channel or three.
    """
    images = [np.ascontiguousarray(image[..., ::-1]) for image in (sr, hr)]  # BasicSR computes Y from BGR
    opt = {'crop_border': scale, 'test_y_channel': True}
    return Figures(float(calculate_psnr(*images, **opt)), float(calculate_ssim(*images, **opt)))
