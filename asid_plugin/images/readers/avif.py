"""AVIF by Pillow, in 8 bits."""

import struct
from typing import IO

import PIL.Image

from .colours import code_points_notes
from .metadata import Described, describe_info
from .pillow import PillowReader

_HEAD = 2**16
_CODE_POINTS = b'colrnclx'
_HIGH, _TWELVE = 0x40, 0x20  # bits of the third byte of AV1's configuration


class AvifReader(PillowReader):
    """Reads AVIF."""

    def __init__(self) -> None:
        super().__init__('AVIF', animations=True)

    def describe(self, picture: PIL.Image.Image, file: IO[bytes]) -> Described:
        """See `PillowReader.describe`; Pillow reports the rotation of AVIF as EXIF, and only this is valid."""
        described = describe_info(picture.info)
        turn = describe_info({'exif': picture.info.get('exif')}).orientation
        return Described(described.metadata, turn, described.notes)

    def notes(self, picture: PIL.Image.Image, file: IO[bytes]) -> tuple[str, ...]:
        """See `PillowReader.notes`."""
        file.seek(0)
        data = file.read(_HEAD)
        at = data.find(b'av1C')
        notes: tuple[str, ...] = ()
        if at >= 0 and data[at + 6] & _HIGH:
            notes = (f'AVIF of {12 if data[at + 6] & _TWELVE else 10} bits read as 8',)
        at = data.find(_CODE_POINTS)
        if at >= 0 and not picture.info.get('icc_profile'):
            notes += code_points_notes(*struct.unpack_from('>HH', data, at + len(_CODE_POINTS)))
        return notes
