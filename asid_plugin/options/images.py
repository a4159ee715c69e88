"""The pairs of images that a dataset names: whether they are there and belong together."""

import os
import re
from contextlib import suppress
from itertools import islice
from pathlib import Path

import lmdb
from basicsr.utils import imfrombytes, scandir
from PIL import ExifTags, Image

from asid_plugin.errors import ASIDError

from .basicsr_keys import DatasetOptions
from .problems import Options, located

RAW = 'RawPairedImageDataset'
_META = re.compile(r'(?P<name>[^.]+)\..*\((?P<height>\d+), ?(?P<width>\d+), ?\d+\)')
_MAKER = 'asid prepare div2k makes it'
_BENCHMARK = 'the README (Test) says what belongs there; without it, delete this section'


class ImagesError(ASIDError):
    """GT and LQ images that cannot be used; `key` is the dataset's key to name."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def lacking(root: Path, dataset: Options) -> str | None:
    """Say what a folder or LMDB lacks; None if it is there."""
    is_lmdb = dataset['io_backend']['type'] == 'lmdb'
    if not root.is_dir():
        return f'no folder {located(root)}; {_origin(root, dataset)}'
    if is_lmdb != (root.suffix == '.lmdb'):
        right = 'lmdb' if root.suffix == '.lmdb' else 'disk'
        return (
            f'{root} is {"an LMDB" if right == "lmdb" else "a folder of images"}, for which io_backend: type is {right}'
        )
    parts = [part for part in ('data.mdb', 'meta_info.txt') if is_lmdb and not (root / part).is_file()]
    return f'{root} has no {parts[0]}, so it is not a whole LMDB; {_MAKER}' if parts else None


def _origin(root: Path, dataset: Options) -> str:
    """Say where data that isn't there comes from."""
    if root.is_relative_to('datasets/demo'):
        return 'scripts/quickstart.sh makes it'
    if root.is_relative_to('datasets/RealSR'):
        return 'asid prepare realsr makes it'
    return _MAKER if dataset['phase'] == 'train' else _BENCHMARK


def count_pairs(gt: Path, lq: Path, dataset: Options) -> int:
    """Count the pairs of two folders or LMDBs.

    Raises:
        ImagesError: An image has no partner, or is of a wrong size.
    """
    count = _count_lmdb if dataset['io_backend']['type'] == 'lmdb' else _count_files
    return count(gt, lq, dataset)


def _count_lmdb(gt: Path, lq: Path, dataset: Options) -> int:
    """Count the pairs of two LMDBs; `ImagesError` for the first image without partner or of a wrong size."""
    raw = dataset['type'] == RAW
    gt_sizes, lq_sizes = _read_sizes('dataroot_gt', gt, raw), _read_sizes('dataroot_lq', lq, raw)
    for key, here, there, other in (('dataroot_gt', gt_sizes, lq_sizes, lq), ('dataroot_lq', lq_sizes, gt_sizes, gt)):
        lacking = sorted(there.keys() - here.keys())
        if lacking:
            message = f'lacks {len(lacking)} of the images of {other}, first {lacking[0]}; both must hold the same'
            raise ImagesError(key, message)
    for name, size in gt_sizes.items():
        _check_scale(name, size, lq_sizes[name], dataset)
    smallest = min(gt_sizes, key=lambda name: min(gt_sizes[name]))
    _check_patch(smallest, gt_sizes[smallest], dataset)
    return len(gt_sizes)


def _read_sizes(key: str, root: Path, raw: bool) -> dict[str, tuple[int, int]]:
    """(height, width) of each image of an LMDB by name, from its `meta_info.txt`, which says also if it is `raw`."""
    sizes = {}
    for number, line in enumerate((root / 'meta_info.txt').read_text().splitlines(), 1):
        match = _META.match(line)
        if match is None:
            where = f'{root / "meta_info.txt"}, line {number}'
            raise ImagesError(key, f"{where}: {line!r} should be like '0001_s001.png (480,480,3) 1'")
        if line.endswith(' raw') != raw:
            right = f'type: {RAW} reads it' if not raw else f'{_MAKER}, with --raw'
            raise ImagesError(key, f'{root} holds {"PNG files, not raw pixels" if raw else "raw pixels"}; {right}')
        sizes[match['name']] = int(match['height']), int(match['width'])
    try:
        with lmdb.open(str(root), readonly=True, lock=False) as env:
            stat, last_page = env.stat(), env.info()['last_pgno']
    except lmdb.Error as error:
        raise ImagesError(key, f'{root} cannot be read as an LMDB ({error}); {_MAKER} anew') from error
    if (root / 'data.mdb').stat().st_size < (last_page + 1) * stat['psize']:  # reading it would be a bus error
        raise ImagesError(key, f'{root} is cut short: copy it again, or {_MAKER} anew')
    if stat['entries'] != len(sizes) or not sizes:
        raise ImagesError(
            key, f'{root} holds {stat["entries"]} images, its meta_info.txt lists {len(sizes)}; {_MAKER} anew'
        )
    return sizes


def _count_files(gt: Path, lq: Path, dataset: Options) -> int:
    """Count the pairs of two folders; `ImagesError` for the first file without partner, or sizes that disagree."""
    options = DatasetOptions(dataset)
    listed, template = options.meta_info_file, options.filename_tmpl
    if listed and not os.path.isfile(listed):
        raise ImagesError('meta_info_file', f'no file {located(listed)}')
    names = [line.split(' ')[0] for line in Path(listed).read_text().splitlines()] if listed else sorted(scandir(gt))
    if not names:
        raise ImagesError('meta_info_file' if listed else 'dataroot_gt', f'no images in {listed or gt}')
    partners = {f'{template.format(Path(name).stem)}{Path(name).suffix}': name for name in names}
    lq_names = set(scandir(lq))
    for partner, name in partners.items():
        if partner not in lq_names:
            raise ImagesError('dataroot_lq', f'no {partner} in {lq}, the partner of {name} in {gt}')
        if listed and not (gt / name).is_file():
            raise ImagesError('dataroot_gt', f'no {name} in {gt}, which {listed} lists')
    extra = sorted(lq_names - partners.keys())
    if extra and not listed:
        raise ImagesError('dataroot_gt', f'no partner in {gt} for {extra[0]} of {lq}')
    # of a training set, which may be of many thousand files, only the first pair is looked at
    for partner, name in islice(partners.items(), 1 if dataset['phase'] == 'train' else None):
        gt_size, lq_size = _size('dataroot_gt', gt / name), _size('dataroot_lq', lq / partner)
        _check_scale(name, gt_size, lq_size, dataset)
        _check_patch(name, gt_size, dataset)
    return len(names)


def _size(key: str, path: Path) -> tuple[int, int]:
    """(height, width) of an image as BasicSR would read it; from its header, unless that may turn it."""
    with suppress(OSError, Image.DecompressionBombError), Image.open(path) as header:
        if header.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return header.height, header.width
    content = path.read_bytes()
    image = imfrombytes(content) if content else None
    if image is None:
        raise ImagesError(key, f'{path} is not an image')
    height, width = image.shape[:2]
    return height, width


def _check_patch(name: str, size: tuple[int, int], dataset: Options) -> None:
    """Check that a training patch fits into an image."""
    if 'gt_size' in dataset and dataset['gt_size'] > min(size):
        most = min(size) // dataset['scale'] * dataset['scale']
        message = f'{dataset["gt_size"]} does not fit into {name}, {min(size)} pixels wide or high; at most {most}'
        raise ImagesError('gt_size', message)


def _check_scale(name: str, gt: tuple[int, int], lq: tuple[int, int], dataset: Options) -> None:
    """Check the sizes of one pair. In validation GT may have a rest, less than `scale`, that BasicSR cuts off."""
    scale = dataset['scale']
    rest = [large - scale * small for large, small in zip(gt, lq, strict=True)]
    if min(rest) < 0 or max(rest) >= (1 if dataset['phase'] == 'train' else scale):
        here, found, right = (f'{h}x{w}' for h, w in (lq, gt, (lq[0] * scale, lq[1] * scale)))
        message = f'{name} is {here} here and {found} in dataroot_gt; scale {scale} needs {right} there'
        raise ImagesError('dataroot_lq', message)
