"""Writers of the formats; each takes an open file and pictures that fit the format."""

from .pillow import write_animated_webp, write_by_pillow
from .png import write_animated_png, write_png
from .tiff import write_tiff

__all__ = ['write_animated_png', 'write_animated_webp', 'write_by_pillow', 'write_png', 'write_tiff']
