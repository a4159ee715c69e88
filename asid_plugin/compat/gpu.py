"""Settings for GPUs in the parts that `ASIDModel` takes from BasicSR and torch."""

from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

HOW = ('foreach', 'fused', 'capturable')
"""Entries of an optimizer's groups that say how it computes, and not with which numbers."""


def constants_kept_from_broadcast(net: nn.Module) -> None:
    """Have DistributedDataParallel leave out of its broadcasts the buffers that are not saved, since they are constant.

    Before every iteration it sends all buffers of rank 0 to the others; those that are saved, such as BatchNorm's, may
    change in training.
    """
    constants = [
        f'{place}.{name}' if place else name
        for place, module in net.named_modules()
        for name in module._non_persistent_buffers_set
    ]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(net, constants)


def compute_as_built(state: dict[str, Any], optimizer: Optimizer) -> None:
    """Make a state that `optimizer` is about to load compute as it does, instead of as the one that was saved.

    Torch takes these choices from the state: an optimizer that was built with `fused` and loads a state without it
    fails under a gradient scaler, and one without `fused` stays so after it was written into the options. With `fused`
    or `capturable`, torch puts the step counts on the GPU; else they belong on the CPU, since each look at one would
    wait for the GPU.

    Args:
        state: Of `state_dict`, perhaps with everything on the GPU, as BasicSR reads it; changed.
        optimizer: As the options say.
    """
    for saved, built in zip(state['param_groups'], optimizer.param_groups, strict=False):
        saved.update({name: built[name] for name in HOW if name in built})
        if saved.get('fused') or saved.get('capturable'):
            continue
        for entries in (state['state'].get(place, {}) for place in saved['params']):
            if isinstance(entries.get('step'), Tensor):
                entries['step'] = entries['step'].cpu()
