"""Settings for GPUs in the parts of BasicSR and torch that `ASIDModel` uses."""

from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

HOW = ('foreach', 'fused', 'capturable')
"""Entries of an optimizer's groups that select the implementation, not the numbers."""


def constants_kept_from_broadcast(net: nn.Module) -> None:
    """Exclude buffers that are not saved from the broadcasts of DistributedDataParallel, because they are constant.

    Before every iteration it sends all buffers of rank 0 to the others. Saved buffers, such as BatchNorm's, may change
    in training.
    """
    constants = [
        f'{place}.{name}' if place else name
        for place, module in net.named_modules()
        for name in module._non_persistent_buffers_set
    ]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(net, constants)


def compute_as_built(state: dict[str, Any], optimizer: Optimizer) -> None:
    """Adapt a state to the implementation of `optimizer`, which is about to load it.

    Torch takes these settings from the state: an optimizer with `fused` that loads a state without it fails under a
    gradient scaler, and `fused` in the options has no effect on a state without it. With `fused` or `capturable`, torch
    keeps the step counts on the GPU; else they belong on the CPU, because each access would wait for the GPU.

    Args:
        state: From `state_dict`, possibly all on the GPU, where BasicSR reads it; modified in place.
        optimizer: Built from the options.
    """
    for saved, built in zip(state['param_groups'], optimizer.param_groups, strict=False):
        saved.update({name: built[name] for name in HOW if name in built})
        if saved.get('fused') or saved.get('capturable'):
            continue
        for entries in (state['state'].get(place, {}) for place in saved['params']):
            if isinstance(entries.get('step'), Tensor):
                entries['step'] = entries['step'].cpu()
