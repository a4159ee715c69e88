"""Option files, checked before anything starts.

BasicSR takes an option file as it stands: a mistyped key is overlooked, a wrong value or a missing folder fails later
and elsewhere, sometimes days later. For runs that use this package, `install` makes `parse_options` end the
program with one line per mistake: the file, the key, what is wrong and what would be right. Others are left alone.
"""

import argparse
import functools
import inspect
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
import yaml
from basicsr.models import lr_scheduler
from basicsr.utils import options as basicsr_options
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY
from torch import distributed

from asid_plugin.archs.windowed import WindowedSR
from asid_plugin.checkpoint import CheckpointError, read_state_dict
from asid_plugin.compat import rebind

from . import rules
from .datasets import check_datasets, located
from .rules import Key, Options, Problem, component, is_number, mapping, read_numbers, registered, section, unknown

# Models whose every key is known here. Of others (GANs, say) only the parts that all models share are checked.
KNOWN_MODELS = ('ASIDModel', 'SRModel', 'SwinIRModel')
_NO_OPTIMIZERS = ('Optimizer', 'LBFGS', 'SparseAdam')  # the base, and two that want another loop or other gradients
OPTIMIZERS = {k: v for k, v in vars(torch.optim).items() if inspect.isclass(v) and k not in _NO_OPTIMIZERS}
SCHEDULERS = {
    'MultiStepLR': lr_scheduler.MultiStepRestartLR,
    'MultiStepRestartLR': lr_scheduler.MultiStepRestartLR,
    'CosineAnnealingRestartLR': lr_scheduler.CosineAnnealingRestartLR,
}


def install() -> None:
    """Make BasicSR's `parse_options`, wherever it has been imported to, return checked options only."""
    original = basicsr_options.parse_options

    @functools.wraps(original)
    def parse_options(root_path: str, is_train: bool = True) -> tuple[dict, argparse.Namespace]:
        try:
            opt, args = original(root_path, is_train)
        except (AttributeError, KeyError, OSError, TypeError, ValueError, yaml.YAMLError) as error:
            _stop_if_unreadable(error, is_train)
            raise
        if uses_plugin(opt):
            _stop_if_any(_line(problem, args.opt, args.force_yml or ()) for problem in check_options(opt))
        return opt, args

    rebind(original, parse_options)


def uses_plugin(opt: Options) -> bool:
    """Whether the model or the network of these options is this package's."""
    arch = registered(ARCH_REGISTRY).get(str(mapping(opt, 'network_g').get('type')))
    return opt.get('model_type') == 'ASIDModel' or getattr(arch, '__module__', '').startswith('asid_plugin.')


def check_options(opt: Options) -> list[Problem]:
    """Look for whatever would stop a run later, or not do what it seems to.

    Args:
        opt: Options as `parse_options` returns them; not changed.

    Returns:
        All problems; none means that the run can start.
    """
    problems: list[Problem] = []
    opt = read_numbers(opt, problems)
    for check in (check_general, check_datasets, check_network, check_path, check_train, check_val):
        problems += check(opt)
    return problems


def check_general(opt: Options) -> Iterator[Problem]:
    """Check the keys at the top, and `logger`."""
    required = ['name', 'model_type', 'scale', 'num_gpu', 'datasets', 'network_g', 'path']
    yield from _known_section(opt, (), rules.GENERAL, required + (['train', 'logger'] if opt['is_train'] else ['val']))
    model, models = opt.get('model_type'), registered(MODEL_REGISTRY)
    if model not in list(models):
        yield Problem(('model_type',), f'{model!r} is {unknown(model, models)}')
    found = torch.cuda.device_count()
    if is_number(opt.get('num_gpu')) and opt['num_gpu'] > found:
        yield Problem(('num_gpu',), f'{opt["num_gpu"]}, but this machine shows {found}; auto takes what there is')
    threads = not opt.get('dist') and is_number(opt.get('num_gpu')) and opt['num_gpu'] > 1  # DataParallel
    if threads and (opt.get('compile') or mapping(opt, 'train').get('amp') or mapping(opt, 'val').get('amp')):
        right = 'start with torchrun and --launcher pytorch, or set num_gpu: 1'
        yield Problem(('num_gpu',), f'compile and amp do not go with {opt["num_gpu"]} GPUs in one process; {right}')
    datasets, logger = mapping(opt, 'datasets'), mapping(opt, 'logger')
    yield from section(('datasets',), datasets, dict.fromkeys(datasets, rules.SECTION))
    if opt['is_train'] and logger:
        required = ['print_freq', 'save_checkpoint_freq', 'use_tb_logger']
        yield from _known_section(opt, ('logger',), rules.LOGGER, required)
        if mapping(logger, 'wandb').get('project') and logger.get('use_tb_logger') is not True:
            yield Problem(('logger', 'use_tb_logger'), 'should be true with a wandb project')


def check_network(opt: Options) -> Iterator[Problem]:
    """Check `network_g` by building it without memory."""
    network, archs = mapping(opt, 'network_g'), registered(ARCH_REGISTRY)
    yield from component(('network_g',), network, archs)
    if network.get('type') in list(archs):
        parameter = inspect.signature(archs[network['type']]).parameters.get('upscale')
        if parameter and network.get('upscale', parameter.default) != opt.get('scale'):
            given = network.get('upscale', f'left at {parameter.default}')
            yield Problem(('network_g', 'upscale'), f'{given}, but scale is {opt.get("scale")}; they must be equal')


def check_path(opt: Options) -> Iterator[Problem]:
    """Check `path`: the files to start from."""
    path = mapping(opt, 'path')
    yield from _known_section(opt, ('path',), rules.PATH)
    for key, what in (('pretrain_network_g', 'weights'), ('resume_state', 'a training state')):
        if isinstance(path.get(key), str) and not os.path.isfile(path[key]):
            yield Problem(('path', key), f'no file {located(path[key])}; it should be {what}, or ~')
    yield from _check_weights(opt)
    experiment = Path('experiments', str(opt.get('name')))
    if opt.get('auto_resume') and not list(experiment.glob('training_states/*.state')):
        for result in experiment.glob('models/net_g_latest.pth'):  # BasicSR would begin anew, and move it away
            message = f'there is {result}, but no training state beside it to go on from; leave --auto_resume out'
            yield Problem(('path', 'resume_state'), message)


def _check_weights(opt: Options) -> Iterator[Problem]:
    """Check that the weights to start from are those of the network, where it is ours."""
    file, network = mapping(opt, 'path').get('pretrain_network_g'), mapping(opt, 'network_g')
    ours = registered(ARCH_REGISTRY).get(str(network.get('type')))
    is_ours = isinstance(ours, type) and issubclass(ours, WindowedSR)
    if opt.get('model_type') != 'ASIDModel' or not is_ours or not os.path.isfile(str(file)):
        return
    key = ('path', 'pretrain_network_g')
    try:
        with torch.device('meta'):
            net = ours(**{name: value for name, value in network.items() if name != 'type'})
        state_dict = read_state_dict(file)
        if mapping(opt, 'path').get('strict_load_g', True):
            net.layouts.check_same(state_dict, net.state_dict())
    except CheckpointError as error:
        yield Problem(key, str(error))
    except RuntimeError as error:
        yield Problem(key, f'{file}: {error}; strict_load_g: false takes what fits')
    except (TypeError, ValueError):
        pass  # of the network's arguments, which check_network is for


def check_train(opt: Options) -> Iterator[Problem]:
    """Check `train`."""
    if not opt['is_train'] or not isinstance(opt.get('train'), Mapping):
        return
    train, losses = mapping(opt, 'train'), registered(LOSS_REGISTRY)
    yield from _known_section(opt, ('train',), rules.TRAIN, ['optim_g', 'scheduler', 'total_iter'])
    for name in ('pixel_opt', 'fft_opt', 'perceptual_opt'):
        if mapping(train, name):  # a PerceptualLoss would download VGG's weights when built
            yield from component(('train', name), train[name], losses, build=name != 'perceptual_opt')
    if not mapping(train, 'pixel_opt') and not mapping(train, 'perceptual_opt'):
        yield Problem(('train', 'pixel_opt'), 'missing; a loss is needed, such as type: L1Loss')
    yield from _check_optimizer(opt, train)
    batch, parts = mapping(opt, 'datasets', 'train').get('batch_size_per_gpu'), train.get('accumulate')
    if is_number(batch) and is_number(parts) and parts > 0 and batch % parts:
        yield Problem(('train', 'accumulate'), f'{parts} does not divide batch_size_per_gpu, {batch}')
    for name in ('pixel_opt', 'fft_opt'):
        if is_number(parts) and parts > 1 and mapping(train, name).get('reduction') == 'sum':
            yield Problem(('train', 'accumulate'), f'{parts} parts need losses that are means, but {name} is a sum')


def _check_optimizer(opt: Options, train: Options) -> Iterator[Problem]:
    optim, scheduler = mapping(train, 'optim_g'), mapping(train, 'scheduler')
    parameter = torch.nn.Parameter(torch.zeros(1))
    if optim:
        optimizers = {'Adam': torch.optim.Adam} if _is_basicsr(opt) else OPTIMIZERS  # BasicSR itself knows but one
        yield from component(('train', 'optim_g'), optim, optimizers, {'params': [parameter]})
        if 'lr' not in optim:
            yield Problem(('train', 'optim_g', 'lr'), 'missing; the learning rate')
    if scheduler:
        given = {'optimizer': torch.optim.SGD([parameter], lr=1)}
        wrong = list(component(('train', 'scheduler'), scheduler, SCHEDULERS, given))
        yield from wrong
        periods, total = scheduler.get('periods'), train.get('total_iter')
        if periods and not wrong and is_number(total) and sum(periods) < total:  # BasicSR fails when they have passed
            message = f'{periods} end before total_iter, {total}; their sum must reach it'
            yield Problem(('train', 'scheduler', 'periods'), message)


def check_val(opt: Options) -> Iterator[Problem]:
    """Check `val`: tiles and metrics."""
    val = mapping(opt, 'val')
    if not val and opt['is_train']:
        return
    required = ['save_img']
    if opt['is_train']:
        required.append('val_freq')
    elif val.get('save_img'):
        required.append('suffix')  # part of the images' names
    yield from _known_section(opt, ('val',), rules.VAL, required)
    for name in mapping(val, 'metrics'):
        key, metric, given = ('val', 'metrics', name), mapping(val['metrics'], name), {'img': None, 'img2': None}
        yield from component(key, metric, registered(METRIC_REGISTRY), given, ['better'], build=False)
    tile, overlap = val.get('tile'), val.get('tile_overlap', 24)
    window = mapping(opt, 'network_g').get('window_size', 8)
    if is_number(tile) and is_number(window) and window > 0 and tile % window:
        yield Problem(('val', 'tile'), f'{tile} is not a multiple of the window size {window}')
    if is_number(tile) and is_number(overlap) and overlap >= tile:
        yield Problem(('val', 'tile_overlap'), f'{overlap} is not less than tile, {tile}')


def _is_basicsr(opt: Options) -> bool:
    """Whether the model is BasicSR's, which does not read what `ASIDModel` adds."""
    model = registered(MODEL_REGISTRY).get(str(opt.get('model_type')))
    return getattr(model, '__module__', '').startswith('basicsr.')


def _known_section(
    opt: Options, key: Key, basicsr_rules: Mapping[str, rules.Rule], required: Iterable[str] = ()
) -> Iterator[Problem]:
    """Check a section whose keys depend on the model."""
    options, model, ours = mapping(opt, *key), opt.get('model_type'), rules.ASID_KEYS.get(key, {})
    if _is_basicsr(opt):
        for name in (name for name in ours if options.get(name)):
            yield Problem((*key, name), f'read by ASIDModel only, and model_type is {model}')
    closed = model in KNOWN_MODELS or model not in list(registered(MODEL_REGISTRY))
    yield from section(key, options, {**basicsr_rules, **ours}, required, closed)


def _line(problem: Problem, file: str, forced: Iterable[str]) -> str:
    is_forced = any(entry.partition('=')[0].strip() == ':'.join(problem.key) for entry in forced)
    return f'{"--force_yml" if is_forced else file}: {problem}'


def _stop_if_unreadable(error: Exception, is_train: bool) -> None:
    """Stop with a line for options that `parse_options` failed on, if that is what `error` comes from."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('-opt', default='')
    parser.add_argument('--force_yml', nargs='+')
    args = parser.parse_known_args()[0]
    if isinstance(error, OSError) and error.filename == args.opt:
        _stop_if_any([f'{located(args.opt)}: {error.strerror}'])
    elif isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        _stop_if_any([f'{args.opt}: line {error.problem_mark.line + 1}: not YAML: {error.problem}'])
    elif traceback.extract_tb(error.__traceback__)[-1].name in ('parse_options', '<module>'):  # the latter: --force_yml
        with open(args.opt) as stream:
            opt = yaml.load(stream, Loader=basicsr_options.ordered_yaml()[0])
        if not isinstance(opt, Mapping):
            _stop_if_any([f'{args.opt}: no options in it'])
        elif uses_plugin(opt):
            _stop_if_any(f'{args.opt}: {problem}' for problem in check_general({**opt, 'is_train': is_train}))
            if args.force_yml:
                right = f'right is section:key=value, with sections that {args.opt} has'
                _stop_if_any([f'--force_yml: {" ".join(args.force_yml)}: {right} ({type(error).__name__}: {error})'])


def _stop_if_any(lines: Iterable[str]) -> None:
    """End the program if there are any lines, with exit code 2; of several processes the first prints those of all."""
    lines = list(lines)
    processes = distributed.is_initialized()
    if processes:
        gathered: list[list[str]] = [[]] * distributed.get_world_size()
        distributed.all_gather_object(gathered, lines)
        lines = [line for process in gathered for line in process]
    if not lines:
        return
    if not processes or distributed.get_rank() == 0:
        print(*dict.fromkeys(lines), sep='\n', file=sys.stderr, flush=True)
    if processes:
        distributed.barrier()  # the launcher ends the others with the first that exits, perhaps before it has printed
    raise SystemExit(2)
