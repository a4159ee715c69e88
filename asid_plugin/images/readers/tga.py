"""TGA by Pillow, which interprets bits that the header marks as unused as opacity."""

from typing import IO

import PIL.Image

from ..image import Image
from .metadata import Described
from .pillow import PillowReader

_DESCRIPTOR, _ALPHA_BITS = 17, 0x0F


class TgaReader(PillowReader):
    """Reads TGA."""

    def __init__(self) -> None:
        super().__init__('TGA')

    def channels(self, picture: PIL.Image.Image, file: IO[bytes], animated: bool) -> int:
        """See `PillowReader.channels`."""
        return 3 if _is_opaque(picture, file) else super().channels(picture, file, animated)

    def image(self, picture: PIL.Image.Image, file: IO[bytes], described: Described, animated: bool = False) -> Image:
        """See `PillowReader.image`."""
        picture = picture.convert('RGB') if _is_opaque(picture, file) else picture
        return super().image(picture, file, described, animated)


def _is_opaque(picture: PIL.Image.Image, file: IO[bytes]) -> bool:
    """Whether the bits that Pillow interprets as opacity are unused."""
    file.seek(_DESCRIPTOR)
    return picture.mode == 'RGBA' and not file.read(1)[0] & _ALPHA_BITS
