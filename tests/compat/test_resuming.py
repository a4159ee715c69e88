"""BasicSR's sampler, prefetchers and log lines as a training that is interrupted needs them."""

import itertools
import logging
import random
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from basicsr.data import build_dataloader
from basicsr.data.data_sampler import EnlargedSampler
from basicsr.data.prefetch_dataloader import CPUPrefetcher, CUDAPrefetcher, PrefetchDataLoader
from basicsr.utils import misc
from basicsr.utils.logger import MessageLogger
from torch.utils.data import Dataset

import fresh
from asid_plugin.compat.resuming import Place, read_place, trained_samples
from asid_plugin.compat.sampling import Draw, ResumableSampler, seeded_by_draw, training_sampler


class Plain(Dataset):
    """Samples that are their own index."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> int:
        return index


class Seeded(Plain):
    """Samples that are an index and a random number."""

    @seeded_by_draw
    def __getitem__(self, index: int) -> tuple[int, float]:
        return index, random.random()


def basicsr_order(epoch: int, rank: int, world: int, ratio: float = 1) -> list[int]:
    """The indices of `EnlargedSampler`, from its documentation: those of a permutation, dealt out to the ranks."""
    total = -(-int(10 * ratio) // world) * world
    order = torch.randperm(total, generator=torch.Generator().manual_seed(epoch)) % 10
    return order[rank::world].tolist()


@pytest.mark.parametrize(('world', 'ratio'), [(1, 1), (1, 3), (2, 1.5), (3, 2)])
def test_an_epoch_goes_on_where_it_stopped(world: int, ratio: float) -> None:
    for rank in range(world):
        sampler = EnlargedSampler(Plain(), world, rank, ratio)
        assert isinstance(sampler, ResumableSampler) and training_sampler() is sampler
        sampler.seed = 1
        sampler.resume(epoch=2, samples=4 * world)
        for epoch, begin in ((2, 4), (3, 0)):
            sampler.set_epoch(epoch)
            assert list(sampler) == basicsr_order(epoch, rank, world, ratio)[begin:]
        sampler.set_epoch(2)
        sampler.trained += 2
        assert list(sampler) == basicsr_order(2, rank, world, ratio)[6:]


FIRST = """
import importlib, sys
assert 'basicsr' not in sys.modules
importlib.import_module(f'asid_plugin.{sys.argv[1]}')
import basicsr
from basicsr.data.data_sampler import EnlargedSampler
EnlargedSampler.resume
"""


@pytest.mark.slow
@pytest.mark.parametrize('module', ['compat.sampling', 'compat.resuming', 'models.resumable', 'data'])
def test_modules_may_come_before_basicsr(module: str) -> None:
    done = fresh.run(['-c', FIRST, module])
    assert done.returncode == 0, done.stderr


def test_other_numbers_of_processes_share_out_the_rest_of_the_epoch() -> None:
    """Of 30 samples five were taken; three processes share 24 of the rest, none of them twice."""
    rest = []
    for rank in range(3):
        sampler = EnlargedSampler(Plain(), 3, rank, 3)
        sampler.resume(epoch=1, samples=5)
        sampler.set_epoch(1)
        rest += list(sampler)
    whole = basicsr_order(1, 0, 1, 3)
    assert sorted(rest) == sorted(whole[6:])


def test_no_two_draws_have_the_same_seed() -> None:
    draws = []
    for epoch, rank in itertools.product(range(3), range(2)):
        sampler = EnlargedSampler(Seeded(), 2, rank, 3)
        sampler.seed = 7
        sampler.set_epoch(epoch)
        drawn = list(sampler)
        assert [draw.image for draw in drawn] == basicsr_order(epoch, rank, 2, 3)
        draws += drawn
    assert len({draw.seed for draw in draws}) == len(draws) == 90


def test_a_draw_leaves_the_random_numbers_of_others_alone() -> None:
    random.seed(3)
    expected = random.random()
    random.seed(3)
    first, again, other = (Seeded()[Draw(4, seed)] for seed in (1, 1, 2))
    assert random.random() == expected
    assert first == again != other and first[0] == 4


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('prefetch', [None, 'cpu'])
@pytest.mark.parametrize('persistent', [False, True])
def test_resumed_batches_are_those_that_were_left(workers: int, prefetch: str | None, persistent: bool) -> None:
    """Three epochs of seven batches, interrupted after ten of them, with everything that reads ahead."""
    if persistent and not workers:
        pytest.skip('there is no worker to stay')
    loading = {'phase': 'train', 'num_worker_per_gpu': workers, 'batch_size_per_gpu': 4, 'prefetch_mode': prefetch}
    loading |= {'persistent_workers': persistent}

    def batches(epoch: int, samples: int) -> list[str]:
        sampler = EnlargedSampler(Seeded(), 1, 0, 3)
        sampler.seed = 5
        sampler.resume(epoch, samples)
        prefetcher = CPUPrefetcher(build_dataloader(Seeded(), loading, sampler=sampler, seed=5))
        found = []
        for number in range(epoch, 3):
            sampler.set_epoch(number)
            prefetcher.reset()
            while (batch := prefetcher.next()) is not None:
                found.append(str(batch))
        return found

    undisturbed = batches(0, 0)
    assert len(undisturbed) == 21 and len(set(undisturbed)) == 21
    assert batches(1, 3 * 4) == undisturbed[10:]
    assert batches(1, 7 * 4) == undisturbed[14:]


def test_prefetchers_read_nothing_before_an_epoch() -> None:
    read = []

    class Noted(Plain):
        def __getitem__(self, index: int) -> int:
            read.append(index)
            return index

    prefetcher = CPUPrefetcher(PrefetchDataLoader(1, dataset=Noted(), batch_size=2))
    time.sleep(0.2)  # for a thread that would read ahead
    assert read == []
    prefetcher.reset()
    assert prefetcher.next().tolist() == [0, 1]


@pytest.mark.parametrize('kind', ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)])
def test_prefetchers_that_nobody_resets_read_from_the_beginning(kind: str) -> None:
    """As a loop that is not BasicSR's may use them, for one epoch."""
    loader = [{'lq': torch.tensor(i)} for i in range(3)]
    prefetcher = CPUPrefetcher(loader) if kind == 'cpu' else CUDAPrefetcher(loader, {'num_gpu': 1})
    assert [int(prefetcher.next()['lq']) for _ in loader] == [0, 1, 2]
    assert prefetcher.next() is None and prefetcher.next() is None
    prefetcher.reset()
    assert int(prefetcher.next()['lq']) == 0


class OnGPU(torch.Tensor):
    """A tensor of the CPU that passes for one of a GPU."""

    is_cuda = True

    def to(self, *args: object, **kwargs: object) -> 'OnGPU':
        return self

    def record_stream(self, stream: object) -> None:
        self.streams = [*getattr(self, 'streams', []), stream]


def test_batches_are_kept_for_the_stream_that_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tensor that is handed out, and none before, is recorded on the stream that is current then."""
    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, 'Stream', SimpleNamespace)
    monkeypatch.setattr(torch.cuda, 'stream', nullcontext)
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda: stream)
    batches = [{'lq': OnGPU([1.0]), 'gt': OnGPU([2.0]), 'lq_path': ['a']} for _ in range(3)]
    prefetcher = CUDAPrefetcher(batches, {'num_gpu': 1})
    for i in range(3):
        batch = prefetcher.next()
        assert batch is batches[i]
        recorded = [[getattr(entry[key], 'streams', []) for key in ('lq', 'gt')] for entry in batches]
        assert recorded == [[[stream]] * 2] * (i + 1) + [[[]] * 2] * (2 - i)
    assert prefetcher.next() is None


@pytest.mark.gpu
def test_a_batch_is_not_overwritten_while_the_gpu_reads_it() -> None:
    loader = [{'lq': torch.full((2**22,), float(i)).pin_memory()} for i in range(12)]
    prefetcher, sums = CUDAPrefetcher(loader, {'num_gpu': 1}), []
    prefetcher.reset()
    while (batch := prefetcher.next()) is not None:
        torch.cuda._sleep(10**8)  # cycles, before the batch is read
        sums.append(batch['lq'].double().mean())
        del batch
    assert [value.item() for value in sums] == list(range(12))


@pytest.mark.parametrize(('start', 'iteration', 'eta'), [(0, 10, '0:00:00'), (7, 10, '0:00:00'), (0, 5, '0:00:')])
def test_the_last_line_has_no_time_left(start: int, iteration: int, eta: str) -> None:
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MessageLogger(
        {'name': 'x', 'logger': {'print_freq': 1, 'use_tb_logger': False}, 'train': {'total_iter': 10}}, start
    )
    logger.logger = logging.Logger('x')
    logger.logger.addHandler(handler)
    logger.start_time -= 6.0
    logger({'epoch': 0, 'iter': iteration, 'lrs': [1e-3], 'time': 1.0, 'data_time': 0.0})
    assert f'[eta: {eta}' in lines[0]
    if iteration == 5:  # six seconds for five iterations, which BasicSR counts as six; five are left
        assert '[eta: 0:00:05' in lines[0]
    assert logger.max_iters == 10


def test_places() -> None:
    place = Place(samples=12, total=40, seed=3)
    assert read_place({'place': place.saved()}) == place
    assert read_place({'epoch': 1, 'iter': 13}) is None
    assert trained_samples(place, 1, 13, total=40, batch=4) == 12
    assert trained_samples(place, 1, 13, total=44, batch=4) == 0  # other data
    assert trained_samples(place, 1, 13, total=40, batch=2) == 12  # another batch


@pytest.mark.parametrize(
    ('epoch', 'iteration', 'samples'), [(0, 3, 12), (1, 13, 12), (2, 20, 0), (1, 20, 40), (1, 35, 0), (3, 13, 0)]
)
def test_states_without_a_place_are_counted_from_the_first_iteration(epoch: int, iteration: int, samples: int) -> None:
    """Of epochs of 10 batches of 4; iteration 35 in epoch 1, or 13 in epoch 3, is of one that was interrupted."""
    assert trained_samples(None, epoch, iteration, total=41, batch=4) == samples


@pytest.mark.parametrize('place', [None, 3, {}, {'samples': 1, 'total': 2}, {'samples': 3, 'total': 2, 'seed': 0}])
def test_damaged_places(place: object) -> None:
    with pytest.raises(ValueError, match='its place in the epoch is'):
        read_place({'place': place})


def test_two_trainings_that_begin_anew_in_one_second(tmp_path: Path):
    """Each folder that was there is kept under a name of its own."""
    for number in range(3):
        misc.mkdir_and_rename(str(tmp_path / 'run'))
        (tmp_path / 'run' / f'{number}.txt').touch()
    archived = sorted(path for path in tmp_path.iterdir() if path.name != 'run')
    assert [path.name for path in sorted(tmp_path.rglob('*.txt'))] == ['2.txt', '0.txt', '1.txt']
    assert len(archived) == 2
