"""SwinIR-light, which every machine with BasicSR has: what ASID is held against where time or memory is measured."""

import warnings

from basicsr.archs.swinir_arch import SwinIR
from torch import Tensor
from torch.nn import functional as F


class SwinIRLight(SwinIR):
    """SwinIR as its authors size it for lightweight super-resolution, padded as BasicSR's `SwinIRModel` pads it.

    Args:
        upscale: Scale k.
    """

    def __init__(self, upscale: int) -> None:
        size = {'embed_dim': 60, 'depths': [6] * 4, 'num_heads': [6] * 4, 'window_size': 8, 'mlp_ratio': 2}
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'torch.meshgrid')  # BasicSR leaves its indexing to a default
            super().__init__(upscale=upscale, upsampler='pixelshuffledirect', **size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 3, kH, kW)."""
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % 8, 0, -height % 8), 'reflect')
        return super().forward(x)[:, :, : height * self.upscale, : width * self.upscale]
