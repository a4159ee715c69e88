"""The size and kind of a picture, as its file says before it is decoded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Header:
    """The size and kind of a picture, as its file says before it is decoded.

    Attributes:
        format: Pillow's name of the format, such as 'PNG'.
        height: Rows, of the picture turned upright.
        width: Columns.
        num_frames: Frames of an animation, or pages.
        animated: The frames are an animation's, and not pages.
        loop: How often the animation is shown, 0 for ever.
        channels: 1 to 4, as `Pixels` has them; 0 where only decoding tells.
        quality: Of a JPEG, 1 to 100, estimated from its quantisation table; 0 of other files.
        sizes: (height, width) of each page where they differ; else empty.
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
