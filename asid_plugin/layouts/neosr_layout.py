"""Translate the state dict of neosr's ASID: the authors' names and shapes, which do not determine all arguments.

Its input range is always [0, 1]. It has position biases only with its option `pe`. With its option `flash_attn`, the
default, channel attention uses the scale of scaled dot-product attention instead of the temperature, and is computed
without gradients, so that its norms and temperatures keep their initial values.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from .author_layout import from_author_layout
from .state_dict import is_neosr, markers

BEFORE_TRAINING = (
    (re.compile(r'\.BlockC\.(cttn\d\.temperature|canorm\d\.weight)$'), 1),
    (re.compile(r'\.BlockC\.canorm\d\.bias$'), 0),
)
"""Parameters of channel attention, with their initial value."""


def is_untrained(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether channel attention has its initial values: with `flash_attn` it gets no gradients."""
    return all(
        value.eq(first).all()
        for key, value in state_dict.items()
        for pattern, first in BEFORE_TRAINING
        if pattern.search(key)
    )


def from_neosr_layout(state_dict: Mapping[str, Tensor], flash: bool, window_size: int = 8) -> dict[str, Tensor]:
    """Translate a state dict of neosr's `asid` or `asid_d8` to ours, and add arguments that the weights do not show.

    Args:
        state_dict: Flat.
        flash: Its `flash_attn`; the temperatures, which are unused then, are dropped.
        window_size: P, read only without position biases; their number gives P.

    Raises:
        ValueError: A tensor has an impossible shape; the message names it.
    """
    weights = from_author_layout(state_dict)
    if flash:
        weights = {key: value for key, value in weights.items() if not key.endswith('.temperature')}
    return weights | markers('unit', not is_neosr(state_dict), window_size)
