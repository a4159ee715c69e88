"""The section `datasets` of an option file: whether its keys agree, and with the images that they name."""

from collections.abc import Iterator
from pathlib import Path

import torch

from .basicsr_keys import PAIRED, DatasetOptions
from .epochs import check_batch
from .images import RAW, ImagesError, Share, count_pairs, lacking
from .problems import Key, Options, Problem, mapping


def check_datasets(opt: Options) -> Iterator[Problem]:
    """Check the images that the section `datasets` names."""
    for name, dataset in mapping(opt, 'datasets').items():
        if dataset.get('type') in PAIRED:  # what another class reads, only that class knows
            yield from _check_paired(('datasets', name), dataset, opt)


def _check_paired(key: Key, dataset: Options, opt: Options) -> Iterator[Problem]:
    is_train = dataset['phase'] == 'train'
    yield from _check_loading(key, DatasetOptions(dataset), is_train and dataset.get('num_worker_per_gpu'))
    needed = ('dataroot_gt', 'dataroot_lq', 'io_backend', *(('gt_size', 'batch_size_per_gpu') if is_train else ()))
    if not dataset.keys() >= set(needed) or not opt.keys() >= {'scale', 'num_gpu'}:
        return
    if is_train and dataset['gt_size'] % opt['scale']:
        yield Problem((*key, 'gt_size'), _fitting(dataset['gt_size'], opt['scale']))
    if dataset['type'] == RAW and dataset['io_backend']['type'] != 'lmdb':
        yield Problem((*key, 'io_backend', 'type'), f'{RAW} reads lmdb; for folders there is CachedPairedImageDataset')
        return
    roots = {name: Path(dataset[name]) for name in ('dataroot_gt', 'dataroot_lq')}
    lacks = [Problem((*key, name), lack) for name, root in roots.items() if (lack := lacking(root, dataset))]
    yield from lacks
    if lacks:
        return
    try:
        share = Share(opt.get('rank', 0), opt.get('world_size', 1))
        pairs = count_pairs(roots['dataroot_gt'], roots['dataroot_lq'], dataset, share)
    except ImagesError as error:
        yield from (Problem((*key, fault), message) for fault, message in error.faults)
    else:
        if is_train:
            yield from check_batch(key, dataset, opt, pairs)


def _check_loading(key: Key, dataset: DatasetOptions, workers: int | None) -> Iterator[Problem]:
    """Check how samples come to the training; `workers` are the processes that load them, if any."""
    if dataset.prefetch_mode == 'cuda' and not (torch.cuda.is_available() and dataset.pin_memory):
        yield Problem((*key, 'prefetch_mode'), 'cuda needs a GPU and pin_memory: true; ~ works everywhere')
    if dataset.prefetch_mode == 'cpu' and dataset.persistent_workers:  # two threads would share them
        yield Problem((*key, 'prefetch_mode'), 'cpu makes BasicSR hang with persistent_workers: true; ~ does not')
    if dataset.persistent_workers and not workers:
        yield Problem((*key, 'persistent_workers'), 'true needs workers: training, and num_worker_per_gpu above 0')


def _fitting(gt_size: int, scale: int) -> str:
    fitting = [size for size in (gt_size // scale * scale, gt_size // scale * scale + scale) if size]
    would = ' or '.join(f'{size} (LR patches of {size // scale})' for size in fitting)
    return f'{gt_size} is not a multiple of scale {scale}; right would be {would}'
