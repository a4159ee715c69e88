"""Images in and out, and networks run on them: tiles, self-ensemble, `Upscaler`, exported files."""

from .batch import plan, upscale_file
from .images import Image, ImageError, read_image, write_image
from .memory import keep_freed_memory
from .tiling import self_ensemble, tiled
from .upscaler import Upscaler, load_upscaler

__all__ = [
    'Image',
    'ImageError',
    'Upscaler',
    'keep_freed_memory',
    'load_upscaler',
    'plan',
    'read_image',
    'self_ensemble',
    'tiled',
    'upscale_file',
    'write_image',
]
