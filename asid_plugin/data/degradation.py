"""LR patches with the faults of real photographs: blur, other resize kernels, noise, JPEG compression."""

import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from basicsr.data.degradations import random_add_gaussian_noise, random_add_jpg_compression, random_mixed_kernels
from numpy.typing import NDArray
from torch.nn import functional as F

from .raw_pixels import Pixels

Floats = NDArray[np.float32]
"""(H, W, 3) BGR, 0 to 255."""

_OPENCV = {
    'area': cv2.INTER_AREA,
    'bilinear': cv2.INTER_LINEAR,
    'cubic': cv2.INTER_CUBIC,
    'lanczos': cv2.INTER_LANCZOS4,
}
_REACH = 2
"""Reach of MATLAB's bicubic kernel, in LR pixels."""
_GRID = 16
"""Side in pixels of a JPEG block with subsampled colours. A patch begins at any pixel of a block."""


class Degradation:
    """Makes LR patches from GT patches; Python's `random` determines all random numbers.

    A share `clean_prob` of the patches is only made smaller by MATLAB's bicubic interpolation. Each other patch is
    blurred, made smaller by a random kernel, made noisy, and JPEG-compressed. Blur, noise and JPEG have a probability.

    Args:
        opt: Options of `DegradedImageDataset`.

    Attributes:
        margin: LR pixels that are needed around a patch.
    """

    def __init__(self, opt: Mapping[str, Any]) -> None:
        self.opt = opt
        self.scale = int(opt['scale'])
        self.size = int(opt['gt_size']) // self.scale
        self._radius = math.ceil(3 * opt['blur_sigma'][1]) if opt['blur_prob'] else 0
        self._reach = _REACH + math.ceil(self._radius / self.scale)
        self.margin = self._reach + (_GRID if opt['jpeg_prob'] else 0)

    def __call__(self, gt: Pixels) -> Pixels:
        """Degrade a patch.

        Args:
            gt: The GT patch with `margin * scale` pixels around it.

        Returns:
            The LR patch, without a margin.
        """
        opt = self.opt
        with _numpy_seeded():
            clean = random.random() < opt['clean_prob']
            blurred, noisy, coded = (
                not clean and random.random() < opt[f'{kind}_prob'] for kind in ('blur', 'noise', 'jpeg')
            )
            kernel = 'bicubic' if clean else random.choices(opt['resize_list'], opt['resize_list_prob'])[0]
            up, left = (random.randrange(_GRID) if coded else 0 for _ in range(2))
            image = self._part(gt, up, left, self.size + (_GRID if coded else 0))
            if blurred:
                image = cv2.filter2D(image, -1, self._blur(), borderType=cv2.BORDER_REFLECT).astype(np.float32)
            low = np.floor(self._resized(image, kernel) + 0.5).clip(0, 255) / 255  # rounds halves up, as MATLAB does
            if noisy:
                low = random_add_gaussian_noise(low, opt['noise_range'], opt['gray_noise_prob'], rounds=True)
            if coded:
                low = random_add_jpg_compression(low, opt['jpeg_range'])
        patch = low[up : up + self.size, left : left + self.size]
        return np.rint(patch * 255).astype(np.uint8)

    def _part(self, gt: Pixels, up: int, left: int, size: int) -> Floats:
        """The needed part of a patch with its margin, if `up` and `left` LR pixels of it precede the patch."""
        top, first = ((self.margin - self._reach - before) * self.scale for before in (up, left))
        side = (size + 2 * self._reach) * self.scale
        return np.ascontiguousarray(gt[top : top + side, first : first + side], np.float32)

    def _blur(self) -> NDArray[np.float64]:
        opt, size = self.opt, 2 * self._radius + 1
        kernel: NDArray[np.float64] = random_mixed_kernels(
            opt['kernel_list'], opt['kernel_prob'], size, opt['blur_sigma'], opt['blur_sigma']
        )
        return kernel

    def _resized(self, image: Floats, kernel: str) -> Floats:
        """Make an image smaller, and remove its margin."""
        height, width = (side // self.scale for side in image.shape[:2])
        if kernel == 'bicubic':
            # with antialias, torch uses MATLAB's cubic, a = -0.5; BasicSR's imresize is equal and fifteen times slower
            planes = torch.from_numpy(image).permute(2, 0, 1)[None]
            small = F.interpolate(planes, (height, width), mode='bicubic', antialias=True)[0].permute(1, 2, 0).numpy()
        else:
            small = cv2.resize(image, (width, height), interpolation=_OPENCV[kernel]).astype(np.float32, copy=False)
        inside = slice(self._reach, -self._reach)
        return small[inside, inside]


@contextmanager
def _numpy_seeded() -> Iterator[None]:
    """Seed NumPy's random numbers, which BasicSR uses, by Python's, and restore their state afterwards."""
    state = np.random.get_state()
    np.random.seed([random.getrandbits(32) for _ in range(4)])
    try:
        yield
    finally:
        np.random.set_state(state)
