"""Show the progress of long work: a bar on a terminal, else a line every few seconds."""

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
"""Seconds of work before the first estimate."""


class Progress:
    """Progress of work with several units, such as images and their tiles.

    Use it as a context. On a terminal it is a bar; elsewhere a line on stderr every `EVERY` seconds with the work done
    and the remaining time. In both cases a line gives the first estimate.

    Args:
        totals: Number of each unit; the bar shows the last one.
        work: Amount of all work, in any measure proportional to time.
        quiet: Show nothing.
        label: Prefix of lines.
        stream: The output; None for stderr.
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
        self._first: tuple[float, float] | None = None  # time and amount of the first work, which takes longer
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
        """Count `number` of a unit as done, with this amount of work."""
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
        """Reduce the totals by work that is skipped."""
        self.totals[unit] -= number
        self.work -= work
        if self._bar is not None and unit == self._bar.unit:
            self._bar.total = self.totals[unit]

    def write(self, line: str, stream: TextIO | None = None) -> None:
        """Print a line at once, above the bar if any; on stdout by default."""
        say(line, stream or sys.stdout)

    def seconds_left(self, now: float | None = None) -> float | None:
        """The remaining seconds at the speed so far; None while that is unknown."""
        if self._first is None or self.worked <= self._first[1]:
            return None
        since, before = self._first
        return (self.work - self.worked) * ((now or time.monotonic()) - since) / (self.worked - before)

    def _estimate(self, now: float) -> None:
        """Print the first estimate of the remaining time, once enough is measured."""
        left = self.seconds_left(now)
        if self._quiet or self._estimated or left is None or self._first is None or now - self._first[0] < MEASURED:
            return
        self._estimated = True
        if left > 2 * EVERY:
            unit = list(self.totals)[-1]
            self.write(
                f'{self._label}{duration(left)} left, estimated from the first {counted(self.done[unit], unit)}',
                self._stream,
            )

    def _say_regularly(self) -> None:
        while not self._stop.wait(EVERY):
            left = self.seconds_left()
            rest = '' if left is None else f'; {duration(left)} left'
            self.write(f'{self._label}{self._counts(list(self.totals))}{rest}', self._stream)

    def _counts(self, units: list[str]) -> str:
        return ', '.join(f'{self.done[unit]:,} of {counted(self.totals[unit], unit)}' for unit in units)


def say(line: str, stream: TextIO) -> None:
    """Print a line at once, above the bar if any."""
    tqdm.write(printable(line), file=stream)
    stream.flush()


def counted(number: int, unit: str) -> str:
    """A number of things, such as '1 image' or '12,000 tiles'."""
    return f'{number:,} {unit}{"s" * (number != 1)}'


def duration(seconds: float) -> str:
    """A duration in words, such as 'about 25 minutes'."""
    if seconds < 90:
        number = round(seconds) if seconds < 10 else 5 * round(seconds / 5)
        return f'about {counted(max(1, number), "second")}'
    minutes = seconds / 60
    if minutes < 90:
        return f'about {counted(round(minutes), "minute")}'
    hours = minutes / 60
    return f'about {hours:.1f} hours' if hours < 48 else f'about {hours / 24:.1f} days'
