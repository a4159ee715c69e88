"""A training that waits for its data says so in its log."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
import yaml
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.data.prefetch_dataloader import CPUPrefetcher, CUDAPrefetcher
from basicsr.utils.logger import MessageLogger

from asid_plugin.compat import waiting
from asid_plugin.compat.waiting import AGAIN, TIMES, remedies
from helpers import command

RAW_LMDBS = 'raw pixels instead of PNG files (asid prepare ... --raw once, then asid train ... --raw)'


@dataclass
class Warnings(logging.Handler):
    """The warnings of a training's log."""

    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    __hash__ = logging.Handler.__hash__


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    logger, handler = logging.getLogger('basicsr'), Warnings()
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time that is told, in its only entry."""
    now = [1000.0]
    monkeypatch.setattr(waiting, 'perf_counter', lambda: now[0])
    yield now
    TIMES.begin({})


class Loader:
    """Batches that each take some seconds."""

    def __init__(self, clock: list[float], seconds: float) -> None:
        self.clock, self.seconds = clock, seconds

    def __iter__(self) -> Iterator[dict]:
        for _ in range(10):
            self.clock[0] += self.seconds
            yield {}


def train(
    clock: list[float], fetch: float, step: float, iterations: int = 40, between: float = 0, print_freq: int = 5
) -> None:
    """BasicSR's loop, in epochs of ten iterations, with so many seconds for each batch and step, and between these."""
    loading = {'type': 'RawPairedImageDataset', 'num_worker_per_gpu': 10**6, 'persistent_workers': True}
    opt = {'name': 'x', 'logger': {'print_freq': print_freq, 'use_tb_logger': False}, 'train': {'total_iter': 100}}
    logger = MessageLogger(opt | {'datasets': {'train': loading}})
    prefetcher = CPUPrefetcher(Loader(clock, fetch))
    for i in range(1, iterations + 1):
        if i % 10 == 1:
            prefetcher.reset()
        prefetcher.next()
        clock[0] += step
        TIMES.stepped()
        if i % print_freq == 0:
            logger({'epoch': 0, 'iter': i, 'lrs': [1e-3], 'time': 1.0, 'data_time': 0.0})
        clock[0] += between


def line(first: int, last: int, share: int, advice: str = 'a faster disk, or enough memory for all data') -> str:
    return f'iterations {first} to {last}: {share}% of the time was spent waiting for data. Remedies: {advice}.'


@pytest.mark.parametrize(('fetch', 'step', 'share'), [(1, 3, 25), (3, 1, 75), (1, 4.5, None), (0, 5, None)])
def test_a_fifth_of_the_time_is_too_much(
    clock: list[float], warnings: list[str], fetch: float, step: float, share: int | None
) -> None:
    train(clock, fetch, step)
    assert warnings == ([line(6, 10, share)] if share else [])


def test_validations_and_saves_are_neither(clock: list[float], warnings: list[str]) -> None:
    train(clock, 1, 3, between=100)
    assert warnings == [line(6, 10, 25)]


def test_it_is_said_again_when_hours_have_passed(clock: list[float], warnings: list[str]) -> None:
    train(clock, 1, 3, between=AGAIN / 22)
    assert warnings == [line(6, 10, 25), line(31, 35, 25)]


def test_short_intervals_are_put_together(clock: list[float], warnings: list[str]) -> None:
    train(clock, 0.25, 0.75, print_freq=1, iterations=9)
    assert warnings == [line(2, 6, 25)]


@pytest.mark.parametrize(
    ('loading', 'found'),
    [
        (
            {'type': 'PairedImageDataset', 'io_backend': {'type': 'lmdb'}, 'num_worker_per_gpu': 6},
            [
                RAW_LMDBS,
                'a larger num_worker_per_gpu (6 now, and 8 cores for each process that trains)',
                'persistent_workers: true',
            ],
        ),
        (
            {'type': 'RawPairedImageDataset', 'num_worker_per_gpu': 8, 'persistent_workers': True},
            ['a faster disk, or enough memory for all data'],
        ),
        (
            {'type': 'PairedImageDataset', 'io_backend': {'type': 'disk'}, 'num_worker_per_gpu': 0},
            [
                'LMDBs of raw pixels (asid prepare), or for a small set type: CachedPairedImageDataset',
                'a larger num_worker_per_gpu (0 now, and 8 cores for each process that trains)',
            ],
        ),
    ],
)
def test_remedies(monkeypatch: pytest.MonkeyPatch, loading: dict, found: list[str]) -> None:
    monkeypatch.setattr(waiting.os, 'cpu_count', lambda: 16)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '2')
    assert remedies(loading) == found


@dataclass
class Mark:
    """A mark in the stream of a GPU, reached at some time."""

    reached: float | None

    def query(self) -> bool:
        return self.reached is not None

    def elapsed_time(self, after: 'Mark') -> float:
        return 1000 * (after.reached - self.reached)


def test_a_gpu_that_works_meanwhile_does_not_wait(
    clock: list[float], warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marks before and after a fetch are reached at once while the GPU is at work on what was before them."""
    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: True)
    busy_until = 10**6
    monkeypatch.setattr(waiting, '_mark', lambda: Mark(max(clock[0], busy_until)))
    train(clock, 3, 1)
    assert warnings == []
    busy_until = 0
    train(clock, 3, 1)
    assert warnings == [line(6, 10, 75)]
    monkeypatch.setattr(waiting, '_mark', lambda: Mark(None))  # reached by none yet
    train(clock, 3, 1)
    assert len(warnings) == 1


@pytest.mark.gpu
@pytest.mark.parametrize(('busy', 'waits'), [(True, False), (False, True)])
@pytest.mark.parametrize('mode', [None, 'cuda'])
def test_a_gpu_waits_or_does_not(busy: bool, waits: bool, mode: str | None) -> None:
    class Slow:
        def __iter__(self) -> Iterator[dict]:
            for _ in range(5):
                time.sleep(0.05)
                yield {'lq': torch.zeros(8).pin_memory()}

    torch.zeros(1, device='cuda')
    prefetcher = CUDAPrefetcher(Slow(), {'num_gpu': 1}) if mode else CPUPrefetcher(Slow())
    prefetcher.reset()
    prefetcher.next()
    if busy:
        torch.cuda._sleep(10**9)  # cycles, about half a second
    TIMES.begin({})  # the first batches, which nothing can hide, do not count
    while prefetcher.next() is not None:
        if busy:
            torch.cuda._sleep(10**9)
        TIMES.stepped()
    torch.cuda.synchronize()
    assert (TIMES.waited() > 0.1) == waits
    TIMES.begin({})


@pytest.mark.slow
@pytest.mark.parametrize('mode', [None, 'cpu'])
@pytest.mark.parametrize('slow', [True, False])
def test_a_training_says_so_once(
    options: dict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warnings: list[str],
    mode: str | None,
    slow: bool,
) -> None:
    """In BasicSR's own loop."""
    original: Callable = PairedImageDataset.__getitem__
    monkeypatch.setattr(waiting, 'SHORTEST', 0.01)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['asid'])

    def getitem(self: PairedImageDataset, index: object) -> dict:
        time.sleep(0.5 if slow and isinstance(index, tuple) else 0)
        return original(self, index)

    getitem.takes_draws = True
    monkeypatch.setattr(PairedImageDataset, '__getitem__', getitem)
    options['datasets']['train'] |= {'prefetch_mode': mode, 'batch_size_per_gpu': 1}
    options['train']['total_iter'] = 4
    del options['val'], options['datasets']['val']
    Path('run.yml').write_text(yaml.safe_dump(options))
    assert command('train')(['run.yml']) == 0
    found = [text.partition(': ')[0] for text in warnings]
    assert found == (['iterations 2 to 2'] if slow else [])
