"""Image files enlarged one after the other: which file is written for which, and each of them."""

import mimetypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from asid_plugin.errors import UsageError

from .images import FORMATS, check_size, read_image, write_image
from .upscaler import Upscaler, image_failures


def plan(inputs: Sequence[Path], output: Path, ext: str = 'png') -> dict[Path, Path]:
    """Say which file is to be written for each input file.

    Args:
        inputs: Files, and folders whose images are meant (not those of folders inside).
        output: A file if the input is one file and this has an image's suffix, else a folder.
        ext: Suffix of the files in a folder, without the dot, or 'keep' for each input's own.

    Raises:
        UsageError: There is no input, two would share an output, or an output is an input.
    """
    sources = list({Path(source).absolute(): source for path in inputs for source in _images(path)}.values())
    suffix = output.suffix.lower()
    one = len(inputs) == 1 and not inputs[0].is_dir()
    if output.is_dir() or not (suffix in FORMATS or (one and _is_picture(output))):
        targets = {source: output / _name(source, ext) for source in sources}
    elif suffix not in FORMATS:
        raise UsageError(f'{output}: {suffix} is not written, only {", ".join(FORMATS)}')
    elif not one:
        raise UsageError(f'{output} names one image; for a folder, or several images, OUT is a folder')
    else:
        targets = {sources[0]: output}

    inodes = {_inode(source) for source in sources}
    taken: dict[str, Path] = {}
    for source, target in targets.items():
        other = taken.setdefault(os.path.normcase(target), source)
        if other is not source:
            raise UsageError(f'{other} and {source} would both become {target}; try --ext keep')
        if target.exists() and _inode(target) in inodes:
            raise UsageError(f'{target} is an input and would be overwritten; choose another OUT')
    return targets


def _images(path: Path) -> list[Path]:
    if not path.exists():
        raise UsageError(f'{path}: no such file or folder')
    if not path.is_dir():
        return [path]
    images = sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() in FORMATS and not file.name.startswith('.') and file.is_file()
    )
    if not images:
        raise UsageError(f'{path}: no images in this folder (looked for {", ".join(FORMATS)})')
    return images


def _is_picture(path: Path) -> bool:
    return (mimetypes.guess_type(path.name)[0] or '').startswith('image/')


def _name(source: Path, ext: str) -> str:
    if source.suffix.lower() not in FORMATS:
        return f'{source.name}.{"png" if ext == "keep" else ext}'
    return source.name if ext == 'keep' else f'{source.stem}.{ext}'


def _inode(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def upscale_file(source: Path, target: Path, upscaler: Upscaler) -> None:
    """Read, enlarge and write one image, with a bar over its tiles if that takes long.

    Raises:
        ImageError: Anything that stands in the way of this image, not necessarily of others.
    """
    image = read_image(source)
    height, width = image.rgb.shape[:2]
    check_size(target, height * upscaler.scale, width * upscaler.scale)
    with tqdm(desc=source.name, unit='tile', leave=False, delay=1, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        with image_failures(source, image, upscaler.tile):
            notes = write_image(upscaler(image, progress), target)
    for note in notes:
        tqdm.write(f'note: {target}: {note}', file=sys.stderr)
    tqdm.write(f'{source} ({width}x{height}) -> {target} ({width * upscaler.scale}x{height * upscaler.scale})')
