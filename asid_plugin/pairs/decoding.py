"""Image files as OpenCV decodes them, which is how BasicSR and mmcv read."""

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from asid_plugin.images import UNREADABLE, Header, ImageError, read_header, read_image
from asid_plugin.images.readers.quiet import quiet

TRANSPARENT = 'it has transparency, which would be dropped; save it without'
SURE = ('JPEG', 'PNG', 'WEBP')
"""Formats, by Pillow's names, that OpenCV is sure to read right; of others each file is compared."""
LOSSY = ('AVIF', 'HEIF', 'JPEG', 'JPEG2000', 'JXL', 'WEBP')
"""Formats whose decoders differ a little."""
PNG_END = b'IEND\xaeB`\x82'
"""The last bytes of a PNG."""
_METADATA = 2**17
"""Bytes at a file's start and at its end that are searched for metadata."""
_XMP = (b'Orientation',)
_TURNING = {'JPEG': _XMP, 'PNG': (b'eXIf', b'iTXt', b'zTXt', b'Raw profile'), 'WEBP': _XMP}
"""Signs of metadata that may turn a picture, by format; of these OpenCV knows EXIF, in newer versions."""


class SampleError(ImageError):
    """An image of a data set that cannot be used; the message names it.

    A DataLoader makes a worker's error anew, with the worker's traceback as the message. This takes the end of it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition(f'{SampleError.__name__}: ')[2].strip())


def decode(content: bytes | memoryview | None, name: str) -> NDArray[np.uint8]:
    """Decode the bytes of an image file to (H, W, 3) BGR, as `imfrombytes` of BasicSR and of mmcv.

    Args:
        content: The bytes; None for a file or value that is not there.
        name: Of the file, for errors.

    Raises:
        SampleError: There are no bytes, or OpenCV cannot decode them.
    """
    if not content:
        raise SampleError(f'{name}: {"it is not there" if content is None else "the file is empty"}')
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise SampleError(f'{name}: {UNREADABLE}')
    return pixels.astype(np.uint8, copy=False)


def check_file(path: Path) -> Header:
    """Check an image file without decoding it, where that can be told without.

    A JPEG that is damaged inside, with its start and its end as they should be, is not found: only decoding tells, and
    OpenCV fills the gap without an error.

    Returns:
        Its header.

    Raises:
        ImageError: It is no image, is damaged, has transparency (BasicSR and mmcv drop it, and the colours that it hid
            come out), or OpenCV does not read it or reads another picture from it.
    """
    header = read_header(path)
    if header.format not in SURE or header.channels in (2, 4) or not _looks_sure(path, header.format):
        header = _compare(path, header)
    return header


def _looks_sure(path: Path, kind: str) -> bool:
    """Whether a file ends as one of its format does, and has no metadata but EXIF of which one may turn it.

    If not, it may still be whole and read right, which only decoding tells.
    """
    with path.open('rb') as file:
        head = file.read(_METADATA)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _METADATA))
        tail = file.read()
    if any(sign in part for sign in _TURNING[kind] for part in (head, tail)):
        return False
    if kind == 'PNG':
        return tail.endswith(PNG_END)
    if kind == 'WEBP':
        return int.from_bytes(head[4:8], 'little') + 8 <= size
    return tail.endswith(b'\xff\xd9')


def _compare(path: Path, header: Header) -> Header:
    """The header with the channels; an ImageError unless OpenCV reads the picture that there is, and it is opaque."""
    image = read_image(path)
    if image.has_alpha and image.pixels[..., -1].min() < image.top:
        raise SampleError(f'{path}: {TRANSPARENT}')
    try:
        with quiet():
            theirs = decode(path.read_bytes(), str(path))[..., ::-1]
    except SampleError:
        if header.format in SURE:
            raise
        fault = 'does not read'
    else:
        apart = np.abs(image.rgb8.astype(np.int16) - theirs) if theirs.shape[:2] == image.pixels.shape[:2] else np.inf
        fault = 'reads wrongly' if (np.mean(apart) > 2 if header.format in LOSSY else np.max(apart) > 1) else ''
    if fault:
        kind = f'{header.format} of a kind that OpenCV, which reads here, {fault}'
        raise SampleError(f'{path}: {kind}; save it as PNG without metadata')
    return replace(header, channels=image.channels)
