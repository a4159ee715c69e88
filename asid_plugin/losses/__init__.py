"""Losses, registered in BasicSR's `LOSS_REGISTRY`."""

from .asid_loss import FFTLoss, WideCharbonnierLoss

__all__ = ['FFTLoss', 'WideCharbonnierLoss']
