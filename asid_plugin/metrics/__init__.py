"""Metrics, registered in BasicSR's `METRIC_REGISTRY`."""

from .ssim_matlab import calculate_ssim_matlab

__all__ = ['calculate_ssim_matlab']
