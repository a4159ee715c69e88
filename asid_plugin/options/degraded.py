"""A data set of GT images that are degraded while training: whether its keys agree, and with the images."""

from collections.abc import Iterator
from pathlib import Path

from .degraded_keys import DEGRADED_IMAGES
from .epochs import check_batch
from .images import ImagesError, Share, count_images, lacking
from .problems import Key, Options, Problem
from .real_world import check_ranges, check_weights

LISTS = (('kernel_list', 'kernel_prob'), ('resize_list', 'resize_list_prob'))
"""Keys of kinds, and of their weights."""
_NEEDED = {'dataroot_gt', 'io_backend', 'gt_size', 'batch_size_per_gpu'}


def check_degraded_images(key: Key, dataset: Options, opt: Options) -> Iterator[Problem]:
    """Check the keys and the images of a `DegradedImageDataset`, whose patches fit if `gt_size` does."""
    if dataset['phase'] != 'train':
        right = 'asid prepare degraded makes pairs, which PairedImageDataset reads'
        yield Problem((*key, 'type'), f'{DEGRADED_IMAGES} is for training, as each of its samples is another; {right}')
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
