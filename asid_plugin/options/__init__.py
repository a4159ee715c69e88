"""Option files, checked before anything starts.

BasicSR takes an option file as it stands: a mistyped key is overlooked, a wrong value or a missing folder fails later
and elsewhere, sometimes days later. For runs that use this package, `install` makes `parse_options` end the
program with one line per mistake: the file, the key, what is wrong and what would be right. Others are left alone.
"""

import argparse
import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from basicsr.utils import options as basicsr_options
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY
from torch import distributed

from asid_plugin.archs.windowed import WindowedSR
from asid_plugin.checkpoint import CheckpointError, load_asid, read_state_dict
from asid_plugin.compat import rebind
from asid_plugin.weights import is_packaged

from .datasets import check_datasets, located
from .problems import Key, Options, Problem, is_number, mapping, read_numbers
from .resuming import check_resume, find_state
from .schema import ONLY_ASID, OPTIMIZERS, SCHEDULERS, network_schema, options_schema, registered
from .signatures import needed, parameters
from .structure import structural_problems, without

# What parse_options writes into the options, at the top, in `path` and in each dataset.
_PARSED = ('dist', 'rank', 'world_size', 'auto_resume', 'is_train', 'root_path')
_PARSED_PATH = ('experiments_root', 'models', 'training_states', 'log', 'visualization', 'results_root')
_PARSED_DATASET = ('phase', 'scale')
PIXEL_LOSSES = ('pixel_opt', 'fft_opt', 'distill_opt')
"""Keys under `train` of losses between images that cost nothing to build."""


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
    structural = list(check_structure(opt))
    wrong = {problem.key for problem in structural}
    opt = without(opt, wrong)  # from here on, what is there is of the right kind
    problems += structural
    for check in (
        check_general,
        check_datasets,
        _check_built_network,
        check_upscale,
        check_path,
        check_resume,
        check_train,
        check_val,
    ):
        problems += (problem for problem in check(opt) if problem.key not in wrong)
    return problems


def check_structure(opt: Options) -> Iterator[Problem]:
    """Check keys and values by the schema."""
    parsed: list[Key] = [(key,) for key in _PARSED] + [('path', key) for key in _PARSED_PATH]
    parsed += [('datasets', name, key) for name in mapping(opt, 'datasets') for key in _PARSED_DATASET]
    written = without(opt, parsed)
    for problem in structural_problems(written, options_schema(opt['is_train'])):
        if problem.message == ONLY_ASID:
            problem = replace(problem, message=f'{ONLY_ASID}, and model_type is {opt["model_type"]}')
        yield problem


def check_general(opt: Options) -> Iterator[Problem]:
    """Check the GPUs that there are, and that the keys at the top and of `logger` agree."""
    num_gpu, found = opt.get('num_gpu', 0), torch.cuda.device_count()
    if num_gpu > found and not (opt.get('dist') and found):  # each of several processes takes one, whatever num_gpu is
        yield Problem(('num_gpu',), f'{num_gpu}, but this machine shows {found}; auto takes what there is')
    threads = not opt.get('dist') and num_gpu > 1  # DataParallel
    if threads and (opt.get('compile') or mapping(opt, 'train').get('amp') or mapping(opt, 'val').get('amp')):
        right = 'start with torchrun and --launcher pytorch, or set num_gpu: 1'
        yield Problem(('num_gpu',), f'compile and amp do not go with {num_gpu} GPUs in one process; {right}')
    logger = mapping(opt, 'logger')
    if opt['is_train'] and mapping(logger, 'wandb').get('project') and logger.get('use_tb_logger') is not True:
        yield Problem(('logger', 'use_tb_logger'), 'should be true with a wandb project')


def check_network(opt: Options) -> Iterator[Problem]:
    """Check the section `network_g` alone: by the schema, and by building the network without memory."""
    problems = structural_problems(mapping(opt, 'network_g'), network_schema(), ('network_g',))
    yield from problems
    yield from _check_built_network(without(opt, [problem.key for problem in problems]))


def _check_built_network(opt: Options) -> Iterator[Problem]:
    yield from _check_built(('network_g',), mapping(opt, 'network_g'), registered(ARCH_REGISTRY))


def check_upscale(opt: Options) -> Iterator[Problem]:
    """Check that the network's scale is that of the images."""
    network = mapping(opt, 'network_g')
    if 'type' not in network or 'scale' not in opt:
        return
    parameter = parameters(registered(ARCH_REGISTRY)[network['type']]).get('upscale')
    if parameter and network.get('upscale', parameter.default) != opt['scale']:
        given = network.get('upscale', f'left at {parameter.default}')
        yield Problem(('network_g', 'upscale'), f'{given}, but scale is {opt["scale"]}; they must be equal')


def check_path(opt: Options) -> Iterator[Problem]:
    """Check `path`: the files to start from."""
    path, is_ours = mapping(opt, 'path'), opt.get('model_type') == 'ASIDModel'
    experiment = Path('experiments', str(opt.get('name')))
    goes_on = find_state(opt)  # with weights of its own
    for key, what in (('pretrain_network_g', 'weights'), ('resume_state', 'a training state')):
        is_read = path.get(key) and not (goes_on and key == 'pretrain_network_g')
        if is_read and not (os.path.isfile(path[key]) or (is_ours and is_packaged(path[key]))):
            yield Problem(('path', key), f'no file {located(path[key])}; it should be {what}, or ~')
    if not goes_on:
        yield from _check_weights(opt)
    if opt.get('auto_resume') and not goes_on:
        for result in experiment.glob('models/net_g_latest.pth'):  # BasicSR would begin anew, and move it away
            message = f'there is {result}, but no training state beside it to go on from; leave --auto_resume out'
            yield Problem(('path', 'resume_state'), message)


def _check_weights(opt: Options) -> Iterator[Problem]:
    """Check that the weights to start from are those of the network, where it is ours."""
    file, network = mapping(opt, 'path').get('pretrain_network_g'), mapping(opt, 'network_g')
    ours = registered(ARCH_REGISTRY).get(str(network.get('type')))
    is_ours = isinstance(ours, type) and issubclass(ours, WindowedSR)
    if opt.get('model_type') != 'ASIDModel' or not is_ours:
        return
    if not (os.path.isfile(str(file)) or is_packaged(str(file))):
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
    if not opt['is_train'] or 'train' not in opt:
        return
    train, losses = opt['train'], registered(LOSS_REGISTRY)
    for name in PIXEL_LOSSES:  # a PerceptualLoss would download VGG's weights when built
        yield from _check_built(('train', name), mapping(train, name), losses)
    if train.get('pixel_opt') is None and train.get('perceptual_opt') is None:
        yield Problem(('train', 'pixel_opt'), 'missing; a loss is needed, such as type: L1Loss')
    yield from _check_optimizer(train)
    yield from _check_teacher(train, opt.get('scale'))
    batch, parts = mapping(opt, 'datasets', 'train').get('batch_size_per_gpu'), train.get('accumulate')
    if is_number(batch) and parts and batch % parts:
        yield Problem(('train', 'accumulate'), f'{parts} does not divide batch_size_per_gpu, {batch}')
    for name in PIXEL_LOSSES:
        if parts and parts > 1 and mapping(train, name).get('reduction') == 'sum':
            yield Problem(('train', 'accumulate'), f'{parts} parts need losses that are means, but {name} is a sum')


def _check_teacher(train: Options, scale: Any) -> Iterator[Problem]:
    """Check that there is a teacher if and only if something is to be learnt from it, and that it fits."""
    key, file = ('train', 'teacher'), train.get('teacher')
    if not file:
        if train.get('distill_opt'):
            yield Problem(key, 'missing; distill_opt needs the weights of a trained ASID, such as packaged:x2')
        return
    if not train.get('distill_opt'):
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
    yield from _check_built(('train', 'optim_g'), mapping(train, 'optim_g'), OPTIMIZERS, {'params': [parameter]})
    given = {'optimizer': torch.optim.SGD([parameter], lr=1)}
    wrong = list(_check_built(('train', 'scheduler'), scheduler, SCHEDULERS, given))
    yield from wrong
    periods, total = scheduler.get('periods'), train.get('total_iter', 0)
    if periods and not wrong and sum(periods) < total:  # BasicSR fails when they have passed
        message = f'{periods} end before total_iter, {total}; their sum must reach it'
        yield Problem(('train', 'scheduler', 'periods'), message)


def check_val(opt: Options) -> Iterator[Problem]:
    """Check `val`: tiles."""
    val = mapping(opt, 'val')
    tile, overlap = val.get('tile'), val.get('tile_overlap', 24)
    network = mapping(opt, 'network_g')
    arch = registered(ARCH_REGISTRY).get(str(network.get('type')))
    parameter = parameters(arch).get('window_size') if arch else None
    window = network.get('window_size', parameter.default if parameter else None)
    if tile and is_number(window) and window > 0 and tile % window:
        yield Problem(('val', 'tile'), f'{tile} is not a multiple of the window size {window}')
    if tile and overlap >= tile:
        yield Problem(('val', 'tile_overlap'), f'{overlap} is not less than tile, {tile}')


def _check_built(
    key: Key, options: Options, kinds: Mapping[str, Callable], given: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    """Check the arguments in a section by calling the class or function that it names, for what that says of them.

    Args:
        key: Where the section stands.
        options: The section; with a type that is unknown, or without an argument that is needed, nothing is called.
        kinds: The classes and functions by name; called on the meta device (shapes without memory).
        given: Arguments that the caller gives.
    """
    arguments = {**options, **(given or {})}
    name = arguments.pop('type', None)
    if name is None or not needed(kinds[name]) <= arguments.keys():
        return
    try:
        with torch.device('meta'), torch.random.fork_rng(devices=[]):
            kinds[name](**arguments)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        yield Problem(key, f'{name}: {(str(error) or repr(error)).splitlines()[0]}')
    except (NotImplementedError, RuntimeError):
        pass  # it needs real tensors, and says what it has to say when the run builds it


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
            opt = read_numbers({**opt, 'is_train': is_train}, problems := [])
            _stop_if_any(f'{args.opt}: {problem}' for problem in (*problems, *check_structure(opt)))
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
