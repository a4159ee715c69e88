"""Enlarge image files one after another: estimate the work, and run each job."""

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
    """A job: one image file to enlarge, described by its header.

    Attributes:
        source: The file.
        target: The file to write.
        pixels: Pixels of all frames to enlarge.
        tiles: Tiles of all these frames.
        work: LR pixels of all tiles, including overlaps.
        quality: Of a JPEG, 1 to 100, as in `Header`; 0 for other files.
        error: The reason why it is impossible, if known beforehand.
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
    """A written file.

    Attributes:
        source: The input file.
        target: The output file.
        height: Rows of the source.
        width: Columns of the source.
        num_frames: Number of enlarged frames or pages.
        scale: Scale of the target.
        notes: A line on each loss.
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
    """Read the sizes of images without decoding them.

    Args:
        targets: Targets from `plan`.
        upscaler: The network for enlarging them.
        quiet: Show no progress.
    """
    jobs = []
    with Progress({'image': len(targets)}, len(targets), quiet, label='reading headers: ') as progress:
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
    """(height, width) of each frame or page to enlarge: all if `target` supports them, else the first."""
    num_frames = header.num_frames if _holds_frames(target, header) else 1
    return header.sizes[:num_frames] or [(header.height, header.width)] * num_frames


def _holds_frames(target: Path, header: Header) -> bool:
    """Whether there are several frames or pages, and the format of `target` supports them."""
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
    """Read, enlarge and write one image file, with all frames if the format of the target supports them.

    Args:
        source: The file.
        target: The output file, which appears complete or not at all.
        upscaler: The network.
        progress: Called with (tiles done, tiles in all).
        quality: JPEG quality, 1 to 100.
        strip_metadata: Write no metadata except the colour profile, which defines the colours.

    Raises:
        ImageError: This image cannot be enlarged; others may work.
    """
    with enough_memory(ImageError, str(source), 'while reading it'):
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
        lines.append(
            f'{target}: {source.name} has {header.num_frames} {kind}; {name} holds one, so only the first is written'
        )
    return Enlarged(source, target, first.height, first.width, len(sizes), upscaler.scale, lines)


def _of_frame(progress: Callable[[int, int], None], before: int, tiles: int) -> Callable[[int, int], None]:
    """Convert the progress of one frame to the progress of all `tiles`, with `before` tiles in earlier frames."""
    return lambda done, _total: progress(before + done, tiles)


def upscale_job(
    job: Job, upscaler: Upscaler, progress: Progress, quality: int = QUALITY, strip_metadata: bool = False
) -> Enlarged:
    """Run a job like `upscale_file`; `progress` counts images and tiles.

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
