"""Adapt metadata to the size of the written picture and to its format."""

import re
from dataclasses import replace

from .exif import adapt_exif, has_resolution, without_subject
from .formats import ImageFormat
from .image import Metadata
from .xmp import replace_elements, without

_KINDS = {'profile': 'the colour profile', 'exif': 'EXIF', 'xmp': 'XMP', 'iptc': 'IPTC', 'dpi': 'the resolution'}
_KEYWORD = re.compile('[!-~¡-ÿ]([ -~¡-ÿ]{0,77}[!-~¡-ÿ])?')
# Regions such as faces refer to the size of the picture in this element.
_APPLIED = b'mwg-rs:AppliedToDimensions'
_MOST_DIGITS = 9
"""Most digits of a number of pixels."""
_PLACES = re.compile(rb'(?:exif:Subject(?:Area|Location)|GPano:\w*(?:Width|Left|Height|Top)(?:Pixels)?)(?=\s*=|>)')
_TOP_DPI = 2**16 - 1  # JPEG's


def fit_metadata(
    metadata: Metadata, target: ImageFormat, height: int, width: int, channels: int
) -> tuple[Metadata, list[str]]:
    """Make metadata fit a picture and a format.

    Args:
        metadata: The metadata from the file.
        target: The format.
        height: Height of the written picture.
        width: Width of the written picture.
        channels: Channels of the written picture; see `Pixels`.

    Returns:
        The metadata to write, and the losses, one phrase each.
    """
    metadata, notes = _adapt(metadata, height, width, channels)
    changes: dict[str, object] = {}
    for kind, name in _KINDS.items():
        value = getattr(metadata, kind)
        if value is None or (kind == 'dpi' and 'exif' in target.metadata and _exif_has_resolution(metadata)):
            continue
        limit = target.metadata.get(kind)
        if limit is None:
            notes.append(f'{target.name} is written without {name}')
        elif limit and len(value) > limit:
            notes.append(f'{target.name} is written without {name}: it has {len(value)} bytes, more than {limit}')
        else:
            continue
        changes[kind] = None
    kept = {keyword: text for keyword, text in metadata.text.items() if _holds(target, keyword, text)}
    lost = [keyword for keyword in metadata.text if keyword not in kept]
    if lost:
        notes.append(f'{target.name} is written without the text {", ".join(lost)}')
    return replace(metadata, text=kept, **changes), notes  # type: ignore[arg-type]


def _holds(target: ImageFormat, keyword: str, text: str) -> bool:
    if target.texts is not None:
        limit = target.metadata.get('text', 0)
        return keyword in target.texts and not 0 < limit < len(text.encode('utf-8', 'replace'))
    # A raw profile is metadata in a text of ImageMagick, with the old size.
    return bool(_KEYWORD.fullmatch(keyword)) and '  ' not in keyword and not keyword.startswith('Raw profile type')


def _exif_has_resolution(metadata: Metadata) -> bool:
    return metadata.exif is not None and has_resolution(metadata.exif)


def _adapt(metadata: Metadata, height: int, width: int, channels: int) -> tuple[Metadata, list[str]]:
    """Metadata adapted to the picture, and notes on dropped ones."""
    notes = []
    profile, exif, dpi = metadata.profile or None, metadata.exif or None, metadata.dpi
    colours = b'GRAY' if channels < 3 else b'RGB '
    if profile is not None and profile[16:20] != colours:
        notes.append(f'the colour profile is left out: it is not for {"grey" if channels < 3 else "RGB"} pictures')
        profile = None
    if exif is not None:
        try:
            exif = exif.removeprefix(b'Exif\0\0')
            without = without_subject(exif)
            if without != exif:
                notes.append('the location of the subject in EXIF is left out')
            exif = adapt_exif(without, (height, width))
        except ValueError:
            notes.append('EXIF is left out: it is damaged')
            exif = None
    if dpi is not None and not all(1 <= number <= _TOP_DPI for number in dpi):
        notes.append(f'the resolution is left out: {dpi[0]:g}x{dpi[1]:g} pixels per inch')
        dpi = None
    xmp = adapt_xmp(metadata.xmp, height, width) if metadata.xmp else None
    if xmp is not None and len(_PLACES.findall(xmp)) < len(_PLACES.findall(metadata.xmp or b'')):
        notes.append('positions in pixels in XMP are left out')
    return replace(metadata, profile=profile, exif=exif, xmp=xmp, iptc=metadata.iptc or None, dpi=dpi), notes


def adapt_xmp(xmp: bytes, height: int, width: int) -> bytes:
    """Adapt an XMP packet in UTF-8 to an upright picture of this size.

    The numbers of a panorama are scaled. Thumbnails are removed, and so are positions in pixels without the size of
    their picture.
    """
    for names, value in (
        (b'tiff:ImageWidth|exif:PixelXDimension', width),
        (b'tiff:ImageLength|exif:PixelYDimension', height),
        (b'tiff:Orientation', 1),
    ):
        xmp = re.sub(_number(names), rb'\g<1>%d' % value, xmp)
    xmp = replace_elements(xmp, _APPLIED, lambda element: _with_size(element, height, width))
    for sides, size, value in ((b'Width|Left', b'Width', width), (b'Height|Top', b'Height', height)):
        xmp = _scale(xmp, rb'GPano:\w*(?:%b)(?:Pixels)?' % sides, b'GPano:CroppedAreaImage%bPixels' % size, value)
    return without(xmp, rb'exif:Subject(?:Area|Location)|xmp:Thumbnails')


def _number(names: bytes) -> bytes:
    """A pattern for a whole number in an attribute, tiff:ImageWidth="640", or an element, <tiff:ImageWidth>640."""
    return rb'\b((?:%b)(?:\s*=\s*["\']|>)\s*)(\d+)' % names


def _with_size(xmp: bytes, height: int, width: int) -> bytes:
    for name, value in ((b'stDim:w', width), (b'stDim:h', height)):
        xmp = re.sub(_number(name), rb'\g<1>%d' % value, xmp)
    return xmp


def _scale(xmp: bytes, names: bytes, size: bytes, value: int) -> bytes:
    """Scale numbers by the factor from the number named `size` to `value`; without it they are removed."""
    found = re.search(_number(size), xmp)
    old = int(found[2]) if found and len(found[2]) <= _MOST_DIGITS else 0
    if not old or any(len(digits) > _MOST_DIGITS for _, digits in re.findall(_number(names), xmp)):
        return without(xmp, names)
    return re.sub(_number(names), lambda number: number[1] + b'%d' % round(int(number[2]) * value / old), xmp)
