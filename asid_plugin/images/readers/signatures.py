"""Recognise formats by the first bytes of a file."""

import re
from pathlib import Path
from typing import IO

from .refusal import RefusedError, unsupported

NO_IMAGE = 'not an image in a supported format'
_READ = (
    (re.compile(rb'\x89PNG\r\n\x1a\n'), 'PNG'),
    (re.compile(rb'\xff\xd8\xff'), 'JPEG'),
    (re.compile(rb'GIF8[79]a'), 'GIF'),
    (re.compile(rb'RIFF.{4}WEBP', re.DOTALL), 'WEBP'),
    (re.compile(rb'(II[*+]\0|MM\0[*+])'), 'TIFF'),
    (re.compile(rb'BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0', re.DOTALL), 'BMP'),
    (re.compile(rb'P[1-6][\s#]'), 'PPM'),
    (re.compile(rb'\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51'), 'JPEG2000'),
    (re.compile(rb'\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a'), 'JXL'),
    (re.compile(rb'.{4}ftyp(avif|avis|.{4}.{4}(.{4}){0,16}(avif|avis))', re.DOTALL), 'AVIF'),
    (re.compile(rb'.{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)', re.DOTALL), 'HEIF'),
)
_NOT_READ = (
    (re.compile(rb'\x76\x2f\x31\x01'), 'OpenEXR, which is in floating point'),
    (re.compile(rb'#\?(RADIANCE|RGBE)'), 'Radiance HDR, which is in floating point'),
    (re.compile(rb'P[Ff]4?\s'), 'PFM, which is in floating point'),
    (re.compile(rb'P7\s'), 'PAM'),
    (re.compile(rb'8BPS'), 'Photoshop files'),
    (re.compile(rb'DDS '), 'DDS'),
    (re.compile(rb'II\xbc\x01'), 'JPEG XR'),
    (re.compile(rb'FUJIFILMCCD-RAW|II(RO|RS|U\0)|II\x1a\0\0\0HEAPCCDR|.{4}ftypcrx ', re.DOTALL), 'camera raw'),
    (re.compile(rb'%PDF'), 'PDF'),
    (re.compile(rb'\0\0[\x01\x02]\0[^\0]'), 'icons and cursors'),
    (re.compile(rb'\s*(<\?xml[^>]*>\s*)?(<!--((?!-->).)*-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg', re.DOTALL), 'SVG'),
)
# A TGA has no signature; version 2 has one at the end.
_TGA_SUFFIXES = ('.tga', '.icb', '.vda', '.vst')
_TGA_END = b'TRUEVISION-XFILE.\0'


def format_of(file: IO[bytes], path: Path) -> str:
    """Pillow's name of the format of a file.

    Raises:
        RefusedError: It is not an image, or its format is not supported.
    """
    head = file.read(1024)
    for pattern, name in _READ:
        if pattern.match(head):
            return name
    if path.suffix.lower() in _TGA_SUFFIXES:
        return 'TGA'
    for pattern, name in _NOT_READ:
        if pattern.match(head):
            raise unsupported(name)
    file.seek(0, 2)
    file.seek(-min(file.tell(), len(_TGA_END)), 2)
    if file.read() == _TGA_END:
        return 'TGA'
    raise RefusedError(NO_IMAGE)
