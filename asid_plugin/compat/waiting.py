"""A training that waits for its data says so in its log.

BasicSR's log has the time of an iteration and that of fetching its batch, but as means over up to 200 iterations, the
slow first among them, and on a GPU it may work on while the next batch is fetched. Here each interval between two lines
of the log is measured by itself, and on a GPU only the time in which it has nothing to do.
"""

import functools
import logging
import os
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import torch

SHARE = 0.2
"""Of its time that a training may wait for data before it says so."""
SHORTEST = 5.0
"""Seconds of training to judge by; shorter intervals of the log are put together."""
AGAIN = 6 * 3600.0
"""Seconds after which it is said again."""


def waiting_for_data() -> None:
    """Let a training say that it waits for data, which shows in BasicSR's log as a number among others.

    Without a model that notes the ends of its steps, as `ASIDModel` does, nothing is said.
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
    """How long a training fetches batches, and how long it works on them; validations and saves are neither.

    Attributes:
        fetching: Seconds in which batches were fetched.
        working: Seconds from a batch to the end of its step.
        waits: Marks of the GPU's stream before and after each fetch, which give the time that it was idle.
    """

    def __init__(self) -> None:
        self.begin({})

    def begin(self, loading: Mapping[str, Any]) -> None:
        """Begin anew, for a training with this section `datasets: train`."""
        self.loading = loading
        self.first: int | None = None  # iteration of the interval; none as long as workers start and caches are cold
        self.warned: float | None = None
        self.came: float | None = None
        self.in_fetch = False
        self._clear()

    def _clear(self) -> None:
        self.fetching = self.working = 0.0
        self.waits: list[tuple[Any, Any]] = []

    def fetch(self, function: Callable[[], Any]) -> Any:
        """Call a function that fetches data, or makes ready for it."""
        if self.in_fetch:  # `next` calls `reset` where nobody did
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
        """Note the end of the step on the batch that came last."""
        if self.came is not None:
            self.working += perf_counter() - self.came
            self.came = None

    def waited(self) -> float:
        """Seconds in which the device had nothing to do but to wait for data."""
        if not self.waits:
            return self.fetching
        return sum(before.elapsed_time(after) for before, after in self.waits if after.query()) / 1000

    def tell(self, iteration: int, logger: logging.Logger) -> None:
        """Say it if too much of the time since the last line was spent waiting; the first interval does not count."""
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
    return found or ['a faster disk, or memory that holds all of the data']


def _mark() -> Any:
    mark = torch.cuda.Event(enable_timing=True)
    mark.record()
    return mark


TIMES = Times()
"""Of the training that this process runs."""
