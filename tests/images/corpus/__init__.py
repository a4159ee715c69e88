"""Image files of all kinds, each with its truth: how the picture must come out, or why the file must be refused.

A file is made by a library other than the one that is likely to read it, or byte by byte, out of a small picture with
strong colours. `CASES` lists those that must be read, `REFUSED` those that must not.
"""

from itertools import chain

from . import (
    bmp_files,
    gif_files,
    jpeg_files,
    modern_files,
    png_files,
    pnm_files,
    refused_files,
    tga_files,
    tiff_files,
    webp_files,
)
from .case import Case, Refused

__all__ = ['CASES', 'REFUSED', 'Case', 'Refused']

_MODULES = (
    png_files,
    jpeg_files,
    webp_files,
    tiff_files,
    bmp_files,
    gif_files,
    pnm_files,
    tga_files,
    modern_files,
)
CASES: dict[str, Case] = {case.name: case for case in chain.from_iterable(module.cases() for module in _MODULES)}
"""Files that must be read, by name."""
REFUSED: dict[str, Refused] = {case.name: case for case in refused_files.cases()}
"""Files that must not be read, by name."""
