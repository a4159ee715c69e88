"""Pairs of images to train and test on, in folders and LMDBs: whether they can be used, looked at before a run."""

from .decoding import SampleError, check_file, decode

__all__ = ['SampleError', 'check_file', 'decode']
