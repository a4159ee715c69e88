"""Check the network of an option file, and the files to start from."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from basicsr.models.base_model import BaseModel
from basicsr.utils.registry import ARCH_REGISTRY, MODEL_REGISTRY

from asid_plugin.archs.windowed import WindowedSR
from asid_plugin.checkpoints import CheckpointError, is_packaged, read_state_dict
from asid_plugin.printable import printable

from .basicsr_keys import PAIRED, DatasetOptions, PathOptions
from .building import check_built, without_memory
from .datasets import channels_of
from .degraded_keys import DEGRADED_IMAGES
from .problems import Key, Options, Problem, is_number, located, mapping
from .real_world_keys import DEGRADED, REAL_PAIRED
from .resuming import StateError, find_state, read_state
from .schema import network_schema, registered
from .signatures import parameters
from .structure import structural_problems, without

REAL = (DEGRADED, DEGRADED_IMAGES, REAL_PAIRED)
"""Further data sets of colour images."""


def network_class(network: Options) -> Callable[..., Any] | None:
    """The class of the section `network_g`, if known."""
    return registered(ARCH_REGISTRY).get(str(network.get('type')))


def argument(network: Options, name: str) -> Any:
    """An argument of the section `network_g`, or else its default; None if the class has no such argument."""
    net_class = network_class(network)
    parameter = parameters(net_class).get(name) if net_class else None
    return network.get(name, parameter.default if parameter else None)


def check_network(opt: Options) -> Iterator[Problem]:
    """Check the section `network_g` alone, by the schema and by building the network on the meta device."""
    problems = structural_problems(mapping(opt, 'network_g'), network_schema(), ('network_g',))
    yield from problems
    yield from check_built_network(without(opt, [problem.key for problem in problems]))


def check_built_network(opt: Options) -> Iterator[Problem]:
    """Check the arguments of the network by building it."""
    yield from check_built(('network_g',), mapping(opt, 'network_g'), registered(ARCH_REGISTRY))


def check_upscale(opt: Options) -> Iterator[Problem]:
    """Check that the scales of network and images are equal."""
    network = mapping(opt, 'network_g')
    if 'type' not in network or 'scale' not in opt:
        return
    known = parameters(registered(ARCH_REGISTRY)[network['type']])
    name = next((name for name in ('upscale', 'scale') if name in known), None)
    if name and network.get(name, known[name].default) != opt['scale']:
        given = network.get(name, f'left at {known[name].default}')
        yield Problem(('network_g', name), f'{given}, but scale is {opt["scale"]}; they must be equal')


def check_channels(opt: Options) -> Iterator[Problem]:
    """Check that network and images have the same channels, if the arguments of the network name them."""
    network, datasets = mapping(opt, 'network_g'), mapping(opt, 'datasets')
    for key in ('num_in_ch', 'num_out_ch'):
        for name, dataset in datasets.items():
            channels, given = channels_of(DatasetOptions(dataset)), argument(network, key)
            if dataset.get('type') in (*PAIRED, *REAL) and is_number(given) and given != channels:
                message = f'{given}, but the images of datasets:{name} have {channels}'
                yield Problem(('network_g', key), message)
                break


def is_windowed(kind: object) -> bool:
    """Whether a class is one of our networks with windows."""
    return isinstance(kind, type) and issubclass(kind, WindowedSR)


def check_path(opt: Options) -> Iterator[Problem]:
    """Check `path`: the files to start from."""
    path, reads_any = PathOptions(mapping(opt, 'path')), _reads_any(opt)
    goes_on = find_state(opt)  # it has its own weights
    weights = None if goes_on else path.pretrain_network_g
    for key, file, kind in (
        ('pretrain_network_g', weights, 'weights'),
        ('resume_state', path.resume_state, 'a training state'),
    ):
        if file and not (os.path.isfile(file) or (reads_any and kind == 'weights' and is_packaged(file))):
            yield Problem(('path', key), f'no file {located(file)}; it should be {kind}, or ~')
    if weights and (os.path.isfile(weights) or (reads_any and is_packaged(weights))):
        yield from _check_weights(('path', 'pretrain_network_g'), weights, opt)
    if reads_any and goes_on and 'network_g' not in (path.ignore_resume_networks or ()):
        yield from _check_resumed_weights(goes_on, opt)
    if opt.get('auto_resume') and not goes_on:
        experiment = Path('experiments', str(opt.get('name')))
        # BasicSR would start from scratch and rename the folder
        for result in experiment.glob('models/net_g_latest.pth'):
            message = f'{result} exists, but there is no training state to resume from; omit --auto_resume'
            yield Problem(('path', 'resume_state'), message)


def _check_resumed_weights(state: Path, opt: Options) -> Iterator[Problem]:
    """Check the weights of a training state, which BasicSR expects in the folder of the experiment."""
    try:
        iteration = read_state(state).iteration
    except StateError:
        return  # reported by check_resume
    folder = Path(mapping(opt, 'path').get('models') or Path('experiments', str(opt.get('name')), 'models'))
    folder = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    weights, key = folder / f'net_g_{iteration}.pth', ('path', 'resume_state')
    if not weights.is_file():
        message = f'{state} needs {weights}, which is missing; remove the state, or name another'
        yield Problem(key, message)
        return
    for problem in _check_weights(key, str(weights), opt):
        yield Problem(key, f'{state} needs {problem.message}; remove both, or name another state')


def _check_weights(key: Key, file: str, opt: Options) -> Iterator[Problem]:
    """Check that the weights to start from fit the network, if it is ours."""
    network, path = mapping(opt, 'network_g'), PathOptions(mapping(opt, 'path'))
    net_class = network_class(network)
    if net_class is None or not is_windowed(net_class) or not _reads_any(opt):
        return
    try:
        with without_memory():
            net = net_class(**{name: value for name, value in network.items() if name != 'type'})
    except (TypeError, ValueError, RuntimeError):
        return  # reported by check_built_network
    if not isinstance(net, WindowedSR):
        return
    try:
        state_dict = read_state_dict(file, path.param_key_g)
        if path.strict_load_g:
            net.check_fits(state_dict)
        else:
            net.reader.to_ours(state_dict)
    except CheckpointError as error:
        yield Problem(key, str(error))
    except RuntimeError as error:
        yield Problem(key, printable(f'{file}: {error}; strict_load_g: false skips weights that do not fit'))
    except ValueError as error:
        yield Problem(key, printable(f'{file}: {error}'))


def _reads_any(opt: Options) -> bool:
    """Whether our function reads the weights of the model: for `ASIDModel`, and models with BasicSR's method."""
    model = registered(MODEL_REGISTRY).get(str(opt.get('model_type')))
    return opt.get('model_type') == 'ASIDModel' or getattr(model, 'load_network', None) is BaseModel.load_network
