"""Silence the libraries within a block, and let Pillow open pictures and texts of any size."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import cv2
import PIL.Image
import PIL.PngImagePlugin

_PNG_TEXTS = 2**28
"""Most unpacked bytes of a compressed text or profile of a PNG; Pillow refuses files with more than 2**20."""
_LOCK = threading.Lock()
_USERS = 0
_RESTORE = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings and logs of the libraries; users get an ImageError or a note instead.

    These settings apply to the whole process, so the first thread sets them and the last one restores them.
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
    # The readers check MAX_PIXELS.
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
