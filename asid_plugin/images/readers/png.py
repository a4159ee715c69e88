"""PNG: 16 bits by imagecodecs, interlaced ones by OpenCV, all else by Pillow."""

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import IO, Any

import cv2
import imagecodecs
import numpy as np
import PIL.Image
import PIL.PngImagePlugin
from numpy.typing import NDArray

from ..header import Header
from ..image import Image
from .colours import chromaticity_notes, code_points_notes
from .metadata import Described, describe_info, fit_profile, join_texts
from .orientation import turn
from .pillow import PillowReader, opaque_but
from .refusal import check_pixels

_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_DESCRIBING = (b'cHRM', b'cICP', b'eXIf', b'gAMA', b'iCCP', b'iTXt', b'pHYs', b'sRGB', b'tEXt', b'zTXt')
_DECODING = (b'tRNS', b'acTL', b'fcTL', b'fdAT')  # and all whose names begin with a capital letter
_HARMLESS = (*_DESCRIBING, b'bKGD', b'hIST', b'sBIT', b'sPLT', b'tIME')
"""Chunks that do not affect the pixels."""
_ANCILLARY = 0x20  # bit of the first letter
_SRGB_CODE_POINTS = (1, 13, 0, 1)  # primaries, transfer function, matrix, full range
_GREY, _RGB = 0, 2
_CHANNELS = {_GREY: 1, _RGB: 3, 3: 3, 4: 2, 6: 4}  # by colour type; 3 is a palette
_HAS_ALPHA, _HAS_COLOUR = 4, 2  # bits of the colour type


class PngReader(PillowReader):
    """Reads PNG and APNG."""

    def __init__(self) -> None:
        super().__init__('PNG', animations=True)

    def header(self, file: IO[bytes]) -> Header:
        """See `read_header`; plain files, of which a data set may have many thousand, are read without Pillow."""
        return _plain_header(file) or super().header(file)

    def frames(self, file: IO[bytes]) -> Iterator[Image]:
        """See `read_frames`."""
        if any(kind != b'IEND' and kind not in _HARMLESS for kind in damaged_chunks(file)):
            raise ValueError('a checksum is wrong')  # Pillow does not check it
        if _depth(file) < 16:
            yield from super().frames(file)
            return
        with self.open(file) as picture:
            animated = self.num_frames(picture) > 1
            described = self.describe(picture, file)
        if animated:
            for frame in super().frames(file):
                yield replace(frame, notes=('animated PNG of 16 bits read as 8', *frame.notes))
            return
        file.seek(0)
        pixels = _decode_16(_without_descriptions(file))
        described = fit_profile(described, grey=pixels.shape[2] < 3)
        yield Image(
            np.ascontiguousarray(turn(pixels, described.orientation)), described.metadata, notes=described.notes
        )

    def describe(self, picture: PIL.Image.Image, file: IO[bytes]) -> Described:
        """See `PillowReader.describe`; Pillow finds metadata after the pixels only by decoding."""
        info: dict[Any, Any] = {}
        texts: dict[str, str] = {}
        notes: list[str] = []
        for kind, data in _descriptions(file):
            try:
                if data is None:
                    raise ValueError('a checksum is wrong')
                found = _described_by(kind, data)
            except Exception:  # as for damaged files
                notes.append(f'a damaged {kind.decode("latin-1")} chunk')
                continue
            info |= found.info
            join_texts(texts, found.text)
        described = describe_info(info, texts)
        if described.metadata.profile is None:
            notes += _colour_notes(info)
        notes += _code_points_notes(info.get('cicp', _SRGB_CODE_POINTS))
        return replace(described, notes=(*described.notes, *notes))

    def open(self, file: IO[bytes]) -> PIL.Image.Image:
        """See `PillowReader.open`; a damaged description does not damage the picture."""
        try:
            return super().open(file)
        except (PIL.UnidentifiedImageError, ValueError):
            return super().open(io.BytesIO(_without_descriptions(file)))

    def clear_colour(self, picture: PIL.Image.Image, file: IO[bytes]) -> Any:
        """See `PillowReader.clear_colour`; Pillow scales samples of 2 and 4 bits, but not this colour."""
        clear = super().clear_colour(picture, file)
        if clear is None or picture.mode not in ('1', 'L'):
            return clear
        if picture.mode == '1':
            return 255 * bool(clear)  # some versions of Pillow scale it
        depth = _depth(file)
        return clear * (255 // (2**depth - 1))


def is_damaged(file: IO[bytes]) -> bool:
    """Whether essential chunks are missing, truncated or have a wrong checksum."""
    return any(kind not in _HARMLESS for kind in damaged_chunks(file))


def damaged_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The kinds of truncated chunks and of chunks with a wrong checksum; IEND if it is missing."""
    kind = b''
    for kind, _, length in _chunks(file):
        data, check = file.read(length), file.read(4)
        if len(check) < 4 or zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(check, 'big'):
            yield kind
        if kind == b'IEND':
            return
    yield b'IEND'


def _plain_header(file: IO[bytes]) -> Header | None:
    """The header of a still picture without metadata that may rotate it; else None."""
    kinds = set()
    for kind, _, length in _chunks(file):
        if kind == b'IHDR' and length == 13:
            width, height, _, colour_type = struct.unpack('>IIBB', file.read(10))
        kinds.add(kind)
    if not kinds >= {b'IHDR', b'IDAT'} or kinds & {b'acTL', b'eXIf', b'iTXt', b'tEXt', b'zTXt'}:
        return None
    check_pixels(width, height)
    channels = _CHANNELS.get(colour_type)
    return Header('PNG', height, width, channels=channels + (b'tRNS' in kinds)) if channels else None


def _depth(file: IO[bytes]) -> int:
    """Bits per sample."""
    at = file.tell()
    file.seek(24)
    depth = file.read(1)
    file.seek(at)
    return depth[0]


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Kind, offset and length of each chunk; the file is then at the start of its data."""
    at = len(_SIGNATURE)
    while True:
        file.seek(at)
        start = file.read(8)
        if len(start) < 8:
            return
        length, kind = struct.unpack('>I4s', start)
        yield kind, at + 8, length
        at += 12 + length


def _descriptions(file: IO[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Kind and data of each chunk of metadata; without data if the checksum is wrong."""
    at = file.tell()
    for kind, _, length in _chunks(file):
        if kind in _DESCRIBING:
            data, check = file.read(length), file.read(4)
            if len(check) == 4:
                yield kind, data if zlib.crc32(kind + data) == int.from_bytes(check, 'big') else None
    file.seek(at)


def _described_by(kind: bytes, data: bytes) -> PIL.PngImagePlugin.PngImageFile:
    """A picture of one pixel with one chunk of metadata."""
    head = struct.pack('>IIBBBBB', 1, 1, 8, _GREY, 0, 0, 0)
    chunks = ((b'IHDR', head), (kind, data), (b'IDAT', zlib.compress(b'\0\0')), (b'IEND', b''))
    picture = PIL.PngImagePlugin.PngImageFile(io.BytesIO(_SIGNATURE + b''.join(_chunk(*parts) for parts in chunks)))
    picture.load()
    if kind == b'iCCP' and picture.info.get('icc_profile') is None:
        raise ValueError('the profile cannot be unpacked')
    if kind == b'cICP':
        picture.info['cicp'] = struct.unpack('4B', data)
    return picture


def _colour_notes(info: Mapping[Any, Any]) -> Iterator[str]:
    """Notes on the colours of a picture without a profile."""
    if 'srgb' in info or 'cicp' in info:
        return
    gamma = info.get('gamma')
    if gamma and not 0.44 < gamma < 0.47:
        yield f'gamma {1 / gamma:.2f} of a PNG'
    if 'chromaticity' in info:
        yield from chromaticity_notes(info['chromaticity'])


def _code_points_notes(points: tuple[int, ...]) -> tuple[str, ...]:
    """A note if the code points do not mean sRGB."""
    if points == _SRGB_CODE_POINTS:
        return ()
    named = ', '.join(map(str, points))
    return code_points_notes(*points[:2]) or (f'colours of the code points {named} are not converted',)


def _without_descriptions(file: IO[bytes]) -> bytes:
    """The chunks of a file that define its pixels, unchanged."""
    parts = [_SIGNATURE]
    for kind, at, length in _chunks(file):
        if kind in _DECODING or not kind[0] & _ANCILLARY:
            file.seek(at - 8)
            parts.append(file.read(12 + length))
        if kind == b'IEND':
            break
    return b''.join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def _decode_16(data: bytes) -> NDArray[np.uint16]:
    """(height, width, channels) as stored; a transparent colour becomes alpha."""
    _check_pixels_crc(data)
    interlaced = data[28] == 1
    if not interlaced:
        return np.atleast_3d(imagecodecs.png_decode(data))
    # libpng complains to the terminal when imagecodecs reads these.
    kind = data[25]
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None:
        raise ValueError('OpenCV cannot read it')
    samples = np.atleast_3d(samples)
    colour = samples[..., 2::-1] if kind & _HAS_COLOUR else samples[..., :1]
    if kind & _HAS_ALPHA:
        return np.dstack([colour, samples[..., -1]])
    clear = _clear_16(data)
    return colour if clear is None else np.dstack([colour, opaque_but(colour, clear)])


def _check_pixels_crc(data: bytes) -> None:
    """Raise a ValueError if coded pixels are damaged or missing; libpng would also write to the terminal."""
    for kind, at, length in _chunks(io.BytesIO(data)):
        if kind == b'IDAT' and zlib.crc32(kind + data[at : at + length]) != int.from_bytes(
            data[at + length : at + length + 4], 'big'
        ):
            raise ValueError('a checksum is wrong')


def _clear_16(data: bytes) -> NDArray[Any] | None:
    for kind, at, length in _chunks(io.BytesIO(data)):
        if kind == b'tRNS':
            return np.frombuffer(data[at : at + length], '>u2').astype(np.uint16)
        if kind == b'IDAT':
            break
    return None
