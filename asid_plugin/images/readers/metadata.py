"""Build `Metadata` from the parts that the libraries find."""

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..exif import upright_exif
from ..image import Metadata

_IPTC = 0x0404  # among Photoshop's resources
_XMP_ORIENTATION = re.compile(rb'(tiff:Orientation\s*(?:=\s*["\']|>)\s*)([1-8])(?=\s*["\'<])')


@dataclass(frozen=True)
class Described:
    """Metadata of a picture that must be turned upright.

    Attributes:
        metadata: Metadata of the upright picture.
        orientation: Orientation of the stored pixels, 1 to 8.
        notes: Dropped data, one phrase each.
    """

    metadata: Metadata
    orientation: int = 1
    notes: tuple[str, ...] = ()


def describe(
    *,
    profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | str | None = None,
    iptc: bytes | None = None,
    dpi: Any = None,
    text: Mapping[str, str] | None = None,
) -> Described:
    """Combine the data from a library, and remove the orientation from EXIF and XMP.

    The orientation of EXIF is used; that of XMP only if EXIF has none, as in Pillow.
    """
    orientation: int | None = None
    notes: tuple[str, ...] = ()
    if exif:
        exif, orientation = upright_exif(exif)
        notes = ('damaged EXIF',) if exif is None else ()
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    if xmp and (found := _XMP_ORIENTATION.search(xmp)):
        if orientation is None:
            orientation = int(found[2])
        xmp = _XMP_ORIENTATION.sub(rb'\g<1>1', xmp)
    metadata = Metadata(profile or None, exif or None, xmp or None, iptc or None, _positive(dpi), dict(text or {}))
    return Described(metadata, orientation or 1, notes)


def describe_info(info: Mapping[Any, Any], text: Mapping[str, str] | None = None) -> Described:
    """The same from the `info` of a Pillow image, and the texts of a PNG."""
    texts = {key: str(value) for key, value in (text or {}).items() if not _is_block(key)}
    if isinstance(comment := info.get('comment'), bytes | str) and comment:
        texts['Comment'] = decoded(comment)
    photoshop = info.get('photoshop')
    iptc = photoshop.get(_IPTC) if isinstance(photoshop, dict) else _raw_iptc(text or {})
    exif = info.get('exif') or _raw_profile(text or {}, 'exif') or _raw_profile(text or {}, 'APP1')
    return describe(
        profile=info.get('icc_profile'),
        exif=exif,
        xmp=info.get('xmp'),
        iptc=iptc,
        dpi=info.get('dpi'),
        text=texts,
    )


def join_texts(texts: dict[str, str], more: Mapping[str, str]) -> None:
    """Add texts to others; human-readable texts with the same keyword are joined by lines."""
    for keyword, text in more.items():
        again = keyword in texts and not _is_block(keyword) and texts[keyword] != text
        texts[keyword] = f'{texts[keyword]}\n{text}' if again else str(text)


def fit_profile(described: Described, grey: bool) -> Described:
    """Drop a profile for other colours than the picture."""
    profile = described.metadata.profile
    if profile is None:
        return described
    space = profile[16:20]
    if profile[36:40] != b'acsp':
        note = 'a damaged colour profile'
    elif space != (b'GRAY' if grey else b'RGB '):
        name = 'grey' if space == b'GRAY' else space.decode('latin-1').strip()
        note = f'a colour profile for {name}, which does not fit {"a grey" if grey else "an RGB"} picture'
    else:
        return described
    return replace(described, metadata=replace(described.metadata, profile=None), notes=(*described.notes, note))


def photoshop_iptc(block: bytes) -> bytes | None:
    """The IPTC records among Photoshop's resources."""
    at = block.find(b'8BIM')
    while at >= 0 and block[at : at + 4] == b'8BIM':
        (kind,) = struct.unpack_from('>H', block, at + 4)
        name = block[at + 6]
        start = at + 6 + (name + 2) // 2 * 2
        (length,) = struct.unpack_from('>I', block, start)
        if kind == _IPTC:
            return block[start + 4 : start + 4 + length]
        at = start + 4 + (length + 1) // 2 * 2
    return None


def _raw_iptc(text: Mapping[str, str]) -> bytes | None:
    block = _raw_profile(text, 'iptc') or _raw_profile(text, '8bim')
    if not block:
        return None
    try:
        return photoshop_iptc(block) if block.startswith(b'8BIM') else block
    except (struct.error, IndexError):
        return None


def _raw_profile(text: Mapping[str, str], kind: str) -> bytes | None:
    """A block in ImageMagick's form for texts of PNG: a name, a length, and hexadecimal digits."""
    try:
        block = bytes.fromhex(''.join(text[f'Raw profile type {kind}'].split('\n')[3:]))
    except (KeyError, ValueError):
        return None
    return block or None


def _is_block(keyword: str) -> bool:
    """Whether a text of a PNG is not human-readable."""
    return keyword.startswith('Raw profile type ') or keyword == 'XML:com.adobe.xmp'


def decoded(comment: bytes | str) -> str:
    """A comment, in UTF-8 or else Latin-1, as text."""
    if isinstance(comment, str):
        return comment
    comment = comment.rstrip(b'\0')
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode('latin-1')


def _positive(dpi: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if all(math.isfinite(value) and value > 0 for value in (across, down)) else None
