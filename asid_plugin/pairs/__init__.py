"""Check image pairs for training and testing, in folders and LMDBs, before a run."""

from .decoding import SampleError, check_file, decode

__all__ = ['SampleError', 'check_file', 'decode']
