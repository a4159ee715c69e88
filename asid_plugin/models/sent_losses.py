"""Losses on their way from the device to the CPU, looked at an iteration later, so that no step waits for a GPU."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SentLosses:
    """The losses of an iteration; `read` waits until they are there.

    Attributes:
        iteration: Whose losses they are.
        names: Of the losses.
        values: (len(names),) on the CPU, which a GPU may still have to write.
        written: After which it has done so; None of a CPU.
    """

    iteration: int
    names: tuple[str, ...]
    values: Tensor
    written: torch.cuda.Event | None

    @classmethod
    def send(cls, iteration: int, losses: Mapping[str, Tensor], reduced: bool = False) -> 'SentLosses':
        """Let the device send losses, of one number each, as soon as it has computed them.

        Args:
            iteration: Whose losses they are.
            losses: By name.
            reduced: Let rank 0 send the means over the ranks, as BasicSR's `reduce_loss_dict` does.
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
    """The same loss; with one that is not finite, all gradients become nan, by which a GradScaler knows it.

    Where the last layer alone overflows, the gradients of an L1 loss are finite, and the step would be taken.
    """
    return loss * torch.where(loss.isfinite(), 1.0, torch.nan)
