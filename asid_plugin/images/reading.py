"""Read image files; the content determines the format, not the name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from asid_plugin.files import is_special

from .header import Header
from .image import Image, ImageError
from .readers.avif import AvifReader
from .readers.bmp import BmpReader
from .readers.jpeg import JpegReader
from .readers.jpeg2000 import Jpeg2000Reader
from .readers.netpbm import NetpbmReader
from .readers.optional import HeifReader, JpegXlReader
from .readers.pillow import GifReader, PillowReader
from .readers.png import PngReader
from .readers.quiet import quiet
from .readers.refusal import RefusedError
from .readers.signatures import format_of
from .readers.tga import TgaReader
from .readers.tiff import TiffReader

DAMAGED = 'damaged or cut short'


class _Reader(Protocol):
    def header(self, file: IO[bytes]) -> Header: ...

    def frames(self, file: IO[bytes]) -> Iterator[Image]: ...


_READERS: dict[str, _Reader] = {
    'AVIF': AvifReader(),
    'BMP': BmpReader(),
    'GIF': GifReader(),
    'HEIF': HeifReader(),
    'JPEG': JpegReader(),
    'JPEG2000': Jpeg2000Reader(),
    'JXL': JpegXlReader(),
    'PNG': PngReader(),
    'PPM': NetpbmReader(),
    'TGA': TgaReader(),
    'TIFF': TiffReader(),
    'WEBP': PillowReader('WEBP', animations=True),
}


def read_header(path: str | Path) -> Header:
    """Read the size and kind of a picture, without decoding it.

    Raises:
        ImageError: As in `read_image`.
    """
    with _opened(path) as (file, reader), quiet():
        return reader.header(file)


def read_frames(path: str | Path) -> Iterator[Image]:
    """Read the frames of an animation, or the pages of a file, one after the other; of most files the only one.

    Raises:
        ImageError: As in `read_image`.
    """
    with _opened(path) as (file, reader):
        frames = reader.frames(file)
        while True:
            with quiet():
                frame = next(frames, None)
            if frame is None:
                return
            yield frame


def read_image(path: str | Path) -> Image:
    """Read an image file, turned upright by its EXIF orientation; of several frames or pages the first.

    Raises:
        ImageError: The file is missing, empty, damaged, cut short, larger than `MAX_PIXELS`, not an image, or of an
            unsupported kind.
    """
    with _opened(path) as (file, reader), quiet():
        return next(reader.frames(file))


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[IO[bytes], _Reader]]:
    """An open file and its reader; errors within the block become an ImageError with the file's name."""
    try:
        if is_special(path):  # opening a pipe would block until there is a writer
            raise RefusedError('not a regular file but a pipe, a socket or a device')
        with Path(path).open('rb') as file:
            if not file.read(1):
                raise RefusedError('the file is empty')
            file.seek(0)
            reader = _READERS[format_of(file, Path(path))]
            file.seek(0)
            yield file, reader
    except RefusedError as refusal:
        raise ImageError(f'{path}: {refusal}') from refusal
    except MemoryError as error:
        raise ImageError(f'{path}: not enough memory to decode it') from error
    except Exception as error:  # the libraries raise any error for damaged files
        reason = error.strerror if isinstance(error, OSError) else None  # OSErrors of Pillow have none
        raise ImageError(f'{path}: {reason or DAMAGED}') from error
