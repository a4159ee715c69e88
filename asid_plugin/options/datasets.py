"""Check the section `datasets` of an option file: the consistency of its keys, and its images."""

import os
from collections.abc import Iterator

import torch

from .basicsr_keys import PAIRED, RAW, DatasetOptions
from .degraded import check_degraded_images
from .degraded_keys import DEGRADED_IMAGES
from .epochs import check_batch
from .images import ImagesError, Share, count_pairs, lacking, root_of
from .problems import Key, Options, Problem, mapping
from .real_world import check_degraded
from .real_world_keys import DEGRADED, REAL_PAIRED

LEAST_MOST_WORKERS = 64
"""Number of data-loading processes that any machine supports."""


def channels_of(dataset: DatasetOptions) -> int:
    """Channels of the images from a dataset of pairs."""
    return 1 if dataset.color == 'y' else 3


def check_datasets(opt: Options) -> Iterator[Problem]:
    """Check the images of the section `datasets`; images of other classes are unknown."""
    yield from _check_names(opt)
    for name, dataset in mapping(opt, 'datasets').items():
        kind, key = dataset.get('type'), ('datasets', name)
        if kind in PAIRED or (kind == REAL_PAIRED and not dataset.get('meta_info')):
            yield from _check_paired(key, dataset, opt)
        elif kind in (DEGRADED, DEGRADED_IMAGES):
            workers = dataset.get('num_worker_per_gpu', 0) if dataset['phase'] == 'train' else 0
            yield from _check_loading(key, DatasetOptions(dataset), workers)
            if kind == DEGRADED_IMAGES:
                yield from _check_gt_size(key, dataset, opt)
            yield from (check_degraded if kind == DEGRADED else check_degraded_images)(key, dataset, opt)


def _check_names(opt: Options) -> Iterator[Problem]:
    """Check that all sets for validation or testing have different names."""
    known: dict[str, str] = {}
    for key, dataset in mapping(opt, 'datasets').items():
        name = str(dataset.get('name'))
        if dataset.get('phase') == 'train' or 'name' not in dataset:
            continue
        if name in known:
            message = f'{name} is also the name of {known[name]}; the sets would share their best figures and images'
            yield Problem(('datasets', key, 'name'), message)
        known[name] = key


def _check_paired(key: Key, dataset: Options, opt: Options) -> Iterator[Problem]:
    is_train = dataset['phase'] == 'train'
    options = DatasetOptions(dataset)
    yield from _check_loading(key, options, dataset.get('num_worker_per_gpu', 0) if is_train else 0)
    yield from _check_normalisation(key, options)
    needed = ('dataroot_gt', 'dataroot_lq', 'io_backend', *(('gt_size', 'batch_size_per_gpu') if is_train else ()))
    if not dataset.keys() >= set(needed) or not opt.keys() >= {'scale', 'num_gpu'}:
        return
    if is_train:
        yield from _check_gt_size(key, dataset, opt)
    if dataset['type'] == RAW and dataset['io_backend']['type'] != 'lmdb':
        yield Problem((*key, 'io_backend', 'type'), f'{RAW} reads lmdb; for folders use CachedPairedImageDataset')
        return
    roots = {name: root_of(dataset, name) for name in ('dataroot_gt', 'dataroot_lq')}
    lacks = [Problem((*key, name), lack) for name, root in roots.items() if (lack := lacking(root, dataset))]
    yield from lacks
    if lacks:
        return
    try:
        share = Share(opt.get('rank', 0), opt.get('world_size', 1))
        saved = not is_train and mapping(opt, 'val').get('save_img') is True
        pairs = count_pairs(roots['dataroot_gt'], roots['dataroot_lq'], dataset, share, saved)
    except ImagesError as error:
        yield from (Problem((*key, fault), message) for fault, message in error.faults)
    else:
        if is_train:
            yield from check_batch(key, dataset, opt, pairs)


def _check_loading(key: Key, dataset: DatasetOptions, workers: int) -> Iterator[Problem]:
    """Check the loading of samples; `workers` is the number of loading processes, if any."""
    if dataset.prefetch_mode == 'cuda' and not (torch.cuda.is_available() and dataset.pin_memory):
        yield Problem((*key, 'prefetch_mode'), 'cuda needs a GPU and pin_memory: true; ~ works everywhere')
    if dataset.persistent_workers and not workers:
        yield Problem((*key, 'persistent_workers'), 'true needs a training with num_worker_per_gpu above 0')
    most = max(LEAST_MOST_WORKERS, 4 * (os.cpu_count() or 1))
    if workers > most:
        yield Problem(
            (*key, 'num_worker_per_gpu'), f'{workers} processes are too many for this machine; at most {most}'
        )


def _check_normalisation(key: Key, dataset: DatasetOptions) -> Iterator[Problem]:
    """Check the normalisation of channels, if any."""
    channels = channels_of(dataset)
    for name, value, other in (('mean', dataset.mean, dataset.std), ('std', dataset.std, dataset.mean)):
        if value is None and other is not None:
            yield Problem((*key, name), 'missing; mean and std need each other')
        elif value is not None and len(value) not in (1, channels):
            yield Problem((*key, name), f'{value} should have a number for each channel, {channels}, or one for all')


def _check_gt_size(key: Key, dataset: Options, opt: Options) -> Iterator[Problem]:
    """Check that a GT patch has whole LR pixels."""
    gt_size, scale = dataset.get('gt_size', 0), opt.get('scale', 1)
    if gt_size % scale:
        fitting = [size for size in (gt_size // scale * scale, gt_size // scale * scale + scale) if size]
        would = ' or '.join(f'{size} (LR patches of {size // scale})' for size in fitting)
        yield Problem((*key, 'gt_size'), f'{gt_size} is not a multiple of scale {scale}; use {would}')
