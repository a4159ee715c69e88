"""The preparation of a batch between the data loader and the network."""

from typing import Any

import torch
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from asid_plugin.mmengine.registry import MODELS


@MODELS.register_module()
class SRDataPreprocessor(ImgDataPreprocessor):
    """From 8-bit BGR images, as files have them, to RGB in [0, 1], as networks take them, and back."""

    def __init__(self, non_blocking: bool = False) -> None:
        super().__init__(mean=[0.0], std=[255.0], bgr_to_rgb=True, non_blocking=non_blocking)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Move a batch to the network's device and stack it.

        Args:
            data: `inputs`, a list of (3, H, W) uint8 BGR, of one size; `data_samples`, a list of their samples.
            training: Make every sample's `gt` RGB in [0, 1] as well. In testing it stays 8-bit, to be measured.

        Returns:
            `inputs` (B, 3, H, W), RGB in [0, 1], and `data_samples`.
        """
        data = super().forward(data, training)
        if training:
            gts = super().forward({'inputs': [sample.gt for sample in data['data_samples']]})['inputs']
            for sample, gt in zip(data['data_samples'], gts, strict=True):
                sample.gt = gt
        return data

    @staticmethod
    def to_images(sr: Tensor) -> Tensor:
        """(B, 3, H, W) RGB, about [0, 1], as 8-bit BGR images, rounded as BasicSR's `tensor2img` does."""
        return sr.clamp(0, 1).mul(255).round().to(torch.uint8)[:, [2, 1, 0]]
