"""TIFF by tifffile and imagecodecs, which return stored samples; this module interprets them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray

from ..header import Header
from ..image import Image, Pixels
from .cmyk import CONVERTED, cmyk_to_rgb
from .metadata import fit_profile
from .orientation import turn, upright_size
from .refusal import RefusedError, check_pixels, unsupported
from .scaling import scale_samples
from .tiff_tags import describe_page

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _INKS, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {_MIN_IS_WHITE: 1, _MIN_IS_BLACK: 1, _RGB: 3, _PALETTE: 1, _INKS: 4, _YCBCR: 3}
_NAMES = {
    8: 'CIELab colours',
    9: 'ICCLab colours',
    10: 'ITULab colours',
    32803: 'camera raw',
    34892: 'camera raw',
    32844: 'LogL, which is HDR',
    32845: 'LogLuv, which is HDR',
}
_SAMPLE_FORMATS = {1: 'unsigned', 2: 'signed', 3: 'float', 4: 'unsigned', 5: 'complex', 6: 'complex'}
_JPEG = (6, 7)  # compressions that tifffile converts from YCbCr to RGB
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_INK_SET, _DNG_VERSION = 332, 50706
_UNSPECIFIED, _ASSOCIATED = 0, 1
_STRIP_SAMPLES = 2**22
_BUFFER = 2**24  # bytes to read ahead


class TiffReader:
    """Reads TIFF and BigTIFF; the pages exclude reduced pictures and masks of others."""

    def header(self, file: IO[bytes]) -> Header:
        """See `read_header`."""
        with _opened(file) as tiff:
            pages = list(_pages(tiff))
            for page in pages:
                check_pixels(page.imagewidth, page.imagelength)
            kind, *_ = [_kind(page) for page in pages]
            sizes = tuple(
                upright_size(page.imagelength, page.imagewidth, describe_page(page, file).orientation) for page in pages
            )
            differing = sizes if len(set(sizes)) > 1 else ()
            return Header('TIFF', *sizes[0], len(pages), channels=kind.channels, sizes=differing)

    def frames(self, file: IO[bytes]) -> Iterator[Image]:
        """See `read_frames`."""
        with _opened(file) as tiff:
            for page in _pages(tiff):
                yield _read_page(page, file)


def _opened(file: IO[bytes]) -> tifffile.TiffFile:
    file.seek(8)
    if file.read(2) == b'CR':
        raise unsupported('camera raw')
    file.seek(0)
    return tifffile.TiffFile(file)


def _pages(tiff: tifffile.TiffFile) -> Iterator[Any]:
    """The pages that are separate pictures; the first page if there are none."""
    found = False
    for index in range(len(tiff.pages)):
        page = tiff.pages[index].aspage()
        if _DNG_VERSION in page.tags:
            raise unsupported('camera raw')
        if not page.subfiletype & (_REDUCED | _MASK):
            found = True
            yield page
    if not found:
        if tiff.pages[0].aspage().tags.get('SubIFDs') is not None:
            raise unsupported('camera raw')  # and others with nested pictures
        yield tiff.pages[0].aspage()


@dataclass(frozen=True)
class _Kind:
    """The meaning of the samples of a page.

    Attributes:
        photometric: TIFF's PhotometricInterpretation.
        colours: Colour samples per pixel.
        bits: Bits per sample.
        extra: The ExtraSamples tag of the sample after the colours; None if there is no such sample.
    """

    photometric: int
    colours: int
    bits: int
    extra: int | None

    @property
    def has_alpha(self) -> bool:
        return self.extra not in (None, _UNSPECIFIED)

    @property
    def channels(self) -> int:
        return (1 if self.photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK) else 3) + self.has_alpha


def _kind(page: Any) -> _Kind:
    """The kind of a page.

    A sample after the colours is opacity if the tag ExtraSamples says so, or if the tag is missing, because some
    writers (OpenCV) omit it. It is not opacity if the tag is 'unspecified', for example for infrared. Pillow does the
    same; libtiff's RGBA interface treats it as associated alpha.

    Raises:
        RefusedError: It is not supported.
    """
    photometric = int(page.photometric)
    if photometric not in _COLOURS:
        raise unsupported(_NAMES.get(photometric, f'photometric interpretation {photometric}'))
    _check_samples(page)
    if photometric == _YCBCR and page.compression not in _JPEG:
        raise unsupported('YCbCr without JPEG compression')
    if photometric == _INKS and (page.bitspersample != 8 or page.tags.valueof(_INK_SET, 1) != 1):
        raise unsupported(f'CMYK of {page.bitspersample} bits' if page.bitspersample != 8 else 'inks other than CMYK')
    colours = _COLOURS[photometric]
    num_extra = page.samplesperpixel - colours
    if num_extra < 0:
        raise ValueError('too few samples')
    if num_extra > 1 or (num_extra and photometric == _INKS):
        raise unsupported(f'{page.samplesperpixel} bands')
    extra = None
    if num_extra:
        extra = int(page.extrasamples[0]) if page.extrasamples else 2
    return _Kind(photometric, colours, page.bitspersample, extra)


def _check_samples(page: Any) -> None:
    """Refuse samples that are not unsigned integers of at most 16 bits."""
    bits = page.bitspersample
    if isinstance(bits, tuple):
        raise unsupported(f'channels of {", ".join(map(str, bits))} bits')
    sample_format = _SAMPLE_FORMATS.get(int(page.sampleformat), 'unknown')
    if sample_format == 'float':
        raise unsupported(f'pixels in floating point (float{bits})')
    if sample_format != 'unsigned':
        raise unsupported(f'{sample_format} samples')
    if bits > 16:
        raise unsupported(f'{bits} bits per channel')
    if page.imagedepth != 1:
        raise unsupported('volumes')


def _read_page(page: Any, file: IO[bytes]) -> Image:
    check_pixels(page.imagewidth, page.imagelength)
    kind = _kind(page)
    _check_segments(page)
    described = describe_page(page, file)
    pixels, notes = _understood(_samples(page), kind, page, described.metadata.profile)
    if kind.photometric == _INKS:
        described = replace(described, metadata=replace(described.metadata, profile=None))
    described = fit_profile(described, grey=pixels.shape[2] < 3)
    pixels = np.ascontiguousarray(turn(pixels, described.orientation))
    return Image(pixels, described.metadata, notes=(*notes, *described.notes))


def _check_segments(page: Any) -> None:
    """Raise a ValueError if strips or tiles are missing: tifffile fills them with zeros."""
    size = page.parent.filehandle.size
    if not page.dataoffsets or len(page.dataoffsets) != len(page.databytecounts):
        raise ValueError('no pixels')
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        if offset == 0 or length == 0 or offset + length > size:
            raise ValueError('a strip or tile is missing')


def _samples(page: Any) -> NDArray[Any]:
    """(height, width, samples), unscaled; bool for 1 bit."""
    try:
        samples = page.asarray(
            squeeze=False, buffersize=_BUFFER
        )  # (separate samples, depth, height, width, contiguous samples)
    except NotImplementedError as error:
        raise unsupported(str(error)) from error
    except ValueError as error:
        if 'not supported' in str(error) or 'require' in str(error):
            raise RefusedError(f'not supported: compression {page.compression}') from error
        raise
    return samples[0, 0] if samples.shape[0] == 1 else np.moveaxis(samples[:, 0, ..., 0], 0, -1)


def _understood(samples: NDArray[Any], kind: _Kind, page: Any, profile: bytes | None) -> tuple[Pixels, tuple[str, ...]]:
    """Pixels, and notes."""
    if samples.dtype == bool:
        samples = samples.view(np.uint8)
    notes: tuple[str, ...] = ()
    if kind.extra == _UNSPECIFIED:
        samples = samples[..., : kind.colours]
        notes = ('a channel that is neither colour nor opacity',)
    top = 2**kind.bits - 1
    if kind.photometric == _PALETTE:
        return _by_palette(samples, page.colormap, kind), notes
    if kind.photometric == _INKS:
        return _by_inks(samples, profile), (*notes, CONVERTED)
    pixels = scale_samples(samples, top)
    if kind.photometric == _MIN_IS_WHITE:
        pixels = pixels.copy()
        pixels[..., 0] = np.iinfo(pixels.dtype).max - pixels[..., 0]
    if kind.extra == _ASSOCIATED:
        pixels = _unmultiply(pixels)
    return pixels, notes


def _by_palette(samples: NDArray[Any], palette: NDArray[np.uint16], kind: _Kind) -> Pixels:
    """Colours of 8 bits: the upper 8 of the 16 bits in a palette, or the lower 8 if a writer filled only these."""
    colours = palette.T
    if colours.max() > 255:
        colours = colours >> 8
    pixels: Pixels = colours.astype(np.uint8)[samples[..., 0]]
    if not kind.has_alpha:
        return pixels
    alpha = scale_samples(samples[..., 1:], 2**kind.bits - 1)
    return np.dstack([pixels, alpha if alpha.dtype == np.uint8 else alpha >> 8])


def _by_inks(samples: NDArray[Any], profile: bytes | None) -> Pixels:
    convert = cmyk_to_rgb(profile)
    height, width, _ = samples.shape
    pixels = np.empty((height, width, 3), np.uint8)
    for start, stop in _strips(samples):
        inks = PIL.Image.frombuffer('CMYK', (width, stop - start), np.ascontiguousarray(samples[start:stop]).tobytes())
        pixels[start:stop] = np.asarray(convert(inks))
    return pixels


def _unmultiply(pixels: Pixels) -> Pixels:
    """Colours divided by alpha."""
    top = np.uint32(np.iinfo(pixels.dtype).max)
    straight = pixels.copy()
    for start, stop in _strips(pixels):
        alpha = pixels[start:stop, :, -1:].astype(np.uint32)
        colour = (pixels[start:stop, :, :-1].astype(np.uint32) * top + alpha // 2) // np.maximum(alpha, 1)
        straight[start:stop, :, :-1] = np.minimum(colour, top)
    return straight


def _strips(pixels: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """First and last rows of strips that need little memory."""
    rows = max(1, _STRIP_SAMPLES // (pixels.shape[1] * pixels.shape[2]))
    for start in range(0, pixels.shape[0], rows):
        yield start, min(start + rows, pixels.shape[0])
