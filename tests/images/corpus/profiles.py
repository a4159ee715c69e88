"""ICC profiles, built byte by byte: RGB, grey, and CMYK with the colours that it stands for."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import PIL.ImageCms

from .case import Pixels


def _fixed(values: np.ndarray | tuple[float, ...]) -> bytes:
    return struct.pack(f'>{len(values)}i', *(round(65536 * float(value)) for value in values))


def _xyz(values: np.ndarray | tuple[float, ...]) -> bytes:
    return b'XYZ \0\0\0\0' + _fixed(values)


def _curve(gamma: float) -> bytes:
    return b'curv\0\0\0\0' + struct.pack('>IH', 1, round(256 * gamma)) + bytes(2)


def _profile(space: bytes, pcs: bytes, kind: bytes, name: str, tags: Mapping[bytes, bytes]) -> bytes:
    """A profile of version 2.4 that says when it was made: always the same day."""
    text = name.encode() + b'\0'
    description = b'desc\0\0\0\0' + struct.pack('>I', len(text)) + text + bytes(12 + 67)
    tags = {b'desc': description, b'cprt': b'text\0\0\0\0none\0', b'wtpt': _xyz(D50), **tags}
    table, data, start = b'', b'', 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        table += tag + struct.pack('>II', start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = struct.pack('>I4sI4s4s4s6H4s', start + len(data), b'none', 0x02400000, kind, space, pcs, *DAY, b'acsp')
    header = header.ljust(68, b'\0') + _fixed(D50)
    return header.ljust(128, b'\0') + struct.pack('>I', len(tags)) + table + data


DAY = (2020, 1, 1, 0, 0, 0)
D50 = (0.9642, 1.0, 0.8249)


def _rgb(name: str, primaries: Sequence[tuple[float, float, float]], gamma: float, more: bytes = b'') -> bytes:
    """A profile of primaries, given as XYZ under D50, and one gamma; `more` is data of nobody's."""
    colours = {tag: _xyz(primary) for tag, primary in zip((b'rXYZ', b'gXYZ', b'bXYZ'), primaries, strict=True)}
    curves = {tag: _curve(gamma) for tag in (b'rTRC', b'gTRC', b'bTRC')}
    private = {b'priv': b'data\0\0\0\0\0\0\0\1' + more} if more else {}
    return _profile(b'RGB ', b'XYZ ', b'mntr', name, {**colours, **curves, **private})


_RED, _GREEN, _BLUE = (0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)
WIDE = _rgb('Wide', (_RED, _GREEN, _BLUE), 2.2)
"""The primaries of Display P3, with a plain gamma."""
SWAPPED = _rgb('Swapped', (_GREEN, _RED, _BLUE), 2.2)
"""Red is green: whoever converts by it shows it."""
LARGE = _rgb('Large', (_RED, _GREEN, _BLUE), 1.8, np.random.default_rng(0).bytes(150_000))
"""More than two segments of a JPEG hold."""
GREY22 = _profile(b'GRAY', b'XYZ ', b'mntr', 'Grey 2.2', {b'kTRC': _curve(2.2)})


def _srgb() -> bytes:
    data = bytearray(PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile('sRGB')).tobytes())
    data[24:36] = struct.pack('>6H', *DAY)  # not today
    data[84:100] = bytes(16)  # the checksum would cover the day
    return bytes(data)


SRGB = _srgb()
"""LittleCMS' own."""


def _lab(ink: np.ndarray) -> np.ndarray:
    """L*, a*, b* of (..., 4) cyan, magenta, yellow, black in [0, 1].

    They add up, so that a table of two nodes is exact however it is interpolated.
    """
    return [100, 0, 0] + ink @ np.array([[-25, -30, -35], [-25, 50, 0], [-10, 0, 60], [-40, 0, 0]])


def _cmyk() -> bytes:
    nodes = np.stack(np.meshgrid(*4 * [[0.0, 1.0]], indexing='ij'), axis=-1).reshape(16, 4)
    lab = _lab(nodes)
    codes = np.stack([lab[:, 0] * 0xFF00 / 100, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], axis=1)
    straight = struct.pack('>2H', 0, 65535)
    table = b'mft2\0\0\0\0' + bytes([4, 3, 2, 0]) + _fixed(np.eye(3).ravel()) + struct.pack('>2H', 2, 2)
    table += 4 * straight + np.rint(codes).astype('>u2').tobytes() + 3 * straight
    return _profile(b'CMYK', b'Lab ', b'prtr', 'Four inks', {b'A2B0': table})


CMYK = _cmyk()
"""Four inks that mix as `_lab` says."""


_D50_TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)
"""XYZ under D50 to linear sRGB, adapted as Bradford does."""


def cmyk_to_srgb(ink: Pixels) -> Pixels:
    """(H, W, 4) uint8 ink, 255 being full, by the profile `CMYK` in sRGB: by the definitions, without LittleCMS."""
    lab = _lab(ink / 255)
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
    linear = (xyz @ _D50_TO_SRGB.T).clip(0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * rgb).astype(np.uint8)


def cmyk_plainly(ink: Pixels) -> Pixels:
    """(H, W, 4) uint8 ink, 255 being full, without a profile: what ink leaves of white, black taken from the rest."""
    left = 255 - ink.astype(np.float64)
    return np.rint(left[..., :3] * left[..., 3:] / 255).astype(np.uint8)
