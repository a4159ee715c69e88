"""Read and write image files; only this package knows their formats and libraries."""

from .formats import FORMATS, MAX_PIXELS, READABLE, UNREADABLE, ImageFormat, check_size
from .header import Header
from .image import Image, ImageError, Metadata, Pixels, Strips, to_bits
from .reading import read_frames, read_header, read_image
from .writing import QUALITY, write_frames, write_image

__all__ = [
    'FORMATS',
    'MAX_PIXELS',
    'QUALITY',
    'READABLE',
    'UNREADABLE',
    'Header',
    'Image',
    'ImageError',
    'ImageFormat',
    'Metadata',
    'Pixels',
    'Strips',
    'check_size',
    'read_frames',
    'read_header',
    'read_image',
    'to_bits',
    'write_frames',
    'write_image',
]
