"""The datasets of an option file: whether the images that they name are there and belong together."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, islice
from pathlib import Path

import lmdb
import torch
from basicsr.utils import imfrombytes, scandir
from PIL import ExifTags, Image

from .problems import Key, Options, Problem, mapping
from .resuming import StateError, find_state, read_state
from .schema import PAIRED

RAW = 'RawPairedImageDataset'
_META = re.compile(r'(?P<name>[^.]+)\..*\((?P<height>\d+), ?(?P<width>\d+), ?\d+\)')
_MAKER = 'scripts/prepare_div2k.py makes it'
_BENCHMARK = 'the README (Test) says what belongs there; without it, delete this section'


class ImagesError(ValueError):
    """GT and LQ images that cannot be used; `key` is the dataset's key to name."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def check_datasets(opt: Options) -> Iterator[Problem]:
    """Check the images that the section `datasets` names."""
    for name, dataset in mapping(opt, 'datasets').items():
        if dataset.get('type') in PAIRED:  # what another class reads, only that class knows
            yield from _check_paired(('datasets', name), dataset, opt)


def _check_paired(key: Key, dataset: Options, opt: Options) -> Iterator[Problem]:
    train = dataset['phase'] == 'train'
    if dataset.get('prefetch_mode') == 'cuda' and not (torch.cuda.is_available() and dataset.get('pin_memory')):
        yield Problem((*key, 'prefetch_mode'), 'cuda needs a GPU and pin_memory: true; ~ works everywhere')
    if dataset.get('prefetch_mode') == 'cpu' and dataset.get('persistent_workers'):  # two threads would share them
        yield Problem((*key, 'prefetch_mode'), 'cpu makes BasicSR hang with persistent_workers: true; ~ does not')
    if dataset.get('persistent_workers') and not (train and dataset.get('num_worker_per_gpu')):
        yield Problem((*key, 'persistent_workers'), 'true needs workers: training, and num_worker_per_gpu above 0')
    needed = ('dataroot_gt', 'dataroot_lq', 'io_backend', *(('gt_size', 'batch_size_per_gpu') if train else ()))
    if not dataset.keys() >= set(needed) or not opt.keys() >= {'scale', 'num_gpu'}:
        return
    if train and dataset['gt_size'] % opt['scale']:
        yield Problem((*key, 'gt_size'), _fitting(dataset['gt_size'], opt['scale']))
    roots = {name: Path(dataset[name]) for name in ('dataroot_gt', 'dataroot_lq')}
    if dataset['type'] == RAW and dataset['io_backend']['type'] != 'lmdb':
        yield Problem((*key, 'io_backend', 'type'), f'{RAW} reads lmdb; for folders there is CachedPairedImageDataset')
        return
    lacking = [Problem((*key, name), lack) for name, root in roots.items() if (lack := _lacking(root, dataset))]
    yield from lacking
    if not lacking:
        count_pairs = _count_lmdb if dataset['io_backend']['type'] == 'lmdb' else _count_files
        try:
            pairs = count_pairs(*roots.values(), dataset)
        except ImagesError as error:
            yield Problem((*key, error.key), str(error))
        else:
            if train:
                yield from _check_batch(key, dataset, opt, pairs)


def _fitting(gt_size: int, scale: int) -> str:
    fitting = [size for size in (gt_size // scale * scale, gt_size // scale * scale + scale) if size]
    would = ' or '.join(f'{size} (LR patches of {size // scale})' for size in fitting)
    return f'{gt_size} is not a multiple of scale {scale}; right would be {would}'


def _check_batch(key: Key, dataset: Options, opt: Options, pairs: int) -> Iterator[Problem]:
    # In each of these cases BasicSR's training would end early, without a word.
    processes, gpus = (opt['world_size'], 1) if opt['dist'] else (1, max(1, opt['num_gpu']))
    per_gpu, ratio = dataset['batch_size_per_gpu'], dataset.get('dataset_enlarge_ratio', 1)
    batch, total = per_gpu * processes * gpus, mapping(opt, 'train').get('total_iter', 0)
    if pairs * ratio < batch:
        message = f'{ratio} x {pairs} images are less than one batch of {batch}; at least {-(-batch // pairs)}'
        yield Problem((*key, 'dataset_enlarge_ratio'), message)
        return
    last = last_iteration(pairs * ratio, total, per_gpu, processes, gpus)
    if file := find_state(opt):
        yield from _check_epoch(file, pairs * ratio, total, per_gpu, processes, gpus)
    elif last < total and 1 < gpus <= torch.cuda.device_count():  # of more, another check tells
        right = 'start with torchrun and --launcher pytorch, or set num_gpu: 1'
        yield Problem(('num_gpu',), f'with {gpus} in one process BasicSR ends at iteration {last} of {total}; {right}')
    elif last < total and gpus == 1:
        enough = next(
            more for more in count(ratio + 1) if last_iteration(pairs * more, total, per_gpu, processes) >= total
        )
        why = f'BasicSR counts the last, incomplete batch of an epoch, and drops it; at least {enough}'
        message = f'with {ratio} x {pairs} images the training would end at iteration {last} of {total}: {why}'
        yield Problem((*key, 'dataset_enlarge_ratio'), message)


def _check_epoch(file: Path, samples: int, total_iter: int, *batch: int) -> Iterator[Problem]:
    # The state has the number of its epoch, which is another place if an epoch had other batches when it was saved.
    try:
        state = read_state(file)
    except StateError:
        return  # which check_resume tells
    last = last_iteration(samples, total_iter, *batch, begin=(state.epoch, state.iteration))
    if last < total_iter:
        where = f'{file} goes on in epoch {state.epoch}, and the epochs left end at iteration {last} of {total_iter}'
        right = 'train with the batch and the images that it began with, or begin anew from its weights'
        yield Problem(('path', 'resume_state'), f'{where}; {right}')


def last_iteration(
    samples: int,
    total_iter: int,
    batch_size_per_gpu: int,
    processes: int,
    gpus: int = 1,
    begin: tuple[int, int] = (0, 0),
) -> int:
    """Where the epochs end that BasicSR makes of `total_iter`: it stops there, if not before at `total_iter`.

    Args:
        samples: Of an epoch, the enlarged data set.
        total_iter: The iterations asked for.
        batch_size_per_gpu: As in the options.
        processes: Of distributed training.
        gpus: Of one process, which BasicSR forgets when it counts epochs.
        begin: Epoch and iteration that a training goes on with.
    """
    counted = math.ceil(samples / (batch_size_per_gpu * processes))
    loaded = math.ceil(samples / processes) // (batch_size_per_gpu * gpus)
    epoch, iteration = begin
    return iteration + loaded * max(0, math.ceil(total_iter / counted) + 1 - epoch)


def _lacking(root: Path, dataset: Options) -> str | None:
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
        return 'scripts/prepare_realsr.py makes it'
    return _MAKER if dataset['phase'] == 'train' else _BENCHMARK


def located(path: str | os.PathLike) -> str:
    """A path that isn't there, and where it was looked for."""
    return f'{path}' if os.path.isabs(path) else f'{path} in {os.getcwd()}'


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
    listed, template = dataset.get('meta_info_file'), dataset.get('filename_tmpl', '{}')
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
        sizes = [_size(key, path) for key, path in (('dataroot_gt', gt / name), ('dataroot_lq', lq / partner))]
        _check_scale(name, *sizes, dataset)
        _check_patch(name, sizes[0], dataset)
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
    return image.shape[:2]


def _check_patch(name: str, size: tuple[int, int], dataset: Options) -> None:
    """Check that a training patch fits into an image."""
    if dataset.get('gt_size', 0) > min(size):
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
