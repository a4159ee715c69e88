"""Compare a training state with its network and optimizer; torch does so after minutes or never."""

import warnings
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import ARCH_REGISTRY, MODEL_REGISTRY

from asid_plugin.checkpoints.training_states import check_optimizer
from asid_plugin.printable import printable

from .building import without_memory
from .optimizers import OPTIMIZERS
from .problems import Options, Problem, mapping
from .resuming import StateError, find_state, read_state
from .schema import SCHEDULERS, registered


def check_state(opt: Options) -> Iterator[Problem]:
    """Check that optimizer and schedule can continue from their states by one step on the meta device."""
    file = find_state(opt)
    if not opt['is_train'] or file is None or not _is_optimized_as_usual(opt):
        return
    try:
        state = read_state(file)
    except StateError:
        return  # reported by check_resume
    try:
        optimizer, scheduler = _optimizer_and_scheduler(opt)
    except Exception:  # other checks report wrong options
        return
    try:
        optimizer.load_state_dict(dict(state.optimizer))
        check_optimizer(optimizer)
        scheduler.load_state_dict(deepcopy(state.scheduler))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch warns if a schedule steps before the optimizer
            scheduler.step()
    except Exception as error:  # torch does not check the state
        said = f'{type(error).__name__}: {" ".join(str(error).split())[:150]}'
        yield Problem(('path', 'resume_state'), printable(f'{file} is not the state of such a training ({said})'))


def _is_optimized_as_usual(opt: Options) -> bool:
    """Whether the model passes all trained weights to one optimizer in one group, like `SRModel`."""
    model = registered(MODEL_REGISTRY).get(str(opt.get('model_type')))
    return getattr(model, 'setup_optimizers', None) is SRModel.setup_optimizers


def _optimizer_and_scheduler(opt: Options) -> tuple[torch.optim.Optimizer, Any]:
    """Optimizer and schedule as in BasicSR, for a network on the meta device."""
    network, train = mapping(opt, 'network_g'), mapping(opt, 'train')
    with without_memory():
        net = registered(ARCH_REGISTRY)[network['type']](**_arguments(network))
    optim_g, schedule = mapping(train, 'optim_g'), mapping(train, 'scheduler')
    kind: Any = OPTIMIZERS[optim_g['type']]
    optimizer: torch.optim.Optimizer = kind(
        [weight for weight in net.parameters() if weight.requires_grad], **_arguments(optim_g)
    )
    schedule_kind: Any = SCHEDULERS[schedule['type']]
    return optimizer, schedule_kind(optimizer, **_arguments(schedule))


def _arguments(section: Options) -> Options:
    return {name: value for name, value in section.items() if name != 'type'}
