"""Where in the state dict of a whole model, or in a checkpoint with all its wrappers, one of our networks is."""

from collections.abc import Collection, Mapping
from typing import Any

from asid_plugin.errors import ASIDError

ENDS = (('conv_first.weight', 'conv_up.weight'), ('input.weight', 'up.0.weight'))
"""A parameter of the first and of the last layer of our networks, in our layouts and in the released ones."""
WITHOUT_MEANING = ('module', '_orig_mod')
"""Parts of names that come from DistributedDataParallel, averaging and compiling."""


class AmbiguityError(ASIDError):
    """Several networks where one is asked for; the message lists them."""


def network_prefixes(state_dict: Mapping[str, Any]) -> list[str]:
    """The names, each with its last dot, by which networks of ours stand in a state dict; '' for itself."""
    keys = [key for key in state_dict if isinstance(key, str)]  # spandrel asks of whatever a file holds
    stems = [(key.removesuffix(first), last) for first, last in ENDS for key in keys if key.endswith(first)]
    return [stem for stem, last in stems if stem[-1:] in ('', '.') and stem + last in state_dict]


def choose(names: Collection[str]) -> str:
    """Choose between names of state dicts: of a network and its average, such as `params` and `params_ema`, the latter.

    Args:
        names: At least one, with dots between their parts.

    Raises:
        AmbiguityError: They are of several networks.
    """
    averaged = [name for name in names if plain_name(name) != _without_wrapping(name)]
    chosen = averaged or list(names)
    if len({plain_name(name) for name in names}) > 1 or len(chosen) > 1:
        listed = ', '.join(name.rstrip('.') or '(without a name)' for name in names)[:200]
        raise AmbiguityError(f'several networks in it: {listed}; save the one that is meant in a file of its own')
    return chosen[0]


def plain_name(name: str) -> str:
    """The name without `module` and without the mark of an average, `_ema`, `-ema`, `ema_` or `ema-`."""
    parts = _without_wrapping(name).split('.')
    for mark in ('_ema', '-ema'):
        parts = [part.removesuffix(mark).removeprefix(mark[1:] + mark[0]) for part in parts]
    return '.'.join(parts)


def _without_wrapping(name: str) -> str:
    return '.'.join(part for part in name.split('.') if part not in WITHOUT_MEANING)


def network_part(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a model's state dict that is an ASID or Omni-SR, without the model's name for it.

    mmagic's models have theirs at 'generator.', and, where they average its weights, at 'generator_ema.', which is
    preferred. A state dict in which there is none is returned as it is.

    Raises:
        AmbiguityError: There are several, such as a teacher and a student.
    """
    prefix = choose(network_prefixes(state_dict) or [''])
    if not prefix:
        return dict(state_dict)
    return {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
