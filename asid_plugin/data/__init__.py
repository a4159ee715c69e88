"""Datasets, registered in BasicSR's `DATASET_REGISTRY`."""

from .fast_paired_dataset import CachedPairedImageDataset, RawPairedImageDataset

__all__ = ['CachedPairedImageDataset', 'RawPairedImageDataset']
