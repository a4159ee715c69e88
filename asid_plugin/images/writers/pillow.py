"""Write JPEG, WebP and BMP by Pillow, from a whole picture."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import PIL.Image

from ..image import Metadata, Strips
from .photoshop import pack_segment

_MODES = {1: 'L', 3: 'RGB', 4: 'RGBA'}
# For lossless WebP, quality means effort: above 20 files shrink by less than 1 % and take twice the time.
_WEBP: dict[str, Any] = {'lossless': True, 'quality': 20, 'method': 4}


class _Sink:
    """A file with nothing but a method to write.

    Through a file descriptor, Pillow ignores partial writes to a full disk.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.flush = file.write, file.flush


def write_by_pillow(file: BinaryIO, strips: Strips, name: str, quality: int) -> None:
    """Write a picture of 8 bits.

    Args:
        file: The file.
        strips: The picture: grey, RGB, or, in WebP, RGBA.
        name: 'JPEG', 'WebP' or 'BMP'.
        quality: JPEG quality, 1 to 100.
    """
    options: dict[str, Any] = {
        # Without `optimize`, with which Pillow fails on pictures that compress badly.
        'JPEG': {'quality': quality, 'subsampling': 0},
        'WebP': {**_WEBP, 'exact': True},  # preserves colours under alpha 0
        'BMP': {},
    }[name]
    picture, options = _picture(strips), options | _metadata(strips.metadata)
    if name == 'JPEG':
        options |= _jpeg_metadata(strips.metadata)
    picture.save(_Sink(file), name, **options)  # type: ignore[arg-type]


def write_animated_webp(file: BinaryIO, frames: Iterator[Strips], loop: int) -> None:
    """Write frames of one size as an animation that is shown `loop` times, 0 for ever; all are held in memory."""
    pictures, durations = [], []
    options: dict[str, Any] = {}
    for frame in frames:
        options = options or _metadata(frame.metadata)
        pictures.append(_picture(frame))
        durations.append(frame.duration)
    pictures[0].save(
        _Sink(file),  # type: ignore[arg-type]
        'WebP',
        save_all=True,
        append_images=pictures[1:],
        duration=durations,
        loop=loop,
        **_WEBP,
        **options,
    )


def _picture(strips: Strips) -> PIL.Image.Image:
    picture = PIL.Image.new(_MODES[strips.channels], (strips.width, strips.height))
    top = 0
    for rows in strips:
        picture.paste(PIL.Image.fromarray(rows[..., 0] if strips.channels == 1 else rows), (0, top))
        top += len(rows)
    return picture


def _metadata(metadata: Metadata) -> dict[str, Any]:
    """Metadata as options of Pillow, with names that its formats share."""
    options = {'icc_profile': metadata.profile, 'exif': metadata.exif, 'xmp': metadata.xmp, 'dpi': metadata.dpi}
    return {name: value for name, value in options.items() if value is not None}


def _jpeg_metadata(metadata: Metadata) -> dict[str, Any]:
    """Options for JPEG only."""
    options: dict[str, Any] = {}
    if metadata.exif is not None:
        options['exif'] = b'Exif\0\0' + metadata.exif
    if 'Comment' in metadata.text:
        options['comment'] = metadata.text['Comment'].encode('utf-8', 'replace')
    if metadata.iptc is not None:
        options['extra'] = pack_segment(metadata.iptc)
    return options
