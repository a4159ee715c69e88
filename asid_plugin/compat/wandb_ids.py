"""A correction of BasicSR's start of Weights & Biases."""

import functools
from typing import Any

from .patching import rebind


def wandb_without_ids() -> None:
    """Provide wandb's `util.generate_id`, which BasicSR calls, if it is missing (in 0.31); wandb has it elsewhere."""
    from basicsr.utils import logger

    original = logger.init_wandb_logger

    @functools.wraps(original)
    def init_wandb_logger(opt: dict[str, Any]) -> None:
        import wandb

        if not hasattr(wandb.util, 'generate_id'):
            from wandb.sdk.lib.runid import generate_id

            wandb.util.generate_id = generate_id
        original(opt)

    rebind(original, init_wandb_logger)
