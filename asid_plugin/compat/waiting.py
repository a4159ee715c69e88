"""Warn in the log if a training waits for its data.

BasicSR's log has the times of an iteration and of fetching its batch, but as means over up to 200 iterations, including
the slow first ones, and a GPU may compute while the next batch is fetched. Here each interval between two lines of the
log is measured separately, and for a GPU only its idle time.
"""

import functools
import logging
import os
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import torch

SHARE = 0.2
"""Share of the time spent waiting for data that causes a warning."""
SHORTEST = 5.0
"""Shortest measured interval in seconds; shorter intervals of the log are merged."""
AGAIN = 6 * 3600.0
"""Seconds until the warning is repeated."""


def waiting_for_data() -> None:
    """Warn if a training waits for data; BasicSR's log only has a number.

    Only models that record the end of a step, such as `ASIDModel`, support it.
    """
    from basicsr.data.prefetch_dataloader import CPUPrefetcher, CUDAPrefetcher
    from basicsr.utils.logger import MessageLogger

    for prefetcher in (CPUPrefetcher, CUDAPrefetcher):
        prefetcher.reset, prefetcher.next = _timed(prefetcher.reset), _timed(prefetcher.next)
    original_init, original_log = MessageLogger.__init__, MessageLogger.__call__

    @functools.wraps(original_init)
    def init(self: MessageLogger, opt: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        original_init(self, opt, *args, **kwargs)
        TIMES.begin(opt.get('datasets', {}).get('train', {}))

    @functools.wraps(original_log)
    def log(self: MessageLogger, log_vars: dict[str, Any]) -> None:
        iteration = log_vars['iter']
        original_log(self, log_vars)
        TIMES.tell(iteration, self.logger)

    MessageLogger.__init__, MessageLogger.__call__ = init, log


def _timed(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def timed(self: Any) -> Any:
        return TIMES.fetch(functools.partial(original, self))

    return timed


class Times:
    """The time that a training spends on fetching batches and on computing; validations and saves are excluded.

    Attributes:
        fetching: Seconds spent on fetching batches.
        working: Seconds from a batch to the end of its step.
        waits: Events on the GPU's stream before and after each fetch, which give its idle time.
    """

    def __init__(self) -> None:
        self.begin({})

    def begin(self, loading: Mapping[str, Any]) -> None:
        """Reset, for a training with this section `datasets: train`."""
        self.loading = loading
        self.first: int | None = None  # iteration of the interval; None while workers start and caches are cold
        self.warned: float | None = None
        self.came: float | None = None
        self.in_fetch = False
        self._clear()

    def _clear(self) -> None:
        self.fetching = self.working = 0.0
        self.waits: list[tuple[Any, Any]] = []

    def fetch(self, function: Callable[[], Any]) -> Any:
        """Call a function that fetches data or prepares for it."""
        if self.in_fetch:  # `next` calls `reset` if it was not called
            return function()
        on_gpu, begun = torch.cuda.is_initialized(), perf_counter()
        before = _mark() if on_gpu else None
        self.in_fetch = True
        try:
            return function()
        finally:
            self.in_fetch = False
            if on_gpu:
                self.waits.append((before, _mark()))
            self.came = perf_counter()
            self.fetching += self.came - begun

    def stepped(self) -> None:
        """Record the end of the step on the last batch."""
        if self.came is not None:
            self.working += perf_counter() - self.came
            self.came = None

    def waited(self) -> float:
        """Seconds in which the device only waited for data."""
        if not self.waits:
            return self.fetching
        return sum(before.elapsed_time(after) for before, after in self.waits if after.query()) / 1000

    def tell(self, iteration: int, logger: logging.Logger) -> None:
        """Warn if too much of the time since the last line was spent waiting; the first interval is ignored."""
        total = self.fetching + self.working
        if self.first is not None and (total < SHORTEST or not self.working):
            return
        now = perf_counter()
        if self.first is not None and (self.warned is None or now - self.warned > AGAIN):
            share = self.waited() / total
            if share > SHARE:
                self.warned = now
                when = f'iterations {self.first} to {iteration}'
                advice = '; '.join(remedies(self.loading))
                logger.warning(f'{when}: {share:.0%} of the time was spent waiting for data. Remedies: {advice}.')
        self.first = iteration + 1
        self._clear()


def remedies(loading: Mapping[str, Any]) -> list[str]:
    """Ways to load data faster that a section `datasets: train` does not use yet."""
    workers, processes = loading.get('num_worker_per_gpu', 0), int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    cores = (os.cpu_count() or 1) // processes
    found = []
    if loading.get('type') == 'PairedImageDataset':
        if loading.get('io_backend', {}).get('type') == 'lmdb':
            found.append('raw pixels instead of PNG files (asid prepare ... --raw once, then asid train ... --raw)')
        else:
            found.append('LMDBs of raw pixels (asid prepare), or for a small set type: CachedPairedImageDataset')
    if workers < cores:
        found.append(f'a larger num_worker_per_gpu ({workers} now, and {cores} cores for each process that trains)')
    if workers and not loading.get('persistent_workers'):
        found.append('persistent_workers: true')
    return found or ['a faster disk, or enough memory for all data']


def _mark() -> Any:
    mark = torch.cuda.Event(enable_timing=True)
    mark.record()
    return mark


TIMES = Times()
"""The times of the training in this process."""
