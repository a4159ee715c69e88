"""The optimizers that an option file may name."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch

from asid_plugin.errors import ASIDError
from asid_plugin.extras import how_to_install


class OptimizerError(ASIDError):
    """The package of an optimizer is not installed; the message is one line."""


def soap(
    params: Iterable[Any],
    lr: float,
    betas: tuple[float, float] = (0.95, 0.95),
    weight_decay: float = 0.0,
    eps: float = 1e-8,
    precondition_frequency: int = 10,
) -> torch.optim.Optimizer:
    """Build SOAP: Adam in the eigenbases of Shampoo's preconditioners (Vyas et al., 2024).

    An iteration takes more time than with AdamW, and training needs fewer of them.

    Args:
        params: Weights or groups of weights.
        lr: Learning rate.
        betas: Decay rates of the first and second moments.
        weight_decay: Decoupled, as in AdamW.
        eps: Added to denominators.
        precondition_frequency: Iterations between two updates of the eigenbases.

    Raises:
        OptimizerError: pytorch_optimizer is not installed.
    """
    try:
        from pytorch_optimizer import SOAP
    except ImportError:
        raise OptimizerError(f'pytorch_optimizer is not installed: {how_to_install("optimizers")}') from None
    built: torch.optim.Optimizer = SOAP(
        params,
        lr=lr,
        betas=(betas[0], betas[1]),
        weight_decay=weight_decay,
        eps=eps,
        precondition_frequency=precondition_frequency,
    )
    return built


_UNFIT = ('Optimizer', 'LBFGS', 'SparseAdam')  # the base class, and two that need another loop or other gradients
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    name: kind for name, kind in vars(torch.optim).items() if inspect.isclass(kind) and name not in _UNFIT
} | {'SOAP': soap}
"""By the name in `train: optim_g: type`: the classes of `torch.optim`, and SOAP."""
