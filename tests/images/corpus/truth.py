"""Whether a picture that was read is what its file holds."""

import io

import numpy as np
import PIL.Image
import PIL.ImageCms

from asid_plugin.images import Image

from .case import Case, Pixels, compare, difference
from .picture import RGB


def check_pixels(pixels: Pixels, case: Case, want: Pixels | None = None) -> None:
    """Compare pixels with the truth, or with others that are to be as near.

    Raises:
        AssertionError: They are others, or laid out in another way.
    """
    most, mean = compare(pixels, case.pixels if want is None else want, case)
    assert most <= case.most and mean <= (case.mean or case.most), f'up to {most} levels apart, on average {mean:.2f}'


def check_second(pixels: Pixels, second: Pixels, case: Case) -> None:
    """Compare pixels with those of the second reader.

    Raises:
        AssertionError: They are farther apart than the case allows.
    """
    if case.mean and (second.shape, second.dtype) == (pixels.shape, pixels.dtype):
        most, _ = difference(pixels, second)
        assert most <= case.near, f'up to {most} levels from the second reader'


def check_image(image: Image, case: Case) -> None:
    """Compare a picture that our reader read with the truth.

    Raises:
        AssertionError: Pixels, depth, layout or profile are others, or something is lost without a note.
    """
    check_pixels(image.pixels, case)
    if image.pixels.itemsize < case.pixels.itemsize:
        assert image.notes, 'depth is lost without a note'
    check_profile(image.metadata.profile, case, bool(image.notes))
    if image.metadata.exif:
        assert _orientation(image.metadata.exif) in (None, 1), 'EXIF would turn the picture a second time'


def check_profile(profile: bytes | None, case: Case, noted: bool) -> None:
    """Compare a profile with the truth.

    Raises:
        AssertionError: It is another one, or lost where it must not be.
    """
    if 'linear' in case.may:
        assert profile is not None and _is_linear(profile), 'the profile does not say that values are linear'
    elif 'srgb' in case.may and profile is not None:
        assert _is_srgb(profile), 'the profile is another one than of sRGB'
    elif profile is None and 'lose profile' in case.may:
        assert noted, 'the profile is lost without a note'
    else:
        assert profile == case.profile, 'the profile is another one, or lost'


def _to_srgb(profile: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Colours, and those that LittleCMS makes of them when it converts them from the profile to sRGB."""
    image = PIL.Image.fromarray(RGB).convert({b'RGB ': 'RGB', b'GRAY': 'L'}[profile[16:20]])
    srgb = PIL.ImageCms.createProfile('sRGB')
    converted = PIL.ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode='RGB')
    return np.asarray(image.convert('RGB')), np.asarray(converted)


def _is_srgb(profile: bytes) -> bool:
    colours, converted = _to_srgb(profile)
    return bool(np.abs(colours.astype(int) - converted).max() <= 3)


def _is_linear(profile: bytes) -> bool:
    """Whether it has sRGB's primaries, and values that grow as light does."""
    colours, converted = _to_srgb(profile)
    light = colours / 255
    want = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return bool(np.abs(want - converted).max() <= 3)


def _orientation(exif: bytes) -> int | None:
    order = 'little' if exif[:2] == b'II' else 'big'
    start = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[start : start + 2], order)
    entries = [exif[start + 2 + 12 * i :][:12] for i in range(count)]
    values = [int.from_bytes(entry[8:10], order) for entry in entries if int.from_bytes(entry[:2], order) == 0x112]
    return values[0] if values else None


def enlarged(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Each pixel `scale` times in each direction."""
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)
