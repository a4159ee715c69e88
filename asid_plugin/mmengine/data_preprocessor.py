"""Prepare a batch between data loader and network."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import ImgDataPreprocessor
from mmengine.model.utils import stack_batch
from torch import Tensor

from asid_plugin.mmengine.registry import MODELS


@MODELS.register_module()
class SRDataPreprocessor(ImgDataPreprocessor):
    """Converts 8-bit BGR images from files to RGB in [0, 1] for networks, and back.

    The bytes of a batch are copied to the device asynchronously in one piece, and converted to numbers there.

    Args:
        non_blocking: Copy from page-locked memory asynchronously if the device is a GPU.
    """

    def __init__(self, non_blocking: bool = True) -> None:
        super().__init__(mean=[0.0], std=[255.0], bgr_to_rgb=True, non_blocking=non_blocking)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Stack a batch and move it to the network's device.

        Args:
            data: `inputs`, a list of (3, H, W) uint8 BGR, or these stacked; `data_samples`, a list of their samples.
                Other types than uint8 have the same range. Smaller images are padded with black at the bottom and
                right.
            training: Convert `gt` of every sample to RGB in [0, 1] too. In testing it stays 8-bit on its device, for
                metrics.

        Returns:
            `inputs` (B, 3, H, W), RGB in [0, 1], and `data_samples`.

        Raises:
            ValueError: Images do not have three channels.
        """
        moved = self.cast_data({key: value for key, value in data.items() if key not in ('inputs', 'data_samples')})
        samples = data.get('data_samples')
        gts: Any = None if samples is None else [sample.get('gt') for sample in samples]
        if samples is not None:
            rest = [{key: value for key, value in sample.items() if key != 'gt'} for sample in samples]
            samples = [sample.new(data=self.cast_data(more)) for sample, more in zip(samples, rest, strict=True)]
            if training:
                gts = self.normalize(gts)
            for sample, gt in zip(samples, gts, strict=True):
                if gt is not None:
                    sample.gt = gt
        return {**moved, 'inputs': self.normalize(data['inputs']), 'data_samples': samples}

    def normalize(self, images: Tensor | Sequence[Tensor]) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] on the device, from BGR in [0, 255]; see `forward`."""
        batch = images if isinstance(images, Tensor) else self.stack(list(images))
        if batch.dim() != 4 or batch.shape[1] != 3:
            raise ValueError(f'images should be (3, H, W), got {tuple(batch.shape[1:])}')
        batch = batch.to(self.device, non_blocking=self._non_blocking).flip(1)
        # divided by a tensor, because for a number a GPU multiplies by the rounded reciprocal
        return torch.div(batch if batch.dtype == torch.uint8 else batch.float(), self.std)

    def stack(self, images: list[Tensor]) -> Tensor:
        """Images as one tensor on their device, in page-locked memory for a copy to a GPU."""
        if len({image.dtype for image in images}) > 1:
            images = [image.float() for image in images]
        if len({image.shape for image in images}) > 1:
            return stack_batch(images)
        first = images[0]
        if first.device.type != 'cpu' or self.device.type != 'cuda' or not self._non_blocking:
            return torch.stack(images)
        pinned = torch.empty((len(images), *first.shape), dtype=first.dtype, pin_memory=True)
        return torch.stack(images, out=pinned)

    @staticmethod
    def to_images(sr: Tensor) -> Tensor:
        """Convert (B, 3, H, W) RGB, about [0, 1], to 8-bit BGR images, rounded like BasicSR's `tensor2img`."""
        return sr.clamp(0, 1).mul_(255).round_().to(torch.uint8).flip(1)
