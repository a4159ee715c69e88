"""An image file that is not supported."""

from ..formats import MAX_PIXELS


class RefusedError(Exception):
    """The reason, without the file's name."""


def unsupported(kind: str) -> RefusedError:
    """The refusal of an unsupported kind of picture."""
    return RefusedError(f'not supported: {kind}')


def check_pixels(width: int, height: int) -> None:
    """Raise a RefusedError if a picture is too large to decode."""
    if width * height > MAX_PIXELS:
        raise RefusedError(f'{width}x{height} is larger than 2^30 pixels')
    if width * height == 0:
        raise ValueError('a picture without pixels')
