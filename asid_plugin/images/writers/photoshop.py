"""IPTC records in JPEG and PNG: in a resource of Photoshop."""

import struct

_IPTC = 0x0404


def pack_resource(iptc: bytes) -> bytes:
    """Make a resource without a name. Source: Adobe Photoshop File Formats Specification, image resource blocks."""
    return b'8BIM' + struct.pack('>HHI', _IPTC, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)


def pack_segment(iptc: bytes) -> bytes:
    """Make a segment of a JPEG, APP13."""
    data = b'Photoshop 3.0\0' + pack_resource(iptc)
    return b'\xff\xed' + struct.pack('>H', len(data) + 2) + data


def hexadecimal(iptc: bytes) -> bytes:
    """Make a text of a PNG in the form of ImageMagick, ExifTool and GIMP: a name, a length, and 72 digits a line."""
    resource = pack_resource(iptc)
    digits = resource.hex().encode()
    lines = [digits[start : start + 72] for start in range(0, len(digits), 72)]
    return b'\n'.join([b'', b'iptc', b'%8d' % len(resource), *lines, b''])
