"""Losses that are copied from the device to the CPU, and read an iteration later, so that no step waits for a GPU."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SentLosses:
    """The losses of an iteration; `read` waits for them.

    Attributes:
        iteration: The iteration of the losses.
        names: Names of the losses.
        values: (len(names),) on the CPU; a GPU may not have written them yet.
        written: Event after the GPU has written them; None for a CPU.
    """

    iteration: int
    names: tuple[str, ...]
    values: Tensor
    written: torch.cuda.Event | None

    @classmethod
    def send(cls, iteration: int, losses: Mapping[str, Tensor], reduced: bool = False) -> 'SentLosses':
        """Let the device send losses, one number each, as soon as they are computed.

        Args:
            iteration: The iteration of the losses.
            losses: Losses by name.
            reduced: Let rank 0 send the means over the ranks, like BasicSR's `reduce_loss_dict`.
        """
        values = torch.stack([loss.detach().reshape(()) for loss in losses.values()])
        if reduced:
            torch.distributed.reduce(values, dst=0)
            values /= torch.distributed.get_world_size()
        written = torch.cuda.Event() if values.is_cuda else None
        values = values.to('cpu', non_blocking=True)  # from a GPU into pinned memory
        if written is not None:
            written.record()
        return cls(iteration, tuple(losses), values, written)

    def read(self) -> dict[str, float]:
        """The losses by name."""
        if self.written is not None:
            self.written.synchronize()
        return dict(zip(self.names, self.values.tolist(), strict=True))


def nan_unless_finite(loss: Tensor) -> Tensor:
    """The same loss, but if it is not finite, all gradients become nan, which a GradScaler detects.

    If only the last layer overflows, the gradients of an L1 loss are finite, and the step would not be skipped.
    """
    return loss * torch.where(loss.isfinite(), 1.0, torch.nan)
