"""Find one of our networks in the state dict of a model, or in a checkpoint with wrappers."""

from collections.abc import Collection, Mapping
from typing import Any

from asid_plugin.errors import ASIDError

ENDS = (('conv_first.weight', 'conv_up.weight'), ('input.weight', 'up.0.weight'))
"""A parameter of the first and of the last layer of our networks, in our layouts and the released ones."""
WITHOUT_MEANING = ('module', '_orig_mod')
"""Parts of names that come from DistributedDataParallel, averaging and compiling."""


class AmbiguityError(ASIDError):
    """Several networks instead of one; the message lists them."""


def network_prefixes(state_dict: Mapping[str, Any]) -> list[str]:
    """The prefixes of our networks in a state dict, with the last dot; '' for the state dict itself."""
    keys = [key for key in state_dict if isinstance(key, str)]  # spandrel passes the content of any file
    stems = [(key.removesuffix(first), last) for first, last in ENDS for key in keys if key.endswith(first)]
    return [stem for stem, last in stems if stem[-1:] in ('', '.') and stem + last in state_dict]


def choose(names: Collection[str]) -> str:
    """Choose between names of state dicts; of a network and its average (`params` and `params_ema`), the average.

    Args:
        names: At least one, with dots between their parts.

    Raises:
        AmbiguityError: They belong to several networks.
    """
    averaged = [name for name in names if plain_name(name) != _without_wrapping(name)]
    chosen = averaged or list(names)
    if len({plain_name(name) for name in names}) > 1 or len(chosen) > 1:
        listed = ', '.join(name.rstrip('.') or '(without a name)' for name in names)[:200]
        raise AmbiguityError(f'several networks in it: {listed}; save one of them to a separate file')
    return chosen[0]


def plain_name(name: str) -> str:
    """The name without `module` and without the marker of an average, `_ema`, `-ema`, `ema_` or `ema-`."""
    parts = _without_wrapping(name).split('.')
    for mark in ('_ema', '-ema'):
        parts = [part.removesuffix(mark).removeprefix(mark[1:] + mark[0]) for part in parts]
    return '.'.join(parts)


def _without_wrapping(name: str) -> str:
    return '.'.join(part for part in name.split('.') if part not in WITHOUT_MEANING)


def network_part(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a model's state dict that is an ASID or Omni-SR, without its prefix.

    mmagic's models have it at 'generator.' and, with averaging, at 'generator_ema.', which is preferred. A state dict
    without such a part is returned unchanged.

    Raises:
        AmbiguityError: There are several, for example a teacher and a student.
    """
    prefix = choose(network_prefixes(state_dict) or [''])
    if not prefix:
        return dict(state_dict)
    return {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
