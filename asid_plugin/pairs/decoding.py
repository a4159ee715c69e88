"""Decode image files by OpenCV, like BasicSR and mmcv."""

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from asid_plugin.images import UNREADABLE, Header, ImageError, read_header, read_image
from asid_plugin.images.readers.png import damaged_chunks
from asid_plugin.images.readers.quiet import quiet

TRANSPARENT = 'it has transparency, which would be dropped; save it without transparency'
USUAL = ('JPEG', 'PNG', 'WEBP')
"""Formats, by Pillow's names, that OpenCV supports completely: an unreadable file is damaged."""
LOSSY = ('AVIF', 'HEIF', 'JPEG', 'JPEG2000', 'JXL', 'WEBP')
"""Formats with small differences between decoders."""
_METADATA = 2**17
"""Bytes at the start and the end of a file that are searched for metadata."""
_TURNING = (b'eXIf', b'iTXt', b'zTXt', b'Raw profile')
"""Markers of metadata that may rotate a PNG; newer versions of OpenCV apply EXIF."""


class SampleError(ImageError):
    """An unusable image of a data set; the message names it.

    A DataLoader recreates an error of a worker with its traceback as the message; only its end is used.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition(f'{SampleError.__name__}: ')[2].strip())


def decode(content: bytes | memoryview | None, name: str) -> NDArray[np.uint8]:
    """Decode the bytes of an image file to (H, W, 3) BGR, as `imfrombytes` of BasicSR and of mmcv.

    Args:
        content: The bytes; None for a missing file or value.
        name: Name of the file, for errors.

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
    """Check that an image file is complete, and that OpenCV reads its picture correctly.

    The whole file is read: the checksums of a PNG are verified, and pictures of other formats, which have none, are
    decoded. Some damage to a JPEG cannot be detected, such as a changed bit that does not change the number of blocks;
    its colours are then wrong without an error from any decoder.

    Returns:
        Its header.

    Raises:
        ImageError: It is not an image, is damaged, has transparency (BasicSR and mmcv drop it and show hidden colours),
            or OpenCV cannot read it or reads another picture.
    """
    header = read_header(path)
    if header.format == 'PNG' and header.channels in (1, 3):
        content = path.read_bytes()
        if not any(damaged_chunks(io.BytesIO(content))) and not _may_be_turned(content):
            return header
    return _compare(path, header)


def _may_be_turned(content: bytes) -> bool:
    """Whether a PNG has metadata at its start or end that may rotate the picture."""
    return any(sign in part for sign in _TURNING for part in (content[:_METADATA], content[-_METADATA:]))


def _compare(path: Path, header: Header) -> Header:
    """The header with the channels; raises an ImageError unless OpenCV reads the same, opaque picture."""
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
