"""Run networks on images: tiles, self-ensemble, `Upscaler`, exported files."""

from asid_plugin.images import Image, ImageError, read_image, write_image

from .batch import survey, upscale_file, upscale_job
from .memory import keep_freed_memory
from .progress import Progress
from .sharing import Share
from .targets import plan
from .tiling import self_ensemble, tiled
from .upscaler import Upscaler, load_upscaler

__all__ = [
    'Image',
    'ImageError',
    'Progress',
    'Share',
    'Upscaler',
    'keep_freed_memory',
    'load_upscaler',
    'plan',
    'read_image',
    'self_ensemble',
    'survey',
    'tiled',
    'upscale_file',
    'upscale_job',
    'write_image',
]
