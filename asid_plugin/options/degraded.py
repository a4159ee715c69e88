"""Checks of a data set of GT images that are degraded during training."""

from collections.abc import Iterator
from pathlib import Path

from .degraded_keys import DEGRADED_IMAGES
from .epochs import check_batch
from .images import ImagesError, Share, count_images, lacking
from .problems import Key, Options, Problem
from .real_world import check_ranges, check_weights

LISTS = (('kernel_list', 'kernel_prob'), ('resize_list', 'resize_list_prob'))
"""Pairs of keys: kinds, and their weights."""
_NEEDED = {'dataroot_gt', 'io_backend', 'gt_size', 'batch_size_per_gpu'}


def check_degraded_images(key: Key, dataset: Options, opt: Options) -> Iterator[Problem]:
    """Check the keys and the images of a `DegradedImageDataset`."""
    if dataset['phase'] != 'train':
        right = 'use PairedImageDataset with the pairs of asid prepare degraded'
        yield Problem(
            (*key, 'type'), f'{DEGRADED_IMAGES} draws new samples each time, so it is for training only; {right}'
        )
        return
    yield from check_ranges(key, dataset)
    yield from check_weights(key, dataset, LISTS)
    if not dataset.keys() >= _NEEDED or not opt.keys() >= {'scale', 'num_gpu'}:
        return
    if lack := lacking(Path(dataset['dataroot_gt']), dataset):
        yield Problem((*key, 'dataroot_gt'), lack)
        return
    try:
        num_images = count_images(dataset, Share(opt.get('rank', 0), opt.get('world_size', 1)))
    except ImagesError as error:
        yield from (Problem((*key, fault), message) for fault, message in error.faults)
    else:
        yield from check_batch(key, dataset, opt, num_images)
