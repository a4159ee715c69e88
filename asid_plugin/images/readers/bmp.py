"""BMP by Pillow, with the colour profile, which Pillow ignores."""

import struct
from dataclasses import replace
from typing import IO

import PIL.Image

from .metadata import Described
from .pillow import PillowReader

_FILE_HEADER, _V5_HEADER = 14, 124


class BmpReader(PillowReader):
    """Reads BMP."""

    def __init__(self) -> None:
        super().__init__('BMP')

    def describe(self, picture: PIL.Image.Image, file: IO[bytes]) -> Described:
        """See `PillowReader.describe`."""
        described = super().describe(picture, file)
        return replace(described, metadata=replace(described.metadata, profile=_profile(file)))


def _profile(file: IO[bytes]) -> bytes | None:
    at = file.tell()
    try:
        file.seek(_FILE_HEADER)
        header = file.read(_V5_HEADER)
        if len(header) < _V5_HEADER or struct.unpack_from('<I', header)[0] != _V5_HEADER or header[56:60] != b'DEBM':
            return None
        offset, length = struct.unpack_from('<II', header, 112)
        file.seek(_FILE_HEADER + offset)
        return file.read(length)
    finally:
        file.seek(at)
