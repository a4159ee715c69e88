"""Read pictures by Pillow: all pictures of most formats, and those of 8 bits of some."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import IO, Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from ..header import Header
from ..image import Image, Pixels
from .cmyk import CONVERTED, cmyk_to_rgb
from .metadata import Described, describe_info, fit_profile
from .orientation import empty_upright, upright_size
from .refusal import check_pixels, unsupported

# Pillow stores RGB as 4 bytes a pixel and exports bytes; doing this by strips avoids a second picture in memory.
_STRIP_PIXELS = 2**20


class PillowReader:
    """Reads pictures that Pillow opens.

    Args:
        format: Pillow's name of the format.
        animations: Whether the format supports animations.
    """

    def __init__(self, format: str, animations: bool = False) -> None:
        self.format = format
        self.animations = animations

    def header(self, file: IO[bytes]) -> Header:
        """See `read_header`."""
        with self.open(file) as picture:
            height, width = upright_size(picture.height, picture.width, self.describe(picture, file).orientation)
            num_frames = self.num_frames(picture)
            channels = self.channels(picture, file, num_frames > 1)
            frames = num_frames, num_frames > 1, self.loop(picture)
            return Header(self.format, height, width, *frames, channels, self.quality(picture))

    def frames(self, file: IO[bytes]) -> Iterator[Image]:
        """See `read_frames`."""
        with self.open(file) as picture:
            size = picture.size
            num_frames = self.num_frames(picture)
            # A default image of an APNG that is not a frame comes first.
            first = int(num_frames > 1 and getattr(picture, 'default_image', False))
            described: Described | None = None
            for index in range(first, first + num_frames):
                picture.seek(index)
                picture.load()
                check_pixels(*picture.size)
                # A frame may exceed the screen of a GIF; Pillow's picture then grows.
                frame = picture if picture.size == size else picture.crop((0, 0, *size))
                described = described or self.describe(picture, file)
                yield self.image(frame, file, described, animated=num_frames > 1)

    def open(self, file: IO[bytes]) -> PIL.Image.Image:
        """Pillow's image, not loaded."""
        file.seek(0)
        picture = PIL.Image.open(file, formats=(self.format,))
        check_pixels(*picture.size)
        return picture

    def describe(self, picture: PIL.Image.Image, file: IO[bytes]) -> Described:
        """The metadata, with the orientation of Pillow's pixels."""
        return describe_info(picture.info)

    def quality(self, picture: PIL.Image.Image) -> int:
        """See `Header`."""
        return 0

    def notes(self, picture: PIL.Image.Image, file: IO[bytes]) -> tuple[str, ...]:
        """The losses that are known from the file, one phrase each."""
        return ()

    def clear_colour(self, picture: PIL.Image.Image, file: IO[bytes]) -> Any:
        """The transparent colour of a grey or RGB picture, if any."""
        return picture.info.get('transparency')

    def loop(self, picture: PIL.Image.Image) -> int:
        """Number of times that an animation is shown, 0 for ever."""
        return int(picture.info.get('loop', 0))

    def num_frames(self, picture: PIL.Image.Image) -> int:
        """The frames of an animation."""
        if not self.animations:
            return 1
        count = int(getattr(picture, 'n_frames', 1))
        return count - 1 if count > 1 and getattr(picture, 'default_image', False) else count

    def mode(self, picture: PIL.Image.Image, animated: bool) -> str:
        """The lossless mode; 1, L and RGB get alpha for a transparent colour."""
        if picture.mode in ('1', 'L'):
            return 'L'
        if picture.mode in ('LA', 'La'):
            return 'LA'
        return 'RGBA' if picture.mode != 'RGB' and picture.has_transparency_data else 'RGB'

    def channels(self, picture: PIL.Image.Image, file: IO[bytes], animated: bool) -> int:
        """Channels of the pixels."""
        grey_16 = picture.mode.startswith('I')
        mode = 'L' if grey_16 else self.mode(picture, animated)
        clear = self.clear_colour(picture, file) if grey_16 or has_key(mode, picture) else None
        return len(mode) + (clear is not None)

    def image(self, picture: PIL.Image.Image, file: IO[bytes], described: Described, animated: bool = False) -> Image:
        """Convert a loaded Pillow image to ours, upright."""
        notes = self.notes(picture, file)
        mode = self.mode(picture, animated)
        clear = self.clear_colour(picture, file) if has_key(mode, picture) else None
        pixels = to_pixels(picture, mode, described, clear)
        if picture.mode == 'CMYK':
            notes = (*notes, CONVERTED)
            described = replace(described, metadata=replace(described.metadata, profile=None))
        described = fit_profile(described, grey=pixels.shape[2] < 3)
        duration = round(picture.info.get('duration', 0)) if animated else 0
        return Image(pixels, described.metadata, duration, (*notes, *described.notes))


def has_key(mode: str, picture: PIL.Image.Image) -> bool:
    """Whether a colour may mean transparency in this mode."""
    return mode in ('L', 'RGB') and picture.mode in ('1', 'L', 'RGB')


class GifReader(PillowReader):
    """Reads GIF."""

    def __init__(self) -> None:
        super().__init__('GIF', animations=True)

    def loop(self, picture: PIL.Image.Image) -> int:
        """A GIF stores the number of repetitions after the first time, and nothing if it is shown once."""
        loop = picture.info.get('loop')
        return 1 if loop is None else loop and int(loop) + 1

    def mode(self, picture: PIL.Image.Image, animated: bool) -> str:
        """Frames of a GIF may differ in colour and transparency; an animation needs one kind."""
        return 'RGBA' if animated else super().mode(picture, animated)


def to_pixels(picture: PIL.Image.Image, mode: str, described: Described, clear: Any = None) -> Pixels:
    """The pixels of a loaded Pillow image, upright.

    Args:
        picture: Of any mode.
        mode: L, LA, RGB or RGBA; ignored for 16 bits and for CMYK.
        described: Metadata with the orientation and the CMYK profile.
        clear: The colour that becomes transparent.
    """
    channels, dtype, convert = _conversion(picture, mode, described.metadata.profile)
    has_clear = clear is not None
    upright, stored = empty_upright(picture.height, picture.width, channels + has_clear, dtype, described.orientation)
    rows = max(1, _STRIP_PIXELS // picture.width)
    for start in range(0, picture.height, rows):
        strip = picture.crop((0, start, picture.width, min(start + rows, picture.height)))
        if has_clear:
            strip.info.pop('transparency', None)  # else Pillow looks for it by itself
        colour = np.asarray(convert(strip)).reshape(strip.height, strip.width, channels)
        target = stored[start : start + strip.height]
        target[..., :channels] = colour
        if has_clear:
            target[..., -1] = opaque_but(colour, clear)
    return upright


def opaque_but(colour: NDArray[Any], clear: Any) -> Pixels:
    """Alpha, (H, W): 0 where the colour is `clear`, else opaque."""
    hidden = (colour == np.atleast_1d(np.asarray(clear))).all(axis=-1)
    return np.where(hidden, 0, np.iinfo(colour.dtype).max).astype(colour.dtype)


def _conversion(
    picture: PIL.Image.Image, mode: str, profile: bytes | None
) -> tuple[int, type[np.unsignedinteger[Any]], Callable[[PIL.Image.Image], PIL.Image.Image]]:
    """Channels, type, and the function that converts a strip."""
    if picture.mode == 'F':
        raise unsupported('pixels in floating point')
    if picture.mode.startswith('I'):
        return 1, np.uint16, lambda strip: strip
    if picture.mode == 'CMYK':
        return 3, np.uint8, cmyk_to_rgb(profile)
    return len(mode), np.uint8, lambda strip: strip if strip.mode == mode else strip.convert(mode)
