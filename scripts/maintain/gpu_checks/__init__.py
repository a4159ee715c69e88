"""The parts of `gpu_check.py`, a file for each group of measurements."""

from .parts import PARTS, Part

__all__ = ['PARTS', 'Part']
