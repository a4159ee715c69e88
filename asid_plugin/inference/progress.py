"""How far long work is: a bar on a terminal, and a line every few seconds where the output goes elsewhere."""

import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import NoReturn, TextIO

from tqdm import tqdm

from asid_plugin.printable import printable

EVERY = 10.0
"""Seconds between two lines."""
MEASURED = 3.0
"""Seconds of work after which the whole is estimated."""


class Progress:
    """Progress of a work of several units, such as images and their tiles.

    Use it as a context. On a terminal it is a bar; elsewhere a line on stderr every `EVERY` seconds says how much is
    done and how long the rest takes. In both cases a line says how long it takes in all, once some of it is done.

    Args:
        totals: How many there are of each unit; the bar is of the last one.
        work: How much work all is, in any measure; time goes by it.
        quiet: Show nothing.
        label: Lines begin with it.
        stream: Where to; None for stderr.
    """

    def __init__(
        self,
        totals: Mapping[str, int],
        work: float,
        quiet: bool = False,
        label: str = '',
        stream: TextIO | None = None,
    ) -> None:
        self.totals, self.done = dict(totals), dict.fromkeys(totals, 0)
        self.work, self.worked = work, 0.0
        self._quiet, self._stream = quiet, stream or sys.stderr
        self._label = label
        self._first: tuple[float, float] | None = None  # when the first work was done, which takes longer, and how much
        self._estimated = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._say_regularly, daemon=True)
        self._bar: tqdm[NoReturn] | None = None

    def __enter__(self) -> 'Progress':
        unit = list(self.totals)[-1]
        if self._quiet:
            pass
        elif self._stream.isatty():
            self._bar = tqdm(
                total=self.totals[unit],
                unit=unit,
                desc=self._label.rstrip(' :') or None,
                file=self._stream,
                leave=False,
                delay=1,
                dynamic_ncols=True,
            )
        else:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._bar is not None:
            self._bar.close()

    def add(self, unit: str, number: int = 1, work: float = 0) -> None:
        """Count as done `number` of a unit, which were so much work."""
        self.done[unit] += number
        self.worked += work
        now = time.monotonic()
        if work and self._first is None:
            self._first = now, self.worked
        if self._bar is not None:
            self._bar.set_postfix_str(self._counts(list(self.totals)[:-1]), refresh=False)
            self._bar.update(number if unit == self._bar.unit else 0)
        self._estimate(now)

    def drop(self, unit: str, number: int, work: float) -> None:
        """Take back from the totals a number that is not to be done after all."""
        self.totals[unit] -= number
        self.work -= work
        if self._bar is not None and unit == self._bar.unit:
            self._bar.total = self.totals[unit]

    def write(self, line: str, stream: TextIO | None = None) -> None:
        """Print a line at once, above the bar if there is one; on stdout unless another stream is given."""
        say(line, stream or sys.stdout)

    def seconds_left(self, now: float | None = None) -> float | None:
        """How long the rest takes at the speed so far; None as long as that is not known."""
        if self._first is None or self.worked <= self._first[1]:
            return None
        since, before = self._first
        return (self.work - self.worked) * ((now or time.monotonic()) - since) / (self.worked - before)

    def _estimate(self, now: float) -> None:
        """Say once, when enough is measured, how long the whole takes."""
        left = self.seconds_left(now)
        if self._quiet or self._estimated or left is None or self._first is None or now - self._first[0] < MEASURED:
            return
        self._estimated = True
        if left > 2 * EVERY:
            unit = list(self.totals)[-1]
            self.write(
                f'{self._label}{duration(left)}, as the first {counted(self.done[unit], unit)} went', self._stream
            )

    def _say_regularly(self) -> None:
        while not self._stop.wait(EVERY):
            left = self.seconds_left()
            rest = '' if left is None else f'; {duration(left)} left'
            self.write(f'{self._label}{self._counts(list(self.totals))}{rest}', self._stream)

    def _counts(self, units: list[str]) -> str:
        return ', '.join(f'{self.done[unit]:,} of {counted(self.totals[unit], unit)}' for unit in units)


def say(line: str, stream: TextIO) -> None:
    """Print a line at once, above the bar if there is one."""
    tqdm.write(printable(line), file=stream)
    stream.flush()


def counted(number: int, unit: str) -> str:
    """A number of things, such as '1 image' or '12,000 tiles'."""
    return f'{number:,} {unit}{"s" * (number != 1)}'


def duration(seconds: float) -> str:
    """A length of time as people say it, such as 'about 25 minutes'."""
    if seconds < 90:
        number = round(seconds) if seconds < 10 else 5 * round(seconds / 5)
        return f'about {counted(max(1, number), "second")}'
    minutes = seconds / 60
    if minutes < 90:
        return f'about {counted(round(minutes), "minute")}'
    hours = minutes / 60
    return f'about {hours:.1f} hours' if hours < 48 else f'about {hours / 24:.1f} days'
