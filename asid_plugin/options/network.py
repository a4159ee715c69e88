"""The network of an option file, and the files that it starts from."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from basicsr.utils.registry import ARCH_REGISTRY

from asid_plugin.archs.windowed import WindowedSR
from asid_plugin.checkpoints import CheckpointError, is_packaged, read_state_dict

from .basicsr_keys import PathOptions
from .building import check_built
from .problems import Options, Problem, located, mapping
from .resuming import find_state
from .schema import network_schema, registered
from .signatures import parameters
from .structure import structural_problems, without


def network_class(network: Options) -> Callable[..., Any] | None:
    """The class that the section `network_g` names, if there is one of this name."""
    return registered(ARCH_REGISTRY).get(str(network.get('type')))


def argument(network: Options, name: str) -> Any:
    """An argument of the section `network_g`, or else its default; None where the class has no such argument."""
    net_class = network_class(network)
    parameter = parameters(net_class).get(name) if net_class else None
    return network.get(name, parameter.default if parameter else None)


def check_network(opt: Options) -> Iterator[Problem]:
    """Check the section `network_g` alone: by the schema, and by building the network without memory."""
    problems = structural_problems(mapping(opt, 'network_g'), network_schema(), ('network_g',))
    yield from problems
    yield from check_built_network(without(opt, [problem.key for problem in problems]))


def check_built_network(opt: Options) -> Iterator[Problem]:
    """Check the arguments of the network by building it."""
    yield from check_built(('network_g',), mapping(opt, 'network_g'), registered(ARCH_REGISTRY))


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
    path, is_ours = PathOptions(mapping(opt, 'path')), opt.get('model_type') == 'ASIDModel'
    goes_on = find_state(opt)  # with weights of its own
    weights = None if goes_on else path.pretrain_network_g
    for key, file, kind in (
        ('pretrain_network_g', weights, 'weights'),
        ('resume_state', path.resume_state, 'a training state'),
    ):
        if file and not (os.path.isfile(file) or (is_ours and is_packaged(file))):
            yield Problem(('path', key), f'no file {located(file)}; it should be {kind}, or ~')
    if is_ours and weights and (os.path.isfile(weights) or is_packaged(weights)):
        yield from _check_weights(weights, mapping(opt, 'network_g'), path.strict_load_g)
    if opt.get('auto_resume') and not goes_on:
        experiment = Path('experiments', str(opt.get('name')))
        for result in experiment.glob('models/net_g_latest.pth'):  # BasicSR would begin anew, and move it away
            message = f'there is {result}, but no training state beside it to go on from; leave --auto_resume out'
            yield Problem(('path', 'resume_state'), message)


def _check_weights(file: str, network: Options, strict: bool) -> Iterator[Problem]:
    """Check that the weights to start from are those of the network, where it is ours."""
    net_class = network_class(network)
    if not (isinstance(net_class, type) and issubclass(net_class, WindowedSR)):
        return
    key = ('path', 'pretrain_network_g')
    try:
        with torch.device('meta'):
            net = net_class(**{name: value for name, value in network.items() if name != 'type'})
        state_dict = read_state_dict(file)
        if strict:
            net.check_fits(state_dict)
    except CheckpointError as error:
        yield Problem(key, str(error))
    except RuntimeError as error:
        yield Problem(key, f'{file}: {error}; strict_load_g: false takes what fits')
    except (TypeError, ValueError):
        pass  # of the network's arguments, which check_built_network is for
