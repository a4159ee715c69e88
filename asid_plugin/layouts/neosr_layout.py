"""The state dict of neosr's ASID: the authors' names and shapes, from which not all arguments follow.

That network sees images in [0, 1], always. It has position biases only where its option `pe` asks for them. By its
option `flash_attn`, a default, channel attention takes the scale of scaled dot-product attention for the temperature,
and is computed without gradients, so that its norms and temperatures stay as they were at first.
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
"""Parameters of channel attention, and the number that fills them at first."""


def is_untrained(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether channel attention is as at first: its temperatures and norms get no gradient with `flash_attn`."""
    return all(
        value.eq(first).all()
        for key, value in state_dict.items()
        for pattern, first in BEFORE_TRAINING
        if pattern.search(key)
    )


def from_neosr_layout(state_dict: Mapping[str, Tensor], flash: bool, window_size: int = 8) -> dict[str, Tensor]:
    """Translate a state dict of neosr's `asid` or `asid_d8` to ours, with entries for arguments that no weight shows.

    Args:
        state_dict: Flat.
        flash: Its `flash_attn`; the temperatures, which are not used then, are left out.
        window_size: P, read only where there are no position biases; their number gives P.

    Raises:
        ValueError: A tensor has a shape that no such network has; the message names it.
    """
    weights = from_author_layout(state_dict)
    if flash:
        weights = {key: value for key, value in weights.items() if not key.endswith('.temperature')}
    return weights | markers('unit', not is_neosr(state_dict), window_size)
