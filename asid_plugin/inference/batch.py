"""Image files enlarged one after the other: how much work that is, and each of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from asid_plugin.images import (
    FORMATS,
    QUALITY,
    Header,
    ImageError,
    Metadata,
    Strips,
    check_size,
    read_frames,
    read_header,
    read_image,
    write_frames,
    write_image,
)

from .devices import enough_memory
from .progress import Progress
from .upscaler import Upscaler, image_failures


@dataclass(frozen=True)
class Job:
    """One image file that is to be enlarged, by its header.

    Attributes:
        source: The file.
        target: The file that is written.
        pixels: Of all frames that are enlarged.
        tiles: Of all these frames.
        work: LR pixels that the network goes through, with those where tiles overlap.
        quality: Of a JPEG, 1 to 100, as of `Header`; 0 of other files.
        error: The reason why it is impossible, if that is known before it is tried.
    """

    source: Path
    target: Path
    pixels: int = 0
    tiles: int = 0
    work: float = 0
    quality: int = 0
    error: ImageError | None = None


@dataclass(frozen=True)
class Enlarged:
    """A file that has been written.

    Attributes:
        source: The file that was read.
        target: The file that was written.
        height: Rows of the source.
        width: Columns of the source.
        num_frames: Frames or pages that were enlarged.
        scale: How many times larger the target is.
        notes: A line on each thing that was lost.
    """

    source: Path
    target: Path
    height: int
    width: int
    num_frames: int
    scale: int
    notes: list[str]

    def __str__(self) -> str:
        frames = f', {self.num_frames} frames' if self.num_frames > 1 else ''
        size = f'{self.width * self.scale}x{self.height * self.scale}'
        return f'{self.source} ({self.width}x{self.height}{frames}) -> {self.target} ({size}{frames})'


def survey(targets: Mapping[Path, Path], upscaler: Upscaler, quiet: bool = False) -> list[Job]:
    """Look how large images are, without decoding them.

    Args:
        targets: As of `plan`.
        upscaler: Enlarges them later.
        quiet: Show no progress.
    """
    jobs = []
    with Progress({'image': len(targets)}, len(targets), quiet, label='looking through: ') as progress:
        for source, target in targets.items():
            jobs.append(_job(source, target, upscaler))
            progress.add('image', work=1)
    return jobs


def _job(source: Path, target: Path, upscaler: Upscaler) -> Job:
    try:
        header = read_header(source)
    except ImageError as error:
        return Job(source, target, error=error)
    sizes = _sizes(target, header)
    try:
        for height, width in sorted(set(sizes)):
            check_size(target, height * upscaler.scale, width * upscaler.scale)
    except ImageError as error:
        return Job(source, target, error=ImageError(f'{source}: {error}'))
    tiles, work = map(sum, zip(*(upscaler.work(*size) for size in sizes), strict=True))
    return Job(source, target, sum(height * width for height, width in sizes), tiles, work, header.quality)


def _sizes(target: Path, header: Header) -> Sequence[tuple[int, int]]:
    """(height, width) of each frame or page that is enlarged: all if `target` holds them, else the first."""
    num_frames = header.num_frames if _holds_frames(target, header) else 1
    return header.sizes[:num_frames] or [(header.height, header.width)] * num_frames


def _holds_frames(target: Path, header: Header) -> bool:
    """Whether there are several frames or pages, and the format of `target` holds them all."""
    frames = FORMATS[target.suffix.lower()].frames
    return header.num_frames > 1 and (frames == 'pages' or (frames == 'animation' and header.animated))


def upscale_file(
    source: Path,
    target: Path,
    upscaler: Upscaler,
    progress: Callable[[int, int], None] | None = None,
    quality: int = QUALITY,
    strip_metadata: bool = False,
) -> Enlarged:
    """Read, enlarge and write one image file, with all its frames if the target's format holds them.

    Args:
        source: The file.
        target: The file that is written, whole or not at all.
        upscaler: Enlarges it.
        progress: Called with the tiles done and their number.
        quality: Of JPEG, 1 to 100.
        strip_metadata: Write no metadata but the colour profile, without which colours are others.

    Raises:
        ImageError: Anything that stands in the way of this image, not necessarily of others.
    """
    with enough_memory(ImageError, str(source), 'while it was read'):
        header = read_header(source)
        several = _holds_frames(target, header)
        frames = read_frames(source) if several else iter([read_image(source)])
        first = next(frames)
    sizes = _sizes(target, header)
    for height, width in sorted(set(sizes)):
        check_size(target, height * upscaler.scale, width * upscaler.scale)
    tiles = sum(upscaler.work(*size)[0] for size in sizes)
    lost: dict[str, None] = {}

    def enlarged() -> Iterator[Strips]:
        before = 0
        for frame in chain([first], frames):
            lost.update(dict.fromkeys(frame.notes))
            shown = replace(frame, metadata=Metadata(frame.metadata.profile)) if strip_metadata else frame
            yield upscaler.strips(shown, progress and _of_frame(progress, before, tiles))
            before += upscaler.work(frame.height, frame.width)[0]

    with image_failures(source, first, upscaler.tile):
        if several:
            notes = write_frames(enlarged(), target, header.animated, header.loop, quality)
        else:
            notes = write_image(next(enlarged()), target, quality)
    lines = [f'{source}: {note}' for note in lost] + [f'{target}: {note}' for note in notes]
    if header.num_frames > len(sizes):
        kind = 'frames' if header.animated else 'pages'
        name = FORMATS[target.suffix.lower()].name
        lines.append(f'{target}: {source.name} has {header.num_frames} {kind}; {name} holds one, the first is written')
    return Enlarged(source, target, first.height, first.width, len(sizes), upscaler.scale, lines)


def _of_frame(progress: Callable[[int, int], None], before: int, tiles: int) -> Callable[[int, int], None]:
    """The progress of one frame as progress of the whole, which has so many tiles, some of them before this frame."""
    return lambda done, _total: progress(before + done, tiles)


def upscale_job(
    job: Job, upscaler: Upscaler, progress: Progress, quality: int = QUALITY, strip_metadata: bool = False
) -> Enlarged:
    """Carry out a job as `upscale_file` does; `progress` counts images and tiles.

    Raises:
        ImageError: As `upscale_file`.
    """
    done, share = 0, job.work / max(1, job.tiles)

    def count(tiles: int, _total: int) -> None:
        nonlocal done
        progress.add('tile', tiles - done, share * (tiles - done))
        done = tiles

    try:
        return upscale_file(job.source, job.target, upscaler, count, quality, strip_metadata)
    finally:
        progress.drop('tile', job.tiles - done, share * (job.tiles - done))
        progress.add('image')
