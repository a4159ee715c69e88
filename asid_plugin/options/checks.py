"""Run all checks of options; checks across sections are here."""

import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

import torch

from asid_plugin.printable import printable

from .asid_keys import ASIDGeneralOptions, ASIDTrainOptions, ASIDValOptions
from .compiling import check_compile
from .datasets import check_datasets
from .metrics import check_metrics
from .network import argument, check_built_network, check_channels, check_path, check_upscale, network_class
from .others import check_model, check_samples
from .problems import Key, Options, Problem, is_number, mapping, shown
from .real_world import check_degradations, check_discriminator
from .resuming import check_resume
from .schema import READ_BY, options_schema
from .states import check_state
from .structure import structural_problems, without
from .training import check_train
from .yaml_numbers import read_numbers

# Keys that parse_options adds to the options, at the top, in `path` and in each dataset.
_PARSED = ('dist', 'rank', 'world_size', 'auto_resume', 'is_train', 'root_path')
_PARSED_PATH = ('experiments_root', 'models', 'training_states', 'log', 'visualization', 'results_root')
_PARSED_DATASET = ('phase', 'scale')
MOST_BYTES = 180
"""Most bytes of a name; file names have 255, and BasicSR appends some."""


def uses_plugin(opt: Options) -> bool:
    """Whether the model or the network of these options is this package's."""
    net_class = network_class(mapping(opt, 'network_g'))
    return opt.get('model_type') == 'ASIDModel' or getattr(net_class, '__module__', '').startswith('asid_plugin.')


def check_options(opt: Options) -> list[Problem]:
    """Find everything that would stop a run later, or have an unexpected effect.

    Args:
        opt: Options as `parse_options` returns them; not changed.

    Returns:
        All problems; empty if the run can start.
    """
    opt, problems, wrong = check_kinds(opt)
    opt = without(opt, wrong)  # from here, every value has a valid kind
    for check in (
        check_general,
        check_logger,
        check_compile,
        check_model,
        check_degradations,
        check_discriminator,
        check_datasets,
        check_samples,
        check_built_network,
        check_upscale,
        check_channels,
        check_path,
        check_resume,
        check_state,
        check_train,
        check_val,
        check_metrics,
    ):
        problems += (problem for problem in check(opt) if problem.key not in wrong)
    return problems


def check_kinds(opt: Options) -> tuple[Options, list[Problem], set[Key]]:
    """Check keys and values by the schema, after numbers in text are converted.

    Returns:
        The options with these numbers, all problems, and the keys with values of a wrong kind.
    """
    texts: list[Problem] = []
    opt = read_numbers(opt, texts)
    structural = list(check_structure(opt))
    wrong = {problem.key for problem in structural}
    return opt, [*(text for text in texts if text.key not in wrong), *structural], wrong


def check_structure(opt: Options) -> Iterator[Problem]:
    """Check keys and values by the schema."""
    parsed: list[Key] = [(key,) for key in _PARSED] + [('path', key) for key in _PARSED_PATH]
    parsed += [('datasets', name, key) for name in mapping(opt, 'datasets') for key in _PARSED_DATASET]
    written = without(opt, parsed)
    for problem in structural_problems(written, options_schema(opt['is_train'])):
        if problem.message.startswith(READ_BY):
            problem = replace(problem, message=f'{problem.message}, and model_type is {opt["model_type"]}')
        yield problem


def check_general(opt: Options) -> Iterator[Problem]:
    """Check the name, the available GPUs, and the consistency of keys at the top."""
    name = opt.get('name', '')
    if len(os.fsencode(name)) > MOST_BYTES or printable(name) != name:
        message = f'{shown(name)} should be one line of at most {MOST_BYTES} bytes, because folders get this name'
        yield Problem(('name',), message)
    if opt.get('model_type') == 'SwinIRModel' and 'window_size' not in mapping(opt, 'network_g'):
        yield Problem(('network_g', 'window_size'), 'missing; SwinIRModel needs it')
    num_gpu, found = opt.get('num_gpu', 0), torch.cuda.device_count()
    # each of several processes takes one, regardless of num_gpu
    if num_gpu > found and not (opt.get('dist') and found):
        yield Problem(('num_gpu',), f'{num_gpu}, but this machine has {found}; auto takes all available ones')
    amp = ASIDTrainOptions(mapping(opt, 'train')).amp or ASIDValOptions(mapping(opt, 'val')).amp
    threads = not opt.get('dist') and num_gpu > 1  # DataParallel
    if threads and (ASIDGeneralOptions(opt).compile or amp):
        right = 'start with torchrun and --launcher pytorch, or set num_gpu: 1'
        yield Problem(('num_gpu',), f'compile and amp do not work with {num_gpu} GPUs in one process; {right}')


def check_logger(opt: Options) -> Iterator[Problem]:
    """Check that the packages for `logger` are installed; for names with 'debug' BasicSR uses none."""
    logger = mapping(opt, 'logger')
    if not opt['is_train'] or 'debug' in opt.get('name', ''):
        return
    project = mapping(logger, 'wandb').get('project') is not None
    if project and logger.get('use_tb_logger') is not True:
        yield Problem(('logger', 'use_tb_logger'), 'should be true with a wandb project')
    for key, asked, module in (
        (('logger', 'wandb', 'project'), project, 'wandb'),
        (('logger', 'use_tb_logger'), logger.get('use_tb_logger'), 'tensorboard'),
    ):
        if asked and find_spec(module) is None:
            yield Problem(key, f'{module} is not installed: pip install {module}')


def check_val(opt: Options) -> Iterator[Problem]:
    """Check the tiles in `val`."""
    val, window = ASIDValOptions(mapping(opt, 'val')), argument(mapping(opt, 'network_g'), 'window_size')
    if val.tile and is_number(window) and window > 0 and val.tile % window:
        yield Problem(('val', 'tile'), f'{val.tile} is not a multiple of the window size {window}')
    if val.tile and val.tile_overlap >= val.tile:
        yield Problem(('val', 'tile_overlap'), f'{val.tile_overlap} is not less than tile, {val.tile}')
