"""The libraries made to say nothing, and Pillow to open pictures and texts of any size, within a block."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import cv2
import PIL.Image
import PIL.PngImagePlugin

_PNG_TEXTS = 2**28
"""Bytes of a compressed text or profile of a PNG when unpacked; Pillow calls a file with more than 2**20 damaged."""
_LOCK = threading.Lock()
_USERS = 0
_RESTORE = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and logs of the libraries from users, who get an ImageError or a note instead.

    All of these settings are the process's, so the first thread that comes makes them and the last one that leaves
    takes them back.
    """
    global _USERS
    with _LOCK:
        if _USERS == 0:
            _settle(_RESTORE)
        _USERS += 1
    try:
        yield
    finally:
        with _LOCK:
            _USERS -= 1
            if _USERS == 0:
                _RESTORE.close()


def _settle(restore: ExitStack) -> None:
    restore.enter_context(warnings.catch_warnings())
    warnings.simplefilter('ignore')
    # The readers compare the size with MAX_PIXELS by themselves.
    _set(restore, PIL.Image, 'MAX_IMAGE_PIXELS', None)
    for limit in ('MAX_TEXT_CHUNK', 'MAX_TEXT_MEMORY'):
        _set(restore, PIL.PngImagePlugin, limit, _PNG_TEXTS)
    _set(restore, logging.getLogger('tifffile'), 'disabled', True)
    log = getattr(cv2.utils, 'logging', cv2)
    restore.callback(log.setLogLevel, log.getLogLevel())
    log.setLogLevel(0)


def _set(restore: ExitStack, owner: object, name: str, value: object) -> None:
    restore.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)
