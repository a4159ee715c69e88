"""Readers of image files that are not ours: each takes a path and gives (height, width, channels)."""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import png

from .case import Pixels, planes


def pypng(path: Path) -> Pixels:
    """PNG, of any depth; alpha where the file has any."""
    reader = png.Reader(filename=str(path))
    width, height, rows, info = reader.read()
    if info.get('palette') or 'transparent' in info or info['bitdepth'] < 8:
        width, height, rows, info = png.Reader(filename=str(path)).asDirect()
    values = np.array([list(row) for row in rows])
    bits = info['bitdepth']
    if bits < 8 or (bits == 8 and values.max(initial=0) > 255):
        values, bits = np.rint(values * 255 / (2**bits - 1)), 8
    return values.astype(np.uint8 if bits == 8 else np.uint16).reshape(height, width, info['planes'])


def pillow(path: Path) -> Pixels:
    """8 bits; palettes become colours, with alpha where the file has any."""
    with PIL.Image.open(path) as file:
        image = PIL.ImageOps.exif_transpose(file)
        if 'transparency' in image.info and image.mode != 'RGBA':
            image = image.convert('RGBA')
        elif image.mode == 'P':
            image = image.convert('RGB')
        elif image.mode == '1':
            image = image.convert('L')
        pixels = np.asarray(image)
        return planes(pixels.astype(np.uint16) if image.mode.startswith('I') else pixels)


def pillow_rgb(path: Path) -> Pixels:
    """8 bits, RGB whatever the file holds."""
    with PIL.Image.open(path) as file:
        return np.asarray(PIL.ImageOps.exif_transpose(file).convert('RGB'))


def opencv(path: Path) -> Pixels:
    """Any depth, as many channels as OpenCV finds, without turning."""
    pixels = planes(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    return np.ascontiguousarray(pixels[..., {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]])


def opencv_upright(path: Path) -> Pixels:
    """RGB or grey, turned as the EXIF orientation says."""
    pixels = planes(cv2.imread(str(path), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH))
    return np.ascontiguousarray(pixels[..., ::-1])


def codec(name: str):
    """A decoder of imagecodecs, such as 'webp'."""

    def read(path: Path) -> Pixels:
        return planes(getattr(imagecodecs, f'{name}_decode')(path.read_bytes()))

    return read


def libtiff(path: Path) -> Pixels:
    """TIFF's samples as libtiff gives them to imagecodecs, of the first page."""
    samples = imagecodecs.tiff_decode(path.read_bytes(), 0)
    return planes(samples)


def libtiff_planar(path: Path) -> Pixels:
    """TIFF's samples as libtiff gives them, a plane for each channel, put together."""
    return np.ascontiguousarray(np.moveaxis(imagecodecs.tiff_decode(path.read_bytes(), 0), 0, 2))


def negative(path: Path) -> Pixels:
    """TIFF's samples whose 0 is white."""
    samples = libtiff(path)
    return np.iinfo(samples.dtype).max - samples


def littlecms(path: Path) -> Pixels:
    """CMYK by its profile in sRGB, as LittleCMS converts it."""
    with PIL.Image.open(path) as file:
        image = PIL.ImageOps.exif_transpose(file)
        profile = PIL.ImageCms.ImageCmsProfile(io.BytesIO(file.info['icc_profile']))
        intent = PIL.ImageCms.Intent.RELATIVE_COLORIMETRIC
        srgb = PIL.ImageCms.createProfile('sRGB')
        return np.asarray(PIL.ImageCms.profileToProfile(image, profile, srgb, intent, 'RGB'))


def heif(path: Path) -> Pixels:
    """HEIC by pillow-heif's own interface."""
    import pillow_heif

    return planes(np.asarray(pillow_heif.open_heif(path)))


def jxl(path: Path) -> Pixels:
    """JPEG XL by imagecodecs."""
    return planes(imagecodecs.jpegxl_decode(path.read_bytes()))


def turned(read: Callable[[Path], Pixels]) -> Callable[[Path], Pixels]:
    """A reader that does not turn, and Pillow that does, by the orientation that it finds in the file."""

    def upright(path: Path) -> Pixels:
        samples = read(path)
        with PIL.Image.open(path) as file:
            orientation = file.getexif()[0x112]
        channels = []
        for channel in np.moveaxis(samples, 2, 0):
            image = PIL.Image.fromarray(channel.astype(np.int32))
            image.getexif()[0x112] = orientation
            channels.append(np.asarray(PIL.ImageOps.exif_transpose(image)))
        return np.stack(channels, axis=2).astype(samples.dtype)

    return upright
