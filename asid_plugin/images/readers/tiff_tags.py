"""Metadata of a TIFF page that describe the picture, not its storage."""

import mmap
import struct
from typing import IO, Any

from ..directories import LONG, Tag, read_directory, read_pointer
from ..exif import pack_exif, read_tags
from .colours import chromaticity_notes
from .metadata import Described, describe

_XRESOLUTION, _YRESOLUTION, _RESOLUTION_UNIT, _ORIENTATION = 282, 283, 296, 274
_XMP, _IPTC, _PROFILE = 700, 33723, 34675
_WHITE, _PRIMARIES = 318, 319
_PER_INCH = {2: 1.0, 3: 2.54}
_DESCRIPTION = 270
_DESCRIBING = (
    *range(_DESCRIPTION, _DESCRIPTION + 3),  # and make, model
    305,  # software
    306,  # date and time
    315,  # artist
    316,  # computer
    18246,  # rating
    18249,  # and in percent
    33432,  # copyright
    *range(40091, 40096),  # Windows's title, comment, author, keywords, subject
)
_BLOCKS = (34665, 34853)  # the directories of EXIF and of GPS
# Programs for microscopes write there how the pages are stored, which holds no longer when they are written anew.
_STORAGE = ('is_shaped', 'is_imagej', 'is_ome', 'is_scanimage', 'is_metaseries')


def describe_page(page: Any, file: IO[bytes]) -> Described:
    """The metadata and the orientation of a page."""
    tags = page.tags
    exif, notes = _exif(page, file)
    described = describe(
        profile=_bytes(tags.valueof(_PROFILE)),
        exif=exif,
        xmp=_bytes(tags.valueof(_XMP)),
        iptc=_stored(page, _IPTC, file),
        dpi=_dpi(tags),
    )
    orientation = described.orientation
    if _ORIENTATION in tags:
        stored = int(tags.valueof(_ORIENTATION))
        orientation = stored if 1 <= stored <= 8 else 1
    if described.metadata.profile is None:
        notes = (*notes, *_colour_notes(tags))
    return Described(described.metadata, orientation, (*notes, *described.notes))


def _colour_notes(tags: Any) -> tuple[str, ...]:
    """A note on primaries in these tags."""
    try:
        parts = (*tags.valueof(_WHITE), *tags.valueof(_PRIMARIES))
        values = [over / under for over, under in zip(parts[::2], parts[1::2], strict=True)]
        return chromaticity_notes(values)
    except (TypeError, ValueError, ZeroDivisionError):  # missing or damaged
        return ()


def _exif(page: Any, file: IO[bytes]) -> tuple[bytes | None, tuple[str, ...]]:
    """An EXIF block of the tags that describe the picture, or None; and notes."""
    order, big = page.parent.byteorder, page.parent.is_bigtiff
    stored_anew = any(getattr(page, kind) for kind in _STORAGE)
    kept: list[Tag] = []
    notes: tuple[str, ...] = ()
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as block:
        for entry in read_directory(block, page.offset, order, whole=False, big=big)[0]:
            if entry.code in _BLOCKS:
                try:
                    tags = read_tags(block, read_pointer(block, entry, order), order, order, big)
                except (ValueError, struct.error):
                    notes = ('damaged EXIF',)
                else:
                    kept.append(Tag(entry.code, LONG, tags))
            elif entry.code in _DESCRIBING and not (entry.code == _DESCRIPTION and stored_anew):
                value = block[entry.start : entry.end]
                if value.strip(b'\0'):
                    kept.append(Tag(entry.code, entry.type, value))
    return (pack_exif(kept, order) if kept else None), notes


def _stored(page: Any, code: int, file: IO[bytes]) -> bytes | None:
    """The raw bytes of a tag, because some programs declare them as numbers."""
    tag = page.tags.get(code)
    if tag is None:
        return None
    at = file.tell()
    file.seek(tag.valueoffset)
    data = file.read(tag.valuebytecount)
    file.seek(at)
    return data


def _dpi(tags: Any) -> tuple[float, float] | None:
    factor = _PER_INCH.get(int(tags.valueof(_RESOLUTION_UNIT, 2)))
    values = tags.valueof(_XRESOLUTION), tags.valueof(_YRESOLUTION)
    if factor is None or None in values:
        return None
    try:
        across, down = (factor * over / under for over, under in values)
    except (TypeError, ZeroDivisionError):
        return None
    return across, down


def _bytes(value: Any) -> bytes | None:
    if isinstance(value, str):
        return value.encode()
    return bytes(value) if value else None
