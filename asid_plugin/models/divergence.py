"""The end of a training whose numbers are no longer finite, in BasicSR and in MMEngine."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from asid_plugin.errors import ASIDError

from .sent_losses import SentLosses

MOST_OVERFLOWS = 16
"""Iterations in a row that may overflow: each halves the gradient scaler's scale, which falls from 65,536 to 1."""


class DivergedError(ASIDError, FloatingPointError):
    """A training whose numbers are no longer finite; the message is one line."""


@dataclass
class LossWatch:
    """Checks the losses of each iteration when the next one is done, or sooner if somebody asks.

    Where a loss overflows in half precision, the gradient scaler skips the step, and the training continues as long as
    the weights are finite, for fewer than `MOST_OVERFLOWS` iterations in a row.

    Attributes:
        weights: Returns those of the network by name.
        scales: Whether there is a gradient scaler, and it is enabled.
        kept: The files that a training which diverges leaves as they were, in words.
        warn: Called with a line for the log.
        sent: Losses that nobody has looked at.
        overflows: Iterations in a row, up to the last one looked at, whose losses were not finite.
    """

    weights: Callable[[], Mapping[str, Any]]
    scales: bool
    kept: str
    warn: Callable[[str], None]
    sent: SentLosses | None = None
    overflows: int = 0

    def look(self) -> dict[str, float] | None:
        """Return the losses that were sent, by name, and check them; None if they have been looked at.

        Raises:
            DivergedError: A loss is nan or infinite, and that was no overflow which may be passed over.
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
        return f'training stops, and {self.kept} are as they were'


def not_finite(weights: Mapping[str, Any]) -> str | None:
    """The first name of weights that are nan or infinite; entries that are no tensors do not count."""
    tensors = {name: value for name, value in weights.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        return None
    device = next(iter(tensors.values())).device
    finite = torch.stack([value.isfinite().all().to(device, non_blocking=True) for value in tensors.values()]).tolist()
    return next((name for name, is_finite in zip(tensors, finite, strict=True) if not is_finite), None)
