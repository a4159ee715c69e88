"""HEIC and JPEG XL, by Pillow's plugins of the extra `formats`."""

from collections.abc import Iterator
from dataclasses import replace
from typing import IO

import imagecodecs
import numpy as np
import PIL.Image

from asid_plugin.extras import how_to_install

from ..header import Header
from ..image import Image
from .colours import code_points_notes
from .jpegxl import read_jpegxl_header
from .metadata import Described, describe_info, fit_profile
from .orientation import upright_size
from .pillow import PillowReader
from .refusal import RefusedError, check_pixels, unsupported
from .scaling import scale_samples


def _needs(format: str, package: str) -> RefusedError:
    return RefusedError(f'{format} needs {package}: {how_to_install("formats")}')


class HeifReader(PillowReader):
    """Reads HEIC; of several pictures the primary one."""

    def __init__(self) -> None:
        super().__init__('HEIF')

    def open(self, file: IO[bytes]) -> PIL.Image.Image:
        """See `PillowReader.open`."""
        try:
            import pillow_heif
        except ImportError as error:
            raise _needs('HEIC', 'pillow-heif') from error
        if 'HEIF' not in PIL.Image.OPEN:
            pillow_heif.register_heif_opener()
        return super().open(file)

    def describe(self, picture: PIL.Image.Image, file: IO[bytes]) -> Described:
        """See `PillowReader.describe`; the decoder has rotated the picture."""
        return replace(describe_info(picture.info), orientation=1)

    def notes(self, picture: PIL.Image.Image, file: IO[bytes]) -> tuple[str, ...]:
        """See `PillowReader.notes`."""
        depth, count = picture.info.get('bit_depth', 8), getattr(picture, 'n_frames', 1)
        notes: tuple[str, ...] = (f'HEIC of {depth} bits read as 8',) if depth > 8 else ()
        found = picture.info.get('nclx_profile')
        if found and not picture.info.get('icc_profile'):
            notes += code_points_notes(found['color_primaries'], found['transfer_characteristics'])
        return notes if count == 1 else (*notes, f'only one of the {count} pictures of the HEIC')


class JpegXlReader(PillowReader):
    """Reads JPEG XL; of an animation the first frame."""

    def __init__(self) -> None:
        super().__init__('JXL')

    def header(self, file: IO[bytes]) -> Header:
        """See `read_header`; the plugin would decode the picture."""
        found = read_jpegxl_header(file)
        check_pixels(found.width, found.height)
        return Header(self.format, *upright_size(found.height, found.width, found.orientation))

    def frames(self, file: IO[bytes]) -> Iterator[Image]:
        """See `read_frames`."""
        self.header(file)
        found = read_jpegxl_header(file)
        if found.floating:
            raise unsupported('pixels in floating point')
        if found.bits > 16:
            raise unsupported(f'{found.bits} bits per channel')
        with self.open(file) as picture:
            described, notes = self.describe(picture, file), self.notes(picture, file)
            if found.bits <= 8 and not found.animated:  # the plugin merges the frames of an animation
                picture.load()
                yield self.image(picture, file, described)
                return
        file.seek(0)
        samples = imagecodecs.jpegxl_decode(file.read())
        samples = np.atleast_3d(samples[0] if found.animated else samples)
        described = fit_profile(described, grey=samples.shape[2] < 3)
        pixels = scale_samples(samples, 2**found.bits - 1)
        yield Image(pixels, described.metadata, notes=(*notes, *described.notes))

    def notes(self, picture: PIL.Image.Image, file: IO[bytes]) -> tuple[str, ...]:
        """See `PillowReader.notes`."""
        return ('only the first frame of an animated JPEG XL',) if read_jpegxl_header(file).animated else ()

    def open(self, file: IO[bytes]) -> PIL.Image.Image:
        """See `PillowReader.open`."""
        try:
            import pillow_jxl  # noqa: F401  # registers the format in Pillow
        except ImportError as error:
            raise _needs('JPEG XL', 'pillow-jxl-plugin') from error
        return super().open(file)

    def describe(self, picture: PIL.Image.Image, file: IO[bytes]) -> Described:
        """See `PillowReader.describe`.

        JPEG XL has its own orientation, which decoders apply, and the orientation in EXIF is ignored. A recompressed
        JPEG is decoded to the original JPEG.
        """
        described = describe_info(picture.info)
        return described if getattr(picture, 'jpeg', False) else replace(described, orientation=1)
