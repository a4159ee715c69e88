"""What the keys of an option file may be: BasicSR's, for the models that are known here, and this package's."""

import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from basicsr.utils.registry import Registry

from asid_plugin.models.asid_model import AMP_DTYPES

Key = tuple[str, ...]
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """A mistake in an option file: the key it is at, and in words what is wrong and what would be right."""

    key: Key
    message: str

    def __str__(self) -> str:
        return ': '.join((*self.key, self.message))


@dataclass(frozen=True)
class Rule:
    """What a value may be: a test, and the same in words."""

    fits: Callable[[Any], bool]
    words: str


def is_number(value: Any) -> bool:
    """Whether `value` is a finite int or float; true and false are not numbers here."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(least: int) -> Rule:
    return Rule(lambda v: isinstance(v, int) and is_number(v) and v >= least, f'a whole number of at least {least}')


def _count(least: int) -> Rule:
    # As _whole, but 5000.0 will do: BasicSR's own files count iterations in !!float.
    return Rule(lambda v: is_number(v) and v == int(v) and v >= least, f'a whole number of at least {least}')


def _or_none(rule: Rule) -> Rule:
    return Rule(lambda v: v is None or rule.fits(v), f'{rule.words}, or ~')


def _one_of(*values: str) -> Rule:
    return Rule(lambda v: v in values, ' or '.join(values))


ANY = Rule(lambda v: True, 'anything')
FLAG = Rule(lambda v: isinstance(v, bool), 'true or false')
TEXT = Rule(lambda v: isinstance(v, str) and v != '', 'text')
SECTION = Rule(lambda v: isinstance(v, Mapping), 'a section (lines of key: value below it, indented)')
BACKEND = Rule(lambda v: isinstance(v, Mapping) and v.get('type') in ('disk', 'lmdb'), 'type: disk or type: lmdb')
COMPILE = Rule(lambda v: FLAG.fits(v) or SECTION.fits(v), "true or false, or a section of torch.compile's arguments")
NUM_GPU = Rule(lambda v: v == 'auto' or _whole(0).fits(v), 'auto, or a whole number of at least 0')
AMP = _or_none(_one_of(*AMP_DTYPES))

GENERAL = {
    'name': TEXT,
    'model_type': TEXT,
    'scale': _whole(1),
    'num_gpu': NUM_GPU,
    'manual_seed': _whole(0),
    'datasets': SECTION,
    'network_g': SECTION,
    'path': SECTION,
    'train': SECTION,
    'val': _or_none(SECTION),
    'logger': SECTION,
    'dist_params': SECTION,
    'find_unused_parameters': FLAG,
    'plugin': ANY,
    'dist': ANY,
    'rank': ANY,
    'world_size': ANY,
    'auto_resume': ANY,
    'is_train': ANY,
    'root_path': ANY,
}
PATH = {
    'pretrain_network_g': _or_none(TEXT),
    'param_key_g': _or_none(TEXT),
    'strict_load_g': FLAG,
    'resume_state': _or_none(TEXT),
    'ignore_resume_networks': ANY,
    'experiments_root': ANY,
    'models': ANY,
    'training_states': ANY,
    'log': ANY,
    'visualization': ANY,
    'results_root': ANY,
}
DATASET = {
    'name': TEXT,
    'type': TEXT,
    'phase': ANY,
    'scale': ANY,
    'dataroot_gt': TEXT,
    'dataroot_lq': TEXT,
    'io_backend': BACKEND,
    'meta_info_file': _or_none(TEXT),
    'color': _or_none(_one_of('y')),
    'mean': ANY,
    'std': ANY,
    'filename_tmpl': Rule(lambda v: isinstance(v, str) and '{}' in v, "text with {} in the place of the GT's name"),
    'gt_size': _whole(1),
    'use_hflip': FLAG,
    'use_rot': FLAG,
    'use_shuffle': FLAG,
    'num_worker_per_gpu': _whole(0),
    'batch_size_per_gpu': _whole(1),
    'dataset_enlarge_ratio': _count(1),
    'prefetch_mode': _or_none(_one_of('cpu', 'cuda')),
    'num_prefetch_queue': _whole(1),
    'pin_memory': FLAG,
    'persistent_workers': FLAG,
}
TRAIN = {
    'ema_decay': Rule(lambda v: is_number(v) and 0 <= v < 1, 'a number from 0 to below 1'),
    'optim_g': SECTION,
    'scheduler': SECTION,
    'total_iter': _count(1),
    'warmup_iter': _count(-1),
    'pixel_opt': _or_none(SECTION),
    'perceptual_opt': _or_none(SECTION),
}
VAL = {'val_freq': _count(1), 'save_img': FLAG, 'pbar': FLAG, 'suffix': _or_none(TEXT), 'metrics': _or_none(SECTION)}
LOGGER = {'print_freq': _count(1), 'save_checkpoint_freq': _count(1), 'use_tb_logger': FLAG, 'wandb': _or_none(SECTION)}

# What ASIDModel reads and BasicSR's own models do not, by section.
ASID_KEYS: dict[Key, dict[str, Rule]] = {
    (): {'compile': COMPILE, 'channels_last': FLAG},
    ('train',): {
        'fft_opt': _or_none(SECTION),
        'amp': AMP,
        'accumulate': _whole(1),
        'grad_clip': _or_none(Rule(lambda v: is_number(v) and v > 0, 'a number above 0')),
    },
    ('val',): {
        'tile': _or_none(_whole(16)),
        'tile_overlap': _whole(0),
        'tile_batch': _whole(1),
        'self_ensemble': FLAG,
        'amp': AMP,
    },
    ('logger',): {'safetensors': FLAG},
}

# Where digits are text all the same.
TEXT_KEYS = {
    'name',
    'type',
    'suffix',
    'filename_tmpl',
    'dataroot_gt',
    'dataroot_lq',
    'meta_info_file',
    'path',
    'wandb',
    'plugin',
}
_NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?', re.IGNORECASE)


def read_numbers(value: Any, problems: list[Problem], key: Key = ()) -> Any:
    """Turn numbers that YAML took for text into numbers.

    YAML 1.1 reads 5e-4 as text (it wants 5.0e-4), and `--force_yml` passes on as text what is not made of digits.

    Args:
        value: Options, or any value in them; not changed.
        problems: Receives one problem for every such number.
        key: Where `value` stands.

    Returns:
        A copy of `value` with the numbers put right.
    """
    if isinstance(value, Mapping):
        return {k: v if k in TEXT_KEYS else read_numbers(v, problems, (*key, str(k))) for k, v in value.items()}
    if isinstance(value, list):
        return [read_numbers(v, problems, key) for v in value]
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return value
    mantissa, _, exponent = value.lower().partition('e')
    plain = f'{mantissa if "." in mantissa else mantissa + ".0"}e{int(exponent):+d}' if exponent else value
    problems.append(Problem(key, f"'{value}' is text, not a number; write {plain}, or in --force_yml !!float {value}"))
    return float(value) if exponent or '.' in value else int(value)


def unknown(name: Any, known: Iterable[str]) -> str:
    """Say that a key or type is unknown, and which known one is nearest to it."""
    known = sorted(known)
    near = get_close_matches(str(name).lower(), [item.lower() for item in known], n=1)
    found = next((item for item in known if item.lower() in near), None)
    return f'unknown; did you mean {found}?' if near else f'unknown; known are {", ".join(known)}'


def registered(registry: Registry) -> dict[str, Callable]:
    """What one of BasicSR's registries holds, by every name under which it is found there."""
    items = list(registry)
    return {name.removesuffix('_basicsr'): item for name, item in items} | dict(items)


def mapping(options: Any, *keys: str) -> Options:
    """The section at `keys`; empty where there is none, or something else in its place."""
    for key in keys:
        options = options.get(key) if isinstance(options, Mapping) else None
    return options if isinstance(options, Mapping) else {}


def section(
    key: Key, options: Options, rules: Mapping[str, Rule], required: Iterable[str] = (), closed: bool = True
) -> Iterator[Problem]:
    """Check the keys and values of one section against its rules.

    Args:
        key: Where the section stands.
        options: The section.
        rules: Rule of every known key.
        required: Keys that must be there.
        closed: Whether a key without a rule is a mistake.
    """
    for name in required:
        if name not in options:
            yield Problem((*key, name), f'missing; it must be {rules[name].words}')
    for name, value in options.items():
        if name not in rules:
            if closed:
                yield Problem((*key, str(name)), unknown(name, rules))
        elif not rules[name].fits(value):
            yield Problem((*key, name), f'{value!r} should be {rules[name].words}')


def component(
    key: Key,
    options: Options,
    types: Mapping[str, Callable],
    given: Mapping[str, Any] | None = None,
    ignored: Iterable[str] = (),
    build: bool = True,
) -> Iterator[Problem]:
    """Check a section that names a class or function (`type`) and its arguments, as BasicSR's factories take it.

    Args:
        key: Where the section stands.
        options: The section.
        types: What `type` may be: classes or functions by name.
        given: Arguments that the caller of the class or function gives it.
        ignored: Keys that are BasicSR's and not arguments.
        build: Whether to call it, on the meta device (shapes without memory), for what it says of its arguments.
    """
    given, name = given or {}, options.get('type')
    if name not in list(types):
        yield Problem((*key, 'type'), f'{name!r} is {unknown(name, types)}')
        return
    parameters = inspect.signature(types[name]).parameters
    names = [k for k, p in parameters.items() if p.kind is not p.VAR_KEYWORD and k not in given]
    # BasicSR's metrics take **kwargs only to overlook `better`; a mistyped argument would be overlooked with it.
    takes_any = not ignored and any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    settings = {k: v for k, v in options.items() if k in names or takes_any and k != 'type'}
    missing = [k for k in names if parameters[k].default is inspect.Parameter.empty and k not in settings]
    for argument in options:
        if argument not in ('type', *ignored, *settings):
            yield Problem((*key, str(argument)), f'{unknown(argument, names)} ({name})')
    for argument in missing:
        yield Problem((*key, argument), f'missing; {name} needs it')
    if build and not missing:
        try:
            with torch.device('meta'), torch.random.fork_rng(devices=[]):
                types[name](**given, **settings)
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            yield Problem(key, f'{name}: {(str(error) or repr(error)).splitlines()[0]}')
        except (NotImplementedError, RuntimeError):
            pass  # it needs real tensors, and says what it has to say when the run builds it
