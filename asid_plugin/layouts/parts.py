"""Where in the state dict of a whole model one of our networks is."""

from collections.abc import Mapping
from typing import Any

ENDS = (('conv_first.weight', 'conv_up.weight'), ('input.weight', 'up.0.weight'))
"""A parameter of the first and of the last layer of our networks, in our layouts and in the released ones."""


def network_part(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a model's state dict that is an ASID or Omni-SR, without the model's name for it.

    mmagic's models have theirs at 'generator.', and, where they average its weights, at 'generator_ema.', which is
    preferred. A state dict in which there is none is returned as it is.
    """
    stems = [(key.removesuffix(first), last) for first, last in ENDS for key in state_dict if key.endswith(first)]
    prefixes = [stem for stem, last in stems if stem[-1:] in ('', '.') and stem + last in state_dict]
    prefix = min(prefixes, key=lambda p: ('ema' not in p, len(p)), default='')
    return {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
