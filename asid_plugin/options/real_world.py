"""Check a training on images that BasicSR degrades: the consistency of its keys, and its images."""

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from basicsr.utils import scandir

from asid_plugin.pairs.files import check_files
from asid_plugin.pairs.lmdbs import check_whole
from asid_plugin.pairs.meta_info import LMDBError, read_lines, read_shapes

from .basicsr_keys import TrainOptions
from .epochs import check_batch
from .images import MOST, ImagesError, Share, lacking
from .problems import Key, Options, Problem, located, mapping
from .real_world_keys import CROP, DEGRADED, DEGRADING, GANS, DegradationOptions, DegradedDatasetOptions

_SAMPLED = ('blur_sigma', 'blur_sigma2')
"""Ranges that must have a first number below the second."""


def check_degradations(opt: Options) -> Iterator[Problem]:
    """Check the keys at the top for degradation, and the required data set."""
    if not opt['is_train'] or opt.get('model_type') not in DEGRADING:
        return
    yield from check_ranges((), opt)
    options, train = DegradationOptions(opt), mapping(opt, 'datasets', 'train')
    right = DEGRADED if options.high_order_degradation else 'a data set of pairs'
    if 'type' in train and (train['type'] == DEGRADED) != options.high_order_degradation:
        given = f'{train["type"]}, but high_order_degradation is {str(options.high_order_degradation).lower()}'
        yield Problem(('datasets', 'train', 'type'), f'{given}; use {right}')
    if not options.high_order_degradation:
        return
    scale, per_gpu = opt.get('scale', 1), train.get('batch_size_per_gpu', 0)
    gpus = 1 if opt.get('dist') else max(1, opt.get('num_gpu', 1))  # of one process, with a common pool of batches
    if CROP % scale:
        fitting = [str(k) for k in range(2, 9) if CROP % k == 0]
        message = f'{scale} does not divide {CROP}, the side of images from {DEGRADED}; use'
        yield Problem(('scale',), f'{message} {", ".join(fitting)}')
    elif 'gt_size' in opt and (opt['gt_size'] % scale or opt['gt_size'] > CROP):
        yield Problem(('gt_size',), f'{opt["gt_size"]} should be a multiple of scale, {scale}, up to {CROP}')
    if per_gpu and options.queue_size % (per_gpu * gpus):
        batch = f'batch_size_per_gpu, {per_gpu}' + (f', times {gpus} GPUs' if gpus > 1 else '')
        yield Problem(('queue_size',), f'{options.queue_size} is not a multiple of {batch}')


def check_discriminator(opt: Options) -> Iterator[Problem]:
    """Check that the averaged network for `ldl_opt` exists."""
    train = mapping(opt, 'train')
    if opt.get('model_type') in GANS and train.get('ldl_opt') and not TrainOptions(train).ema_decay:
        yield Problem(('train', 'ema_decay'), 'missing; ldl_opt compares with the averaged network')


def check_degraded(key: Key, dataset: Options, opt: Options) -> Iterator[Problem]:
    """Check the keys and the images of a `RealESRGANDataset`."""
    yield from check_ranges(key, dataset)
    yield from check_weights(key, dataset, (('kernel_list', 'kernel_prob'), ('kernel_list2', 'kernel_prob2')))
    if not dataset.keys() >= {'dataroot_gt', 'io_backend'}:
        return
    root = Path(dataset['dataroot_gt'])
    if lack := lacking(root, dataset):
        yield Problem((*key, 'dataroot_gt'), lack)
        return
    try:
        share = Share(opt.get('rank', 0), opt.get('world_size', 1))
        num_images = _count_lmdb(root, share) if root.suffix == '.lmdb' else _count_files(root, dataset, share)
    except ImagesError as error:
        yield from (Problem((*key, fault), message) for fault, message in error.faults)
        return
    if dataset['phase'] == 'train' and 'batch_size_per_gpu' in dataset and 'num_gpu' in opt:
        yield from check_batch(key, dataset, opt, num_images)


def _count_lmdb(root: Path, share: Share) -> int:
    try:
        shapes, is_raw = read_shapes(root)
        if is_raw:
            raise ImagesError(('dataroot_gt', f'{root} holds raw pixels, but {DEGRADED} reads PNG files'))
        check_whole(root, shapes, 'make it anew', share.of(sorted(shapes)))
    except LMDBError as error:
        raise ImagesError(('dataroot_gt', str(error))) from error
    return len(shapes)


def _count_files(root: Path, dataset: Options, share: Share) -> int:
    """Count the images of a list, and check the share of this process."""
    listed = DegradedDatasetOptions(dataset).meta_info
    if not listed or not os.path.isfile(listed):
        there = 'missing' if not listed else f'no file {located(listed)}'
        folder, target = (shlex.quote(str(path)) for path in (root, listed or f'{root}.txt'))
        how = f'it should list the images, one a line; create it by (cd {folder} && find * -type f) > {target}'
        raise ImagesError(('meta_info', f'{there}; {how}'))
    try:
        names = [line.strip().split(' ')[0] for line in read_lines(Path(listed))]  # as BasicSR reads them
    except LMDBError as error:
        raise ImagesError(('meta_info', str(error))) from error
    if not names:
        raise ImagesError(('meta_info', f'no images in {listed}'))
    found = set(scandir(str(root), recursive=True))
    gone = [name for name in names if os.path.normpath(name) not in found]
    if gone:
        more = f', nor {len(gone) - 1} more' if len(gone) > 1 else ''
        raise ImagesError(('meta_info', f'no {gone[0]} in {root}, which {listed} lists{more}'))
    _, faults = check_files([root / name for name in share.of(names)])
    lines = [('dataroot_gt', f'{path}: {fault}') for path, fault in faults.items()]
    if len(lines) > MOST:
        lines[MOST:] = [('dataroot_gt', f'and more: {len(lines)} images in all cannot be used')]
    if lines:
        raise ImagesError(*lines)
    return len(names)


def check_weights(key: Key, options: Options, lists: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """Check that each list of kinds has a list of as many weights, in the key beside it."""
    for kinds, weights in lists:
        if kinds in options and weights in options:
            num_kinds, num_weights = len(options[kinds]), len(options[weights])
            if num_kinds != num_weights:
                yield Problem((*key, weights), f'{num_weights} numbers, but {kinds} has {num_kinds} kinds')
            elif not sum(options[weights]):
                yield Problem((*key, weights), 'at least one number must be above 0')


def check_ranges(key: Key, options: Mapping[str, object]) -> Iterator[Problem]:
    """Check that ranges have ascending numbers."""
    for name, value in options.items():
        if ('_range' not in name and name not in _SAMPLED) or not isinstance(value, list) or len(value) != 2:
            continue
        if value[0] > value[1] or (value[0] == value[1] and name in _SAMPLED):
            yield Problem((*key, name), f'{value} should be in ascending order')
