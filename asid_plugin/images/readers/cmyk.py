"""Convert CMYK to RGB."""

import io
from collections.abc import Callable

import PIL.Image
import PIL.ImageCms

CONVERTED = 'CMYK converted to RGB'
# As in photo editors: paper becomes white, the darkest print black.
_INTENT = PIL.ImageCms.Intent.RELATIVE_COLORIMETRIC
_BLACK_POINT = PIL.ImageCms.Flags.BLACKPOINTCOMPENSATION


def cmyk_to_rgb(profile: bytes | None) -> Callable[[PIL.Image.Image], PIL.Image.Image]:
    """A function from CMYK to RGB: by LittleCMS to sRGB if the file has a profile of its inks, else by Pillow."""
    if profile is not None and profile[16:20] == b'CMYK':
        try:
            inks = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile))
            colours = PIL.ImageCms.createProfile('sRGB')
            transform = PIL.ImageCms.buildTransform(inks, colours, 'CMYK', 'RGB', _INTENT, _BLACK_POINT)
        except (PIL.ImageCms.PyCMSError, OSError):
            pass
        else:
            return transform.apply
    return lambda picture: picture.convert('RGB')
