"""A file that is an image, but not read."""

from ..formats import MAX_PIXELS


class RefusedError(Exception):
    """The reason, without the file's name."""


def unsupported(kind: str) -> RefusedError:
    """The refusal of a kind of picture that no reader brings out right."""
    return RefusedError(f'not supported: {kind}')


def check_pixels(width: int, height: int) -> None:
    """Raise a RefusedError if a picture is too large to decode."""
    if width * height > MAX_PIXELS:
        raise RefusedError(f'{width}x{height} is larger than 2^30 pixels')
    if width * height == 0:
        raise ValueError('a picture without pixels')
