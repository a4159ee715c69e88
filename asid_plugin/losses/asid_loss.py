"""Losses that BasicSR lacks. Both compute in float32 for any precision of the output."""

import torch
from basicsr.losses.basic_loss import CharbonnierLoss, L1Loss
from torch import Tensor

from asid_plugin.registry import LOSS_REGISTRY


@LOSS_REGISTRY.register()
class FFTLoss(L1Loss):
    """L1 distance of the spectra of the images: orthonormal `rfft2`, real and imaginary parts side by side.

    Args:
        loss_weight: Factor.
        reduction: 'none', 'mean' or 'sum'.
    """

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None, **_kwargs: object) -> Tensor:
        """Compare (B, C, H, W) images; `weight`, if given, fits the spectra (B, C, H, W // 2 + 1, 2)."""
        pred, target = (torch.view_as_real(torch.fft.rfft2(x.float(), norm='ortho')) for x in (pred, target))
        return super().forward(pred, target, weight)


@LOSS_REGISTRY.register()
class WideCharbonnierLoss(CharbonnierLoss):
    """BasicSR's `CharbonnierLoss` computed in float32.

    In float16 its eps of 1e-12 is zero, so the gradient of equal pixels is nan; in bfloat16 the difference of two
    nearby values and the mean keep two to three digits.

    Args:
        loss_weight: Factor.
        reduction: 'none', 'mean' or 'sum'.
        eps: Squared distance under which the loss turns from linear to quadratic.
    """

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None, **_kwargs: object) -> Tensor:
        """Compare (B, C, H, W) images."""
        return super().forward(pred.float(), target.float(), weight)
