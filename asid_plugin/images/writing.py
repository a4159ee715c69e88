"""Write image files, complete or not at all; the suffix determines the format."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TypeVar

from asid_plugin.files import whole_file

from .fitting import Fitted
from .formats import FORMATS, ImageFormat, check_size
from .image import Image, ImageError, Strips
from .writers import write_animated_png, write_animated_webp, write_by_pillow, write_png, write_tiff

QUALITY = 95
"""Default quality of JPEG, on libjpeg's scale to 100."""

Item = TypeVar('Item')


class _Source:
    """A source of pictures; it stores its OSError, to distinguish it from errors of writing."""

    def __init__(self) -> None:
        self.error: OSError | None = None

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items."""
        try:
            yield from items
        except OSError as error:
            self.error = error
            raise

    def watch_strips(self, image: Image | Strips) -> Strips:
        """Yield the strips of a picture."""
        strips = image.strips() if isinstance(image, Image) else image
        return replace(strips, rows=self.watch(strips.rows))


def write_image(image: Image | Strips, path: str | Path, quality: int = QUALITY) -> list[str]:
    """Write an image file, complete or not at all, and create its folder; the suffix determines the format.

    The picture is reduced to the limits of the format: 16 bits become 8, transparency is composited over white,
    metadata are dropped. JPEG is written without chroma subsampling, other formats are lossless. PNG and TIFF are
    written strip by strip. Metadata are adapted to the written size.

    Args:
        image: The picture, or its strips.
        path: The file.
        quality: Of JPEG, 1 to 100.

    Returns:
        The losses, one phrase each.

    Raises:
        ImageError: The format is unknown or too small for the image, or the file cannot be written.
    """
    path = Path(path)
    check_size(path, image.height, image.width)
    target = FORMATS[path.suffix.lower()]
    source = _Source()
    fitted = Fitted(source.watch_strips(image), target)
    notes = []
    with _output(path, source) as file:
        if target.name == 'PNG':
            write_png(file, fitted.strips)
        elif target.name == 'TIFF':
            notes = write_tiff(file, iter([fitted.strips]))
        else:
            write_by_pillow(file, fitted.strips, target.name, quality)
    return [*fitted.notes, *notes]


def write_frames(
    frames: Iterable[Image | Strips], path: str | Path, animated: bool, loop: int = 0, quality: int = QUALITY
) -> list[str]:
    """Write the frames of an animation, or pages, as one file, complete or not at all.

    An animated PNG always has RGB and alpha, because the layout of later frames is not known at the first. An animated
    WebP is in memory as a whole. Pages may differ in size and layout. Metadata come from the first frame, or from each
    page.

    Args:
        frames: Each is consumed before the next is requested. Frames of an animation have the same size.
        path: The file. Its format must hold frames (`FORMATS[...].frames`): 'animation' holds an animation, 'pages'
            hold both.
        animated: The frames belong to an animation, instead of being pages.
        loop: Number of times that the animation is shown, 0 for ever.
        quality: As in `write_image`.

    Returns:
        As `write_image`.

    Raises:
        ImageError: As in `write_image`, or the format holds only one picture.
    """
    path = Path(path)
    check_size(path, 1, 1)
    target = FORMATS[path.suffix.lower()]
    if target.frames != 'pages' and not (animated and target.frames):
        raise ImageError(f'{path}: {target.name} holds {"no pages" if target.frames else "one picture only"}')
    source = _Source()
    notes: list[str] = []
    fitted = _fitted(source, frames, path, target, notes)
    with _output(path, source) as file:
        if target.name == 'PNG':
            write_animated_png(file, fitted, loop)
        elif target.name == 'TIFF':
            notes += write_tiff(file, fitted)
        else:
            write_animated_webp(file, fitted, loop)
    if animated and target.frames == 'pages':
        notes.append(f'{target.name} is written without the durations of the frames')
    return list(dict.fromkeys(notes))


def _fitted(
    source: _Source, frames: Iterable[Image | Strips], path: Path, target: ImageFormat, notes: list[str]
) -> Iterator[Strips]:
    """The frames converted to the format; losses are added to `notes`."""
    first: Strips | None = None
    for frame in source.watch(frames):
        check_size(path, frame.height, frame.width)
        layout = None
        if target.frames == 'animation':
            if first is not None and (frame.height, frame.width) != (first.height, first.width):
                sizes = f'{first.width}x{first.height} and {frame.width}x{frame.height}'
                raise ImageError(f'{path}: the frames of an animation must have the same size, not {sizes}')
            layout = (4, min(frame.bits if first is None else first.bits, target.bits))
        fitted = Fitted(source.watch_strips(frame), target, layout)
        first = first or fitted.strips
        yield fitted.strips
        if first is fitted.strips or target.frames == 'pages':
            notes += fitted.notes
    if first is None:
        raise ImageError(f'{path}: there is no frame to write')


@contextmanager
def _output(path: Path, source: _Source) -> Iterator[BinaryIO]:
    """Open a file that appears complete or not at all."""
    try:
        with whole_file(path) as unfinished, unfinished.open('wb') as file:
            yield file
    except OSError as error:
        if error is source.error:
            raise
        raise ImageError(f'{path}: {error.strerror or error}') from error
