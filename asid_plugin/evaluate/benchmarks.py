"""Find the image pairs of benchmark sets in the usual folder layouts, and read their pixels."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asid_plugin.images import FORMATS, ImageError, read_image
from asid_plugin.published.reported import BENCHMARKS

from .protocol import downscale
from .results import EvaluationError

Pixels = NDArray[np.uint8]
"""(H, W, 3) RGB."""

LEAST_SIDE = 11
"""Smallest side of an HR image without its border, in pixels: the window of SSIM."""

_PART_OF_SET = re.compile(r'GTmod\d+|LRbicx\d+|HR|LR_bicubic|image_SRF_\d+|original')
_LR_FOLDERS = ('LRbicx*', 'LR_bicubic', 'image_SRF_*')
_ALIASES = {name.lower(): name for name in BENCHMARKS} | {'bsd100': 'B100', 'bsds100': 'B100'}


class NoImagesError(EvaluationError):
    """A set without images at a scale."""


@dataclass(frozen=True)
class SetLayout:
    """The folders of HR and LR files of one scale in a set, and the endings of their names.

    Attributes:
        hr: Folder of the HR images, '.' for the folder of the set.
        lr: Folder of the LR images, '' if they are made from HR.
        hr_end: Ending after the image's name in the name of an HR file.
        lr_end: The same for an LR file.
    """

    hr: str
    lr: str
    hr_end: str = ''
    lr_end: str = ''

    def __str__(self) -> str:
        if not self.lr:
            return ('the images in the folder' if self.hr == '.' else self.hr) + ', LR made by imresize'
        return self.hr if self.hr == self.lr else f'{self.hr} and {self.lr}'

    def fits(self, folder: Path) -> bool:
        """Whether a set has this layout; LR images are only made if the set has none at any scale."""
        if not self.lr and any(True for pattern in _LR_FOLDERS for _ in folder.glob(pattern)):
            return False
        return (folder / self.lr).is_dir() and bool(self.images(folder))

    def images(self, folder: Path) -> dict[str, Path]:
        """HR files by image name."""
        files = list_images(folder / self.hr)
        return {stem.removesuffix(self.hr_end): path for stem, path in files.items() if stem.endswith(self.hr_end)}


@dataclass(frozen=True)
class Pair:
    """The name and files of an image; `lr` is None if LR is to be made."""

    name: str
    hr: Path
    lr: Path | None


@dataclass(frozen=True)
class Benchmark:
    """A set at one scale: its name in the paper, its folder, its layout in words, and its images by name."""

    name: str
    folder: Path
    layout: str
    pairs: Sequence[Pair]


@dataclass(frozen=True)
class Sample:
    """An image for upscaling and comparison.

    Attributes:
        name: Name of the image.
        set_name: Name of its set, '' without one.
        hr: The reference, (kH, kW, 3).
        lq: The input, (H, W, 3).
        grey: HR has no colour. The three channels are equal then, see `measure`.
        cropped: HR lost pixels at the bottom or right, because its size is no multiple of the scale.
    """

    name: str
    set_name: str
    hr: Pixels
    lq: Pixels
    grey: bool = False
    cropped: bool = False


def layouts(scale: int) -> list[SetLayout]:
    """The supported layouts, the preferred first."""
    selfexsr = f'image_SRF_{scale}'
    return [
        SetLayout(f'GTmod{scale}', f'LRbicx{scale}'),
        SetLayout('GTmod12', f'LRbicx{scale}'),
        SetLayout('HR', f'LR_bicubic/X{scale}', lr_end=f'x{scale}'),
        SetLayout(selfexsr, selfexsr, f'_SRF_{scale}_HR', f'_SRF_{scale}_LR'),
        SetLayout('HR', ''),
        SetLayout('original', ''),
        SetLayout('.', ''),
    ]


def find_sets(
    paths: Sequence[Path],
    scale: int,
    names: Sequence[str] | None = None,
    on_skip: Callable[[str], object] = lambda reason: None,
) -> list[Benchmark]:
    """Find benchmark sets.

    Args:
        paths: Sets, and folders of sets.
        scale: k.
        names: Take only these, in this order; case is ignored.
        on_skip: Called with the reason for each skipped set: one without images at this scale that is not named, but
            lies in a folder of sets.

    Returns:
        The sets, with the paper's sets first.

    Raises:
        EvaluationError: A folder is missing or has no sets, two sets have the same name, a set of `names` is missing,
            or a set has no images at this scale.
    """
    folders: dict[str, Path] = {}
    for path in (path.expanduser() for path in paths):
        for folder in _set_folders(path):
            other = folders.setdefault(set_name(folder.resolve().name), folder)
            if other.resolve() != folder.resolve():
                raise EvaluationError(f'{other} and {folder} have the same set name; choose one')
    ranks = {name: rank for rank, name in enumerate(BENCHMARKS)}
    chosen = [set_name(name) for name in names or ()] or sorted(folders, key=lambda n: (ranks.get(n, len(ranks)), n))
    by_lower = {name.lower(): name for name in folders}
    for name in chosen:
        if name.lower() not in by_lower:
            raise EvaluationError(f'--sets {name}: not in {_join(paths)}; available: {_join(folders)}')
    found: list[Benchmark] = []
    skipped: list[NoImagesError] = []
    for name in dict.fromkeys(by_lower[name.lower()] for name in chosen):
        try:
            found.append(find_set(folders[name], scale))
        except NoImagesError as error:
            if names or folders[name] in [path.expanduser() for path in paths]:
                raise
            skipped.append(error)
    if skipped and not found:
        raise skipped[0]
    for reason in skipped:
        on_skip(str(reason))
    return found


def set_name(folder: str) -> str:
    """The name of a set in the paper: 'B100' for 'BSDS100', 'Urban100' for 'urban100'. Others are unchanged."""
    return _ALIASES.get(folder.lower(), folder)


def find_set(folder: Path, scale: int) -> Benchmark:
    """Find the images of one set.

    Raises:
        NoImagesError: The set has none of `layouts`.
        EvaluationError: An HR image has no LR image.
    """
    known = layouts(scale)
    fitting = [layout for layout in known if layout.fits(folder)]
    if not fitting:
        there = sorted(
            {path.relative_to(folder).as_posix() for path in [*folder.glob('*'), *folder.glob('LR_bicubic/*')]}
        )
        looked_for = '; '.join(map(str, known))
        raise NoImagesError(
            f'{folder}: no images for scale {scale}; looked for {looked_for}; found {_join(there[:12])}'
        )
    layout, *others = fitting
    words = f'{layout} (also present: {"; ".join(map(str, others))})' if layout.lr and others else str(layout)
    return Benchmark(set_name(folder.resolve().name), folder, words, list(_pairs(layout, folder)))


def load_sample(pair: Pair, scale: int, set_name: str = '') -> Sample:
    """Read an image: 8 bits per channel (16 are rounded), grey as three equal channels, without alpha.

    HR is cropped at the bottom and right to a multiple of the scale. LR is read, or made from the cropped HR.

    Raises:
        EvaluationError: A file cannot be read, HR is too small to measure, or the size of LR is not 1/k of that of HR.
    """
    full = read_rgb(pair.hr)
    height, width = (side - side % scale for side in full.shape[:2])
    hr = full[:height, :width]
    least = LEAST_SIDE + 2 * scale
    if min(height, width) < least:
        raise EvaluationError(f'{pair.hr}: {_size(full)} pixels; at least {least}x{least} are needed to measure SSIM')
    lq = downscale(hr, scale) if pair.lr is None else read_rgb(pair.lr)
    if lq.shape[:2] != (height // scale, width // scale):
        raise EvaluationError(
            f'{pair.lr} is {_size(lq)}, but {pair.hr} is {_size(full)}: '
            f'LR must be {width // scale}x{height // scale} for x{scale}'
        )
    grey = bool((np.ptp(hr, axis=2) == 0).all())
    return Sample(pair.name, set_name, hr, lq, grey, cropped=hr.shape != full.shape)


def read_rgb(path: Path) -> Pixels:
    """The pixels of an image file, converted as in `load_sample`.

    Raises:
        EvaluationError: The file cannot be read.
    """
    try:
        return read_image(path).rgb8
    except ImageError as error:
        raise EvaluationError(str(error)) from error


def list_images(folder: Path) -> dict[str, Path]:
    """The image files of a folder by name without suffix, in order; empty if the folder does not exist.

    Raises:
        EvaluationError: Two names differ only in the suffix, or a name is not Unicode.
    """
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _is_image(path):
            if os.fsencode(path.name).decode(errors='replace') != path.name:
                raise EvaluationError(f'{os.fsencode(path)!r}: its name is not UTF-8 and cannot be written to a table')
            other = images.setdefault(path.stem, path)
            if other != path:
                raise EvaluationError(f'{other} and {path.name}: two images with the same name; remove one')
    return images


def _set_folders(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        raise EvaluationError(f'{path}: no such folder')
    inside = [folder for folder in sorted(path.iterdir()) if _is_set(folder)]
    # an image beside sets does not make their folder a set
    folders = [path] if _has_parts(path) or (_is_set(path) and not any(map(_has_parts, inside))) else inside
    if not folders:
        raise EvaluationError(f'{path}: neither a benchmark set, such as Set5 with GTmod2 in it, nor a folder of sets')
    yield from folders


def _is_set(folder: Path) -> bool:
    if not folder.is_dir() or folder.name.startswith('.'):
        return False
    return _has_parts(folder) or any(map(_is_image, folder.iterdir()))


def _has_parts(folder: Path) -> bool:
    return any(_PART_OF_SET.fullmatch(path.name) and path.is_dir() for path in folder.iterdir())


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in FORMATS and not path.name.startswith('.') and path.is_file()


def _pairs(layout: SetLayout, folder: Path) -> Iterator[Pair]:
    images = list_images(folder / layout.lr) if layout.lr else {}
    for name, hr in layout.images(folder).items():
        wanted = name + layout.lr_end
        lr = images.get(wanted, images.get(name))
        if layout.lr and lr is None:
            raise EvaluationError(f'{hr} has no LR image: there is no {wanted}{hr.suffix} in {folder / layout.lr}')
        yield Pair(name, hr, lr)


def _join(items: Iterable[object]) -> str:
    return ', '.join(map(str, items)) or 'nothing'


def _size(pixels: Pixels) -> str:
    return f'{pixels.shape[1]}x{pixels.shape[0]}'
