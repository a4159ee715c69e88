"""Image files in and out: PNG, JPEG, WebP, TIFF and BMP, 8 or 16 bits, grey or colour, with or without alpha."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from asid_plugin.errors import ASIDError
from asid_plugin.files import whole_file

# Any depth and any number of channels, as IMREAD_UNCHANGED, but turned as the EXIF orientation says.
_DECODE = cv2.IMREAD_COLOR | cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
# OpenCV hands out colour profiles from 4.13 on; before, they are lost.
_PROFILE = getattr(cv2, 'IMAGE_METADATA_ICCP', None)
_TIFF_EXTRA_SAMPLES = 338


class ImageError(ASIDError):
    """An image file that cannot be read or written; the message names the file and the reason."""


@dataclass(frozen=True)
class Image:
    """A picture as the network sees it, with what its file said besides.

    Attributes:
        rgb: Colour, (H, W, 3) float32 in [0, 1]; three equal planes when the picture is grey.
        alpha: Opacity, (H, W) float32 in [0, 1], or None. The colour is not multiplied by it.
        bits: Bits per channel of the file, 8 or 16.
        grey: Whether the file has no colour (and shall get none).
        profile: ICC profile of the colours, or None.
    """

    rgb: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None
    bits: int = 8
    grey: bool = False
    profile: bytes | None = None


@dataclass(frozen=True)
class ImageFormat:
    """What a file format holds, and the parameters OpenCV writes it with."""

    name: str
    bits: int
    alpha: bool
    profile: bool
    max_side: int
    params: tuple[int, ...] = ()


_PNG = ImageFormat('PNG', bits=16, alpha=True, profile=True, max_side=1_000_000)
_JPEG = ImageFormat(
    'JPEG',
    bits=8,
    alpha=False,
    profile=True,
    max_side=65_500,
    params=(cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
# A quality above 100 is OpenCV's way to say lossless.
_WEBP = ImageFormat('WebP', bits=8, alpha=True, profile=True, max_side=16_383, params=(cv2.IMWRITE_WEBP_QUALITY, 101))
_TIFF = ImageFormat('TIFF', bits=16, alpha=True, profile=False, max_side=2**20)
# A BMP can have alpha, but few programs look for it, OpenCV before 4.13 not either.
_BMP = ImageFormat('BMP', bits=8, alpha=False, profile=False, max_side=2**20)
FORMATS = {'.png': _PNG, '.jpg': _JPEG, '.jpeg': _JPEG, '.webp': _WEBP, '.tif': _TIFF, '.tiff': _TIFF, '.bmp': _BMP}
UNREADABLE = 'damaged, cut short, or not a PNG, JPEG, WebP, TIFF or BMP image'


def read_image(path: str | Path) -> Image:
    """Read an image file, turned upright as its EXIF orientation says.

    The content decides the format, not the name. Palettes become RGB(A), CMYK becomes RGB, one bit becomes eight; of
    several pages or frames the first is read.

    Raises:
        ImageError: The file is missing, empty, damaged, cut short, no image, or neither 8 nor 16 bits deep.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ImageError(f'{path}: {error.strerror}') from error
    if not data.size:
        raise ImageError(f'{path}: the file is empty')
    pixels, profile = _decode(data)
    if pixels is None:
        raise ImageError(f'{path}: {UNREADABLE}')
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(f'{path}: the pixels are {pixels.dtype}; only 8 and 16 bits (unsigned) are read')

    bits = 8 * pixels.itemsize
    top = 2**bits - 1
    planes = np.atleast_3d(np.divide(pixels, top, dtype=np.float32))
    alpha = planes[..., 3] if planes.shape[2] == 4 else None
    bgr = planes[..., :3]
    if alpha is not None and _is_premultiplied(data.tobytes(), bits):
        bgr = np.minimum(bgr / np.maximum(alpha, 1 / top)[..., None], 1)
    # OpenCV gives grey with alpha as four channels.
    grey = planes.shape[2] == 1 or (alpha is not None and bool(np.ptp(bgr, axis=2).max() == 0))
    rgb = np.repeat(bgr, 3, axis=2) if bgr.shape[2] == 1 else np.ascontiguousarray(bgr[..., ::-1])
    return Image(rgb, alpha, bits, grey, profile)


def write_image(image: Image, path: str | Path) -> list[str]:
    """Write an image file, whole or not at all, with the folder it is in; its suffix decides the format.

    What a format cannot hold is brought to what it can: 16 bits become 8, transparency is composited over white, a
    colour profile is left out. JPEG is written with quality 95 and full-size colour, the others without loss.

    Returns:
        What was lost in this way, one phrase each.

    Raises:
        ImageError: The format is unknown or too small for the image, or the file cannot be written.
    """
    path = Path(path)
    check_size(path, *image.rgb.shape[:2])
    target = FORMATS[path.suffix.lower()]
    image, notes = _fit(image, target)
    data = _encode(image, path.suffix, target.params)
    if data is None:
        raise ImageError(f'{path}: OpenCV could not encode it as {target.name}')
    try:
        with whole_file(path) as unfinished:
            unfinished.write_bytes(data)
    except OSError as error:
        raise ImageError(f'{path}: {error.strerror}') from error
    return notes


def check_size(path: str | Path, height: int, width: int) -> None:
    """Raise an ImageError if the format that `path` names cannot hold an image of this size, or is not known."""
    target = FORMATS.get(Path(path).suffix.lower())
    if target is None:
        raise ImageError(f'{path}: the name must end in one of {", ".join(FORMATS)}')
    if max(height, width) > target.max_side:
        raise ImageError(f'{path}: {width}x{height} is too large: {target.name} ends at {target.max_side} a side')


def _decode(data: NDArray[np.uint8]) -> tuple[NDArray[Any] | None, bytes | None]:
    """Pixels as OpenCV orders them, (H, W) or (H, W, 3 or 4), and the ICC profile."""
    with _quiet():
        try:
            if _PROFILE is None:
                return cv2.imdecode(data, _DECODE), None
            pixels, kinds, values = cv2.imdecodeWithMetadata(data, flags=_DECODE)
        except cv2.error:
            return None, None
    found = [np.asarray(value).tobytes() for kind, value in zip(kinds, values, strict=True) if kind == _PROFILE]
    return pixels, found[0] if found else None


def _encode(image: Image, suffix: str, params: tuple[int, ...]) -> bytes | None:
    planes = cv2.cvtColor(image.rgb, cv2.COLOR_RGB2GRAY if image.grey else cv2.COLOR_RGB2BGR)
    if image.alpha is not None:
        planes = np.dstack([cv2.cvtColor(planes, cv2.COLOR_GRAY2BGR) if image.grey else planes, image.alpha])
    # In place: a photograph enlarged four times takes gigabytes.
    np.clip(planes, 0, 1, out=planes)
    planes *= 2**image.bits - 1
    pixels = np.rint(planes, out=planes).astype(np.uint8 if image.bits == 8 else np.uint16)
    del planes
    with _quiet():
        try:
            if image.profile is None or _PROFILE is None:
                done, data = cv2.imencode(suffix, pixels, params)
            else:
                profile = np.frombuffer(image.profile, np.uint8)
                done, data = cv2.imencodeWithMetadata(suffix, pixels, [_PROFILE], [profile], params)
        except cv2.error:
            return None
    return data.tobytes() if done else None


def _fit(image: Image, target: ImageFormat) -> tuple[Image, list[str]]:
    """The image as `target` can hold it, and what that cost."""
    notes = []
    if image.bits > target.bits:
        notes.append(f'{target.name} holds {target.bits} bits per channel, not {image.bits}')
        image = replace(image, bits=target.bits)
    if image.alpha is not None and not target.alpha:
        if image.alpha.min() < 1:
            notes.append(f'{target.name} is written without alpha: composited over white')
        alpha = image.alpha[..., None]
        image = replace(image, rgb=image.rgb * alpha + (1 - alpha), alpha=None)
    if image.profile is not None:
        # Bytes 16 to 19 say what the profile is for. That of a CMYK image, which OpenCV has made RGB, is void.
        if image.profile[16:20] != (b'GRAY' if image.grey and image.alpha is None else b'RGB '):
            image = replace(image, profile=None)
        elif not target.profile:
            notes.append(f'{target.name} is written without the colour profile')
            image = replace(image, profile=None)
    return image, notes


def _is_premultiplied(data: bytes, bits: int) -> bool:
    """Whether OpenCV's colours of this file with alpha are multiplied by it: some TIFFs', told by ExtraSamples.

    1 there says that the file has them so; 2 that it doesn't, but of 8 bits libtiff's RGBA interface makes them so.
    """
    if data[:4] not in (b'II*\0', b'MM\0*'):
        return False
    order = '<' if data[:2] == b'II' else '>'
    (start,) = struct.unpack_from(order + 'I', data, 4)
    (entries,) = struct.unpack_from(order + 'H', data, start)
    for entry in range(entries):
        tag, _, _, value = struct.unpack_from(order + 'HHIH', data, start + 2 + 12 * entry)
        if tag == _TIFF_EXTRA_SAMPLES:
            return value == 1 or (value == 2 and bits == 8)
    return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from logging what an ImageError says already."""
    log = getattr(cv2.utils, 'logging', cv2)
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)
