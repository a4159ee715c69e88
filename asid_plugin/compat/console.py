"""Shorten the log on the screen: the full options and network go to the log file only."""

import functools
import logging
from typing import Any

from .patching import rebind

DUMPS = ('train_pipeline', 'test_pipeline', 'print_network')
"""Functions of BasicSR that log the environment, all options, and the network layer by layer."""


def console_without_dumps() -> None:
    """Keep hundreds of lines off the screen before the first iteration; all versions of BasicSR show them.

    It applies to this run; the option check enables it.
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
