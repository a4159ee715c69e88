"""The section `train` of an option file: losses, teacher, optimizer and schedule."""

import os
from collections.abc import Iterator
from typing import Any

import torch
from basicsr.utils.registry import LOSS_REGISTRY

from asid_plugin.checkpoints import CheckpointError, is_packaged, load_asid

from .asid_keys import ASIDTrainOptions
from .basicsr_keys import TrainOptions
from .building import check_built
from .problems import Options, Problem, is_number, located, mapping
from .schema import OPTIMIZERS, SCHEDULERS, registered

PIXEL_LOSSES = ('pixel_opt', 'fft_opt', 'distill_opt')
"""Keys of losses between images that cost nothing to build."""


def check_train(opt: Options) -> Iterator[Problem]:
    """Check `train`."""
    if not opt['is_train'] or 'train' not in opt:
        return
    train = opt['train']
    yield from _check_losses(train)
    yield from _check_optimizer(train)
    yield from _check_teacher(ASIDTrainOptions(train), opt.get('scale'))
    yield from _check_parts(train, mapping(opt, 'datasets', 'train').get('batch_size_per_gpu'))


def _check_losses(train: Options) -> Iterator[Problem]:
    losses, options = registered(LOSS_REGISTRY), TrainOptions(train)
    for name in PIXEL_LOSSES:  # a PerceptualLoss would download VGG's weights when built
        yield from check_built(('train', name), mapping(train, name), losses)
    if options.pixel_opt is None and options.perceptual_opt is None:
        yield Problem(('train', 'pixel_opt'), 'missing; a loss is needed, such as type: L1Loss')


def _check_parts(train: Options, batch: Any) -> Iterator[Problem]:
    """Check that a batch can go through the network in parts."""
    parts = ASIDTrainOptions(train).accumulate
    if is_number(batch) and batch % parts:
        yield Problem(('train', 'accumulate'), f'{parts} does not divide batch_size_per_gpu, {batch}')
    for name in PIXEL_LOSSES:
        if parts > 1 and mapping(train, name).get('reduction') == 'sum':
            yield Problem(('train', 'accumulate'), f'{parts} parts need losses that are means, but {name} is a sum')


def _check_teacher(train: ASIDTrainOptions, scale: Any) -> Iterator[Problem]:
    """Check that there is a teacher if and only if something is to be learnt from it, and that it fits."""
    key, file = ('train', 'teacher'), train.teacher
    if not file:
        if train.distill_opt:
            yield Problem(key, 'missing; distill_opt needs the weights of a trained ASID, such as packaged:x2')
        return
    if not train.distill_opt:
        yield Problem(key, 'unused without distill_opt, a loss such as type: L1Loss')
    if not (os.path.isfile(file) or is_packaged(file)):
        yield Problem(key, f'no file {located(file)}; it should be the weights of a trained ASID')
        return
    try:
        upscale = load_asid(file).upscale
    except CheckpointError as error:
        yield Problem(key, str(error))
        return
    if upscale != scale:
        yield Problem(key, f'{file} is of scale {upscale}, but scale is {scale}')


def _check_optimizer(train: Options) -> Iterator[Problem]:
    scheduler, parameter = mapping(train, 'scheduler'), torch.nn.Parameter(torch.zeros(1))
    yield from check_built(('train', 'optim_g'), mapping(train, 'optim_g'), OPTIMIZERS, {'params': [parameter]})
    given = {'optimizer': torch.optim.SGD([parameter], lr=1)}
    wrong = list(check_built(('train', 'scheduler'), scheduler, SCHEDULERS, given))
    yield from wrong
    periods, total = scheduler.get('periods'), train.get('total_iter', 0)
    if periods and not wrong and sum(periods) < total:  # BasicSR fails when they have passed
        message = f'{periods} end before total_iter, {total}; their sum must reach it'
        yield Problem(('train', 'scheduler', 'periods'), message)
