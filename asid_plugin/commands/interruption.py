"""The end of a command by Ctrl-C, SIGTERM or SIGHUP: one line, exit status 130, and nothing unfinished."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from asid_plugin import files

STATUS = 130
"""Exit status of an interrupted command, as in shells."""
LINE = 'interrupted; all written files are complete'


@contextmanager
def interruptible(terminable: bool = True, last: bool = False) -> Iterator[None]:
    """Let signals raise a `KeyboardInterrupt` within the block, but end the process at once while modules are imported.

    An exception would pass through the middle of other people's modules, which may catch it, or whose C parts it may
    leave half set up. Temporary folders are removed in both cases. Signals that the parent wants ignored stay so.

    Args:
        terminable: SIGTERM and SIGHUP are meant too, and not Ctrl-C alone.
        last: Only the end of the interpreter comes after the block, where an exception would be a traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()

    def act(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process and number != signal.SIGINT:  # a forked child, whose parent wants it to end
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif os.getpid() == process and _imports(frame):
            _end_at_once()
        else:
            raise KeyboardInterrupt

    usual: dict[str, Callable[[int, FrameType | None], Any] | signal.Handlers] = {'SIGINT': signal.default_int_handler}
    if terminable:
        usual |= {'SIGTERM': signal.SIG_DFL, 'SIGHUP': signal.SIG_DFL}
    numbers = {getattr(signal, name): handler for name, handler in usual.items() if hasattr(signal, name)}
    numbers = {number: handler for number, handler in numbers.items() if signal.getsignal(number) == handler}
    for number in numbers:
        signal.signal(number, act)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)  # clearing up is short
        files.remove_temporary()
        for number, handler in numbers.items():
            signal.signal(number, signal.SIG_DFL if last else handler)


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported."""
    while frame is not None:
        if frame.f_code.co_filename.startswith('<frozen importlib'):
            return True
        frame = frame.f_back
    return False


def _end_at_once() -> NoReturn:
    files.remove_temporary()
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f'{LINE}\n'.encode())
    os._exit(STATUS)
