"""Image files as OpenCV decodes them, which is how BasicSR and mmcv read."""

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from asid_plugin.images import UNREADABLE, Header, ImageError, read_header, read_image
from asid_plugin.images.readers.png import damaged_chunks
from asid_plugin.images.readers.quiet import quiet

TRANSPARENT = 'it has transparency, which would be dropped; save it without'
USUAL = ('JPEG', 'PNG', 'WEBP')
"""Formats, by Pillow's names, of which OpenCV reads every kind: one that it does not read is damaged."""
LOSSY = ('AVIF', 'HEIF', 'JPEG', 'JPEG2000', 'JXL', 'WEBP')
"""Formats whose decoders differ a little."""
_METADATA = 2**17
"""Bytes at a file's start and at its end that are searched for metadata."""
_TURNING = (b'eXIf', b'iTXt', b'zTXt', b'Raw profile')
"""Signs of metadata that may turn a PNG; of these OpenCV knows EXIF, in newer versions."""


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
    """Check that an image file is whole, and that OpenCV reads the picture that it holds.

    All of the file is read: of a PNG its checksums are compared, and pictures of other formats, which have none, are
    decoded. A JPEG has no sign of some damages, such as a changed bit that leaves the number of blocks as it was; its
    colours are then others without a word from any decoder.

    Returns:
        Its header.

    Raises:
        ImageError: It is no image, is damaged, has transparency (BasicSR and mmcv drop it, and the colours that it hid
            come out), or OpenCV does not read it or reads another picture from it.
    """
    header = read_header(path)
    if header.format == 'PNG' and header.channels in (1, 3):
        content = path.read_bytes()
        if not any(damaged_chunks(io.BytesIO(content))) and not _may_be_turned(content):
            return header
    return _compare(path, header)


def _may_be_turned(content: bytes) -> bool:
    """Whether a PNG has metadata of which one may turn the picture, at its beginning or end."""
    return any(sign in part for sign in _TURNING for part in (content[:_METADATA], content[-_METADATA:]))


def _compare(path: Path, header: Header) -> Header:
    """The header with the channels; an ImageError unless OpenCV reads the picture that there is, and it is opaque."""
    image = read_image(path)
    if image.has_alpha and image.pixels[..., -1].min() < image.top:
        raise SampleError(f'{path}: {TRANSPARENT}')
    try:
        with quiet():
            theirs = cv2.cvtColor(decode(path.read_bytes(), str(path)), cv2.COLOR_BGR2RGB)
    except SampleError:
        if header.format in USUAL:
            raise
        fault = 'does not read'
    else:
        alike = theirs.shape[:2] == image.pixels.shape[:2]
        apart = cv2.absdiff(np.ascontiguousarray(image.rgb8), theirs) if alike else np.array(np.inf)
        fault = 'reads wrongly' if (np.mean(apart) > 2 if header.format in LOSSY else np.max(apart) > 1) else ''
    if fault:
        kind = f'{header.format} of a kind that OpenCV, which reads here, {fault}'
        raise SampleError(f'{path}: {kind}; save it as PNG without metadata')
    return replace(header, channels=image.channels)
