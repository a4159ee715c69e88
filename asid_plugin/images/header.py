"""The size and kind of a picture, read from its file without decoding."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Header:
    """The size and kind of a picture, read from its file without decoding.

    Attributes:
        format: Pillow's name of the format, such as 'PNG'.
        height: Rows of the upright picture.
        width: Columns.
        num_frames: Frames of an animation, or pages.
        animated: The frames belong to an animation, instead of being pages.
        loop: Number of times that the animation is shown, 0 for ever.
        channels: 1 to 4, as in `Pixels`; 0 if unknown before decoding.
        quality: Of a JPEG, 1 to 100, estimated from its quantisation table; 0 for other files.
        sizes: (height, width) of each page if they differ; else empty.
    """

    format: str
    height: int
    width: int
    num_frames: int = 1
    animated: bool = False
    loop: int = 0
    channels: int = 0
    quality: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
