"""Check the section `train` of an option file: losses, teacher, optimizer and schedule."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from basicsr.archs.vgg_arch import NAMES as VGG_LAYERS
from basicsr.models.srgan_model import SRGANModel
from basicsr.utils.registry import LOSS_REGISTRY, MODEL_REGISTRY

from asid_plugin.checkpoints import CheckpointError, is_packaged, load_asid

from .asid_keys import ASIDTrainOptions
from .basicsr_keys import TrainOptions
from .building import check_built, refused
from .optimizers import OPTIMIZERS
from .problems import Key, Options, Problem, is_number, located, mapping, shown, unknown
from .schema import SCHEDULERS, registered
from .signatures import is_known, needed

PIXEL_LOSSES = ('pixel_opt', 'fft_opt', 'distill_opt')
"""Keys of losses between images that are cheap to build."""
_PERCEPTUAL = 'PerceptualLoss'


def check_train(opt: Options) -> Iterator[Problem]:
    """Check `train`."""
    if not opt['is_train'] or 'train' not in opt:
        return
    train = opt['train']
    yield from _check_losses(train, opt.get('model_type'))
    yield from _check_optimizer(train)
    yield from _check_teacher(ASIDTrainOptions(train), opt.get('scale'))
    yield from _check_parts(train, mapping(opt, 'datasets', 'train').get('batch_size_per_gpu'))


def _check_losses(train: Options, model: Any) -> Iterator[Problem]:
    losses, options = registered(LOSS_REGISTRY), TrainOptions(train)
    for name in PIXEL_LOSSES:
        yield from _check_pixel_loss(('train', name), mapping(train, name), losses)
    yield from _check_perceptual_loss(mapping(train, 'perceptual_opt'), losses)
    kind = registered(MODEL_REGISTRY).get(model)
    adversarial = isinstance(kind, type) and issubclass(kind, SRGANModel)  # it needs no other loss
    if options.pixel_opt is None and options.perceptual_opt is None and not adversarial:
        yield Problem(('train', 'pixel_opt'), 'missing; a loss is needed, such as type: L1Loss')


def _check_pixel_loss(key: Key, loss: Options, losses: Mapping[str, Callable[..., Any]]) -> Iterator[Problem]:
    """Check a loss by computing it on two images, if it is BasicSR's or ours."""
    arguments = dict(loss)
    kind = str(arguments.pop('type', None))
    if kind == _PERCEPTUAL:  # it would download VGG's weights when built
        yield Problem((*key, 'type'), f'{kind} belongs to perceptual_opt')
        return
    wrong = list(check_built(key, loss, losses))
    yield from wrong
    if wrong or kind not in losses or not is_known(losses[kind]) or not needed(losses[kind]) <= arguments.keys():
        return
    try:
        value = losses[kind](**arguments)(torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16))
    except Exception as error:  # a loss on other inputs
        yield refused(key, kind, error)
        return
    if not (isinstance(value, torch.Tensor) and value.numel() == 1):
        yield Problem(key, f'{kind} returns more than one number; use a reduction, such as mean')


def _check_perceptual_loss(loss: Options, losses: Mapping[str, Callable[..., Any]]) -> Iterator[Problem]:
    key, kind = ('train', 'perceptual_opt'), str(loss.get('type'))
    if kind in losses and kind != _PERCEPTUAL and is_known(losses[kind]):
        yield Problem((*key, 'type'), f'{kind} is not a loss between features; use {_PERCEPTUAL}')
    if kind != _PERCEPTUAL:
        return
    net = loss.get('vgg_type', 'vgg19')
    layers = VGG_LAYERS.get(str(net).replace('_bn', ''))
    if layers is None:
        yield Problem((*key, 'vgg_type'), f'{net!r} is {unknown(net, VGG_LAYERS)}')
        return
    for name, weight in mapping(loss, 'layer_weights').items():
        if name not in layers or not is_number(weight):
            message = f'{name}: {shown(weight)} should be a layer of {net}, such as conv5_4, and its weight'
            yield Problem((*key, 'layer_weights'), message)
    if loss.get('criterion', 'l1') not in ('l1', 'l2', 'fro'):
        yield Problem((*key, 'criterion'), f'{shown(loss["criterion"])} should be l1, l2 or fro')


def _check_parts(train: Options, batch: Any) -> Iterator[Problem]:
    """Check that a batch can be divided into parts."""
    parts = ASIDTrainOptions(train).accumulate
    if is_number(batch) and batch % parts:
        yield Problem(('train', 'accumulate'), f'{parts} does not divide batch_size_per_gpu, {batch}')
    for name in PIXEL_LOSSES:
        if parts > 1 and mapping(train, name).get('reduction') == 'sum':
            yield Problem(('train', 'accumulate'), f'{parts} parts need losses that are means, but {name} is a sum')


def _check_teacher(train: ASIDTrainOptions, scale: Any) -> Iterator[Problem]:
    """Check that there is a teacher if and only if there is a distillation loss, and that it fits."""
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
        yield Problem(key, f'{file} has scale {upscale}, but scale is {scale}')


def _check_optimizer(train: Options) -> Iterator[Problem]:
    scheduler, parameter = mapping(train, 'scheduler'), torch.nn.Parameter(torch.zeros(1))
    yield from _check_step(mapping(train, 'optim_g'))
    given = {'optimizer': torch.optim.SGD([parameter], lr=1)}
    wrong = list(check_built(('train', 'scheduler'), scheduler, SCHEDULERS, given))
    yield from wrong
    periods, total = scheduler.get('periods'), train.get('total_iter', 0)
    if periods and not wrong and sum(periods) < total:  # BasicSR fails after the last one
        message = f'{periods} end before total_iter, {total}; their sum must reach it'
        yield Problem(('train', 'scheduler', 'periods'), message)


def _check_step(options: Options) -> Iterator[Problem]:
    """Check an optimizer by a step, which reports arguments that exclude each other or a device."""
    key, arguments = ('train', 'optim_g'), dict(options)
    kind = str(arguments.pop('type', None))
    parameter = torch.nn.Parameter(torch.zeros(2, 2, 1, 1, device='cuda' if torch.cuda.is_available() else 'cpu'))
    wrong = list(check_built(key, options, OPTIMIZERS, {'params': [parameter]}))
    yield from wrong
    if wrong or kind not in OPTIMIZERS or 'lr' not in arguments:
        return
    try:
        optimizer: Any = OPTIMIZERS[kind]([parameter], **arguments)
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    except Exception as error:  # optimizers raise different errors
        yield refused(key, kind, error)
