"""Check that the epochs, as BasicSR counts them, reach the last iteration."""

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
"""Most samples of an epoch: BasicSR lists them all in each process, which takes about 50 bytes and 50 ns each."""
FREE_SAMPLES = 5 * 10**6
"""Permitted samples of an epoch that are never drawn."""


def check_batch(key: Key, dataset: Options, opt: Options, pairs: int) -> Iterator[Problem]:
    """Find settings with which a training in BasicSR would end early without a message.

    Args:
        key: Key of the dataset.
        dataset: The training set.
        opt: All options.
        pairs: Images in the training set.
    """
    processes, gpus = (opt['world_size'], 1) if opt['dist'] else (1, max(1, opt['num_gpu']))
    per_gpu, ratio = dataset['batch_size_per_gpu'], DatasetOptions(dataset).dataset_enlarge_ratio
    batch, total = per_gpu * processes * gpus, mapping(opt, 'train').get('total_iter', 0)
    if pairs * ratio < batch:
        message = f'{ratio} x {pairs} images are less than one batch of {batch}; use at least {-(-batch // pairs)}'
        yield Problem((*key, 'dataset_enlarge_ratio'), message)
        return
    most_samples = min(MOST_SAMPLES, max(FREE_SAMPLES, total * batch))
    if pairs * ratio > most_samples:
        why = 'images are more than this training draws, but BasicSR lists them all for an epoch'
        message = f'{ratio} x {pairs} {why}; use at most {int(most_samples // pairs)}'
        yield Problem((*key, 'dataset_enlarge_ratio'), message)
        return
    last = last_iteration(pairs * ratio, total, per_gpu, processes, gpus)
    if file := find_state(opt):
        yield from _check_epoch(file, pairs * ratio, total, per_gpu, processes, gpus)
    elif last < total and 1 < gpus <= torch.cuda.device_count():  # another check reports more GPUs
        right = 'start with torchrun and --launcher pytorch, or set num_gpu: 1'
        yield Problem(('num_gpu',), f'with {gpus} in one process BasicSR ends at iteration {last} of {total}; {right}')
    elif last < total and gpus == 1:
        enough = next(
            more for more in count(ratio + 1) if last_iteration(pairs * more, total, per_gpu, processes) >= total
        )
        why = f'BasicSR counts, but drops, the last incomplete batch of an epoch; use at least {enough}'
        message = f'with {ratio} x {pairs} images the training would end at iteration {last} of {total}: {why}'
        yield Problem((*key, 'dataset_enlarge_ratio'), message)


def _check_epoch(
    file: Path, samples: float, total_iter: float, per_gpu: int, processes: int, gpus: int
) -> Iterator[Problem]:
    # The state stores the number of its epoch, which means another place if the number of batches has changed.
    try:
        state = read_state(file)
    except StateError:
        return  # reported by check_resume
    batch = per_gpu * processes * gpus
    total = math.ceil(samples / processes) * processes
    trained = trained_samples(state.place, state.epoch, state.iteration, total, batch)
    begin = state.epoch, state.iteration - trained // batch
    last = last_iteration(samples, total_iter, per_gpu, processes, gpus, begin)
    if last < total_iter:
        where = (
            f'{file} resumes in epoch {state.epoch}, but the remaining epochs end at iteration {last} of {total_iter}'
        )
        right = 'restore its original batch and images, or start from its weights'
        yield Problem(('path', 'resume_state'), f'{where}; {right}')


def last_iteration(
    samples: float,
    total_iter: float,
    batch_size_per_gpu: int,
    processes: int,
    gpus: int = 1,
    begin: tuple[int, int] = (0, 0),
) -> int:
    """The last iteration of BasicSR's epochs for `total_iter`; the training stops there if it is less.

    Args:
        samples: Samples of an epoch, of the enlarged data set.
        total_iter: The requested iterations.
        batch_size_per_gpu: From the options.
        processes: Number of processes of distributed training.
        gpus: GPUs of one process, which BasicSR ignores when it counts epochs.
        begin: The epoch in which a training continues, and the iteration before its first.
    """
    counted = math.ceil(samples / (batch_size_per_gpu * processes))
    loaded = math.ceil(samples / processes) // (batch_size_per_gpu * gpus)
    epoch, iteration = begin
    return iteration + loaded * max(0, math.ceil(total_iter / counted) + 1 - epoch)
