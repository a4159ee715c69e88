"""Epochs as BasicSR counts them: whether the batches of a training set reach the last iteration."""

import math
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import torch

from asid_plugin.compat.resuming import trained_samples

from .basicsr_keys import DatasetOptions
from .problems import Key, Options, Problem, mapping
from .resuming import StateError, find_state, read_state

MOST_SAMPLES = 2 * 10**7
"""Of an epoch: BasicSR lists them all, in order, in each process, which takes some 50 bytes and 50 ns for each."""
FREE_SAMPLES = 5 * 10**6
"""Of an epoch that ends before they are drawn."""


def check_batch(key: Key, dataset: Options, opt: Options, pairs: int) -> Iterator[Problem]:
    """Find settings with which BasicSR's training would end early, without a message.

    Args:
        key: Where the dataset stands.
        dataset: The training set.
        opt: All options.
        pairs: Images in the training set.
    """
    processes, gpus = (opt['world_size'], 1) if opt['dist'] else (1, max(1, opt['num_gpu']))
    per_gpu, ratio = dataset['batch_size_per_gpu'], DatasetOptions(dataset).dataset_enlarge_ratio
    batch, total = per_gpu * processes * gpus, mapping(opt, 'train').get('total_iter', 0)
    if pairs * ratio < batch:
        message = f'{ratio} x {pairs} images are less than one batch of {batch}; at least {-(-batch // pairs)}'
        yield Problem((*key, 'dataset_enlarge_ratio'), message)
        return
    most_samples = min(MOST_SAMPLES, max(FREE_SAMPLES, total * batch))
    if pairs * ratio > most_samples:
        why = 'images are more than this training draws, and BasicSR lists them all for an epoch'
        message = f'{ratio} x {pairs} {why}; at most {int(most_samples // pairs)}'
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


def _check_epoch(
    file: Path, samples: float, total_iter: float, per_gpu: int, processes: int, gpus: int
) -> Iterator[Problem]:
    # The state has the number of its epoch, which is another place if an epoch had other batches when it was saved.
    try:
        state = read_state(file)
    except StateError:
        return  # which check_resume tells
    batch = per_gpu * processes * gpus
    total = math.ceil(samples / processes) * processes
    trained = trained_samples(state.place, state.epoch, state.iteration, total, batch)
    begin = state.epoch, state.iteration - trained // batch
    last = last_iteration(samples, total_iter, per_gpu, processes, gpus, begin)
    if last < total_iter:
        where = f'{file} goes on in epoch {state.epoch}, and the epochs left end at iteration {last} of {total_iter}'
        right = 'train with the batch and the images that it began with, or begin anew from its weights'
        yield Problem(('path', 'resume_state'), f'{where}; {right}')


def last_iteration(
    samples: float,
    total_iter: float,
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
        begin: The epoch in which a training continues, and the iteration before its first.
    """
    counted = math.ceil(samples / (batch_size_per_gpu * processes))
    loaded = math.ceil(samples / processes) // (batch_size_per_gpu * gpus)
    epoch, iteration = begin
    return iteration + loaded * max(0, math.ceil(total_iter / counted) + 1 - epoch)
