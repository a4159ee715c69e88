"""One trial of a campaign: a function called in a process of its own, with limits, and looked at from outside."""

import contextlib
import io
import os
import pickle
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from asid_plugin.errors import ASIDError

SECONDS = 5.0
"""A refusal that takes longer breaks a promise."""
MEBIBYTES = 1024.0
"""So does one that takes more memory than this."""
_KILLED_AFTER = 60
"""Seconds of processor time."""
_GIVEN_UP_AFTER = 600.0
"""Seconds on the clock, for one that waits."""
_ADDRESS_SPACE = 6 * 2**30
"""Bytes that a trial may map beyond those at its start, so that one that takes all memory does not take the machine."""


@dataclass(frozen=True)
class Outcome:
    """The end of a trial.

    Attributes:
        end: 'done', 'left alone' (nothing of ours), 'refused' (an `ASIDError`, or an exit status with lines that are
            no traceback), 'traceback', 'signal' or 'hung'.
        text: The message of a refusal, or the traceback.
        seconds: Of processor time, so that other programs on the machine make no trial slower.
        mebibytes: Memory at its peak beyond that at its start.
        value: The function's result, if that can be pickled.
    """

    end: str
    text: str = ''
    seconds: float = 0.0
    mebibytes: float = 0.0
    value: object = None

    @property
    def fault(self) -> str:
        """The promise that was broken: no traceback, no crash, no hang, `SECONDS`, `MEBIBYTES`; '' if none was."""
        if self.end not in ('done', 'refused', 'left alone'):
            return f'{self.end}: {self.text[-600:]}'
        if self.end == 'refused' and self.seconds > SECONDS:
            return f'{self.seconds:.1f} s'
        return f'{self.mebibytes:.0f} MiB' if self.mebibytes > MEBIBYTES else ''


def attempt(function: Callable[[], object], folder: Path) -> Outcome:
    """Call a function in a forked process, which costs no imports.

    The caller must have computed by one thread only (`torch.set_num_threads(1)` before anything else): threads do not
    survive a fork.

    Args:
        function: To be called in `folder`. An exit status that it returns, as `asid`'s `main` does, or raises is
            looked at.
        folder: The current folder of the process; its stderr goes to the file `stderr` beside it.
    """
    assert torch.get_num_threads() == 1
    stderr = folder.parent / f'{folder.name}.stderr'
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _child(function, folder, stderr, writing)
    os.close(writing)
    content = _read(reading, child)
    _, status, used = os.wait4(child, 0)
    seconds = used.ru_utime + used.ru_stime
    if content is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return Outcome('hung', f'killed after {seconds:.0f} s of processor time', seconds)
    if os.WIFSIGNALED(status) or not content:
        name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f'exit status {status >> 8}'
        return Outcome('signal', name, seconds)
    outcome: Outcome = pickle.loads(content)
    return replace(outcome, seconds=seconds)


def _read(pipe: int, child: int) -> bytes | None:
    """The bytes that a child process writes to a pipe until it ends; None if it had to be killed."""
    previous = signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, _GIVEN_UP_AFTER)
    begun = time.monotonic()
    try:
        with os.fdopen(pipe, 'rb') as file:
            content = file.read()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    # one that ended while this process was stopped is no hang
    return content if content or time.monotonic() - begun < _GIVEN_UP_AFTER else None


def _child(function: Callable[[], object], folder: Path, stderr: Path, pipe: int) -> None:
    os.chdir(folder)
    errors = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(errors, 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    sys.stdout, sys.stderr = io.StringIO(), open(errors, 'w', closefd=False)  # noqa: SIM115
    in_use = int(Path('/proc/self/statm').read_text().split()[0]) * os.sysconf('SC_PAGE_SIZE')
    resource.setrlimit(resource.RLIMIT_CPU, (_KILLED_AFTER, _KILLED_AFTER + 1))
    resource.setrlimit(resource.RLIMIT_AS, (in_use + _ADDRESS_SPACE,) * 2)
    Path('/proc/self/clear_refs').write_text('5')  # the peak counts from here
    before = _peak()
    outcome = _call(function)
    sys.stderr.flush()
    if outcome.end == 'refused' and (text := stderr.read_text(errors='replace')):
        outcome = replace(outcome, text=text, end='traceback' if 'Traceback (most recent' in text else 'refused')
    outcome = replace(outcome, mebibytes=_peak() - before)
    with open(pipe, 'wb') as file, contextlib.suppress(BrokenPipeError):
        try:
            file.write(pickle.dumps(outcome))
        except (pickle.PicklingError, AttributeError, TypeError):
            file.write(pickle.dumps(replace(outcome, value=None)))
    os._exit(0)


def _call(function: Callable[[], object]) -> Outcome:
    try:
        value = function()
    except ASIDError as error:
        return Outcome('refused', str(error))
    except SystemExit as end:
        value = end.code
    except BaseException:
        return Outcome('traceback', traceback.format_exc())
    failed = isinstance(value, str) or (type(value) is int and value)
    return Outcome('refused', str(value)) if failed else Outcome('done', value=value)


def _peak() -> float:
    """The largest resident set so far, MiB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith('VmHWM'))
