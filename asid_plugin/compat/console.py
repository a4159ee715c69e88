"""The log of a run on the screen: the options and the network in full go to its file alone."""

import functools
import logging
from typing import Any

from .patching import rebind

DUMPS = ('train_pipeline', 'test_pipeline', 'print_network')
"""Functions of BasicSR that log the environment, all options, and the network layer by layer."""


def console_without_dumps() -> None:
    """Keep hundreds of lines off the screen before the first iteration, where all of BasicSR's versions show them.

    It holds for this run; the option check asks for it.
    """
    from basicsr.utils import logger

    original = logger.get_root_logger
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def get_root_logger(*args: Any, **kwargs: Any) -> logging.Logger:
        root: logging.Logger = original(*args, **kwargs)
        for handler in root.handlers:
            if not isinstance(handler, logging.FileHandler) and is_short not in handler.filters:
                handler.addFilter(is_short)
        return root

    rebind(original, get_root_logger)


def is_short(record: logging.LogRecord) -> bool:
    """Whether a record belongs on the screen."""
    return record.funcName not in DUMPS or '\n' not in record.getMessage()
