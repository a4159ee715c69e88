"""End a training with numbers that are not finite, in BasicSR and MMEngine."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from asid_plugin.errors import ASIDError

from .sent_losses import SentLosses

MOST_OVERFLOWS = 16
"""Permitted overflows in a row: each halves the scale of the gradient scaler, from 65,536 down to 1."""


class DivergedError(ASIDError, FloatingPointError):
    """A training with numbers that are not finite; the message is one line."""


@dataclass
class LossWatch:
    """Checks the losses of each iteration at the end of the next one, or earlier on request.

    If a loss overflows in half precision, the gradient scaler skips the step. The training continues while the weights
    are finite, for fewer than `MOST_OVERFLOWS` iterations in a row.

    Attributes:
        weights: Returns the weights of the network by name.
        scales: Whether there is a gradient scaler, and it is enabled.
        kept: The files that a diverging training does not change, in words.
        warn: Called with a line for the log.
        sent: Losses that are not read yet.
        overflows: Iterations in a row, up to the last one read, with losses that were not finite.
    """

    weights: Callable[[], Mapping[str, Any]]
    scales: bool
    kept: str
    warn: Callable[[str], None]
    sent: SentLosses | None = None
    overflows: int = 0

    def look(self) -> dict[str, float] | None:
        """Return the sent losses by name, and check them; None if they have been read.

        Raises:
            DivergedError: A loss is nan or infinite, and this is not a permitted overflow.
        """
        if self.sent is None:
            return None
        sent, self.sent = self.sent, None
        losses = sent.read()
        wrong = [f'{name} is {value}' for name, value in losses.items() if not math.isfinite(value)]
        self.overflows = self.overflows + 1 if wrong else 0
        if wrong:
            self._check_overflow(f'iteration {sent.iteration}', wrong[0])
        return losses

    def _check_overflow(self, when: str, wrong: str) -> None:
        if self.scales:
            self.check_weights(when, self.weights())
            if self.overflows < MOST_OVERFLOWS:
                self.warn(f'{when}: {wrong} in half precision; the step was skipped')
                return
        often = f' after {self.overflows - 1} such iterations' if self.overflows > 1 else ''
        raise DivergedError(f'{when}: {wrong}{often}; {self._end}')

    def check_weights(self, when: str, weights: Mapping[str, Any]) -> None:
        """Check weights, by name, with one wait for the GPU.

        Raises:
            DivergedError: Some are nan or infinite.
        """
        if name := not_finite(weights):
            raise DivergedError(f'{when}: weights {name} are not finite; {self._end}')

    @property
    def _end(self) -> str:
        return f'training stops; {self.kept} are unchanged'


def not_finite(weights: Mapping[str, Any]) -> str | None:
    """The first name of weights that are nan or infinite; entries that are not tensors are ignored."""
    tensors = {name: value for name, value in weights.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        return None
    device = next(iter(tensors.values())).device
    finite = torch.stack([value.isfinite().all().to(device, non_blocking=True) for value in tensors.values()]).tolist()
    return next((name for name, is_finite in zip(tensors, finite, strict=True) if not is_finite), None)
