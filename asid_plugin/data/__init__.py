"""Datasets, registered in BasicSR's `DATASET_REGISTRY`."""

from .degraded_image_dataset import DegradedImageDataset
from .fast_paired_dataset import CachedPairedImageDataset, RawPairedImageDataset

__all__ = ['CachedPairedImageDataset', 'DegradedImageDataset', 'RawPairedImageDataset']
