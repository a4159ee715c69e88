"""Trainings of MMEngine, killed again and again: every one resumes, and ends as one that was left in peace.

Half of the kills come at any moment, half in the middle of a save: at one of the things that it does with files, or at
any time in it. Each chain is one training, which is killed until it has had its share and then let go to its end.
"""

import gc
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import wraps
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from tqdm import tqdm

from helpers import TINY, write_pairs

from .figures import Row
from .trials import Outcome

_CONFIG = Path(__file__).parents[2] / 'options' / 'mmengine' / 'asid_x2_div2k.py'
_HUNG_AFTER = 120.0
_FILE_EVENTS = ('open', 'os.', 'shutil.', 'tempfile.')
_ITERATIONS = 12


@dataclass(frozen=True)
class Setting:
    """A kind of training: changes of the data loader and of the hook that saves, and the number of processes."""

    name: str
    loader: dict[str, Any] = field(default_factory=dict)
    saving: dict[str, Any] = field(default_factory=dict)
    processes: int = 1


SETTINGS = (
    Setting('one checkpoint kept', saving={'max_keep_ckpts': 1}),
    Setting('workers that stay', {'num_workers': 2, 'persistent_workers': True}, {'interval': 3}),
    Setting('two processes', {'batch_size': 1}, processes=2),
    Setting('new workers at every epoch', {'num_workers': 1}, {'max_keep_ckpts': -1}),
)


@dataclass(frozen=True)
class Kill:
    """A moment: `seconds` after the start, or, in the save of this number, at an event or seconds after its begin."""

    seconds: float = 0.0
    save: int = 0
    event: int = 0


@dataclass(frozen=True)
class Started:
    """How a start ended.

    Attributes:
        status: The exit status of the process that failed first, negative after a signal.
        log: Of the first process.
        seconds: From its start.
        saves: Of a training that came to its end, the events and seconds of each save.
    """

    status: int
    log: str
    seconds: float
    saves: tuple[tuple[int, float], ...] = ()


def run(folder: Path, seed: int, long: bool) -> Iterator[Row]:
    """Kill 200 times, or twice; a row for kills at any moment, one for those in saves, and one for the ends."""
    rng = random.Random(seed)
    whens = ('at any moment', 'in a save', 'in the end')
    anywhere, in_save, ends = (Row(f'MMEngine: killed {when}') for when in whens)
    kills, chains = (200, 20) if long else (2, 1)
    with (
        ProcessPoolExecutor(1, get_context('spawn'), _prepare) as executor,  # no thread is running where trials fork
        tqdm(total=kills, unit='kill', disable=not long) as progress,
    ):
        trainings = [
            Training(folder / str(i), setting, executor) for i, setting in enumerate(SETTINGS if long else SETTINGS[:1])
        ]
        for chain in range(chains):
            training = trainings[chain % len(trainings)]
            name = f'seed {seed}, {training.setting.name}, chain {chain}'
            for number in range(kills // chains):
                row = in_save if number % 2 else anywhere
                row.add(Outcome('done'), f'{name}, kill {number}', training.kill(rng, row is in_save))
                progress.update()
            ends.add(Outcome('done'), name, training.finish())
    yield from (anywhere, in_save, ends)


class Training:
    """A tiny training that is killed, and the end of the same one left in peace."""

    def __init__(self, folder: Path, setting: Setting, executor: ProcessPoolExecutor) -> None:
        self.folder, self.setting, self.executor = folder, setting, executor
        self.work = folder / 'run'
        folder.mkdir(parents=True)
        _write_config(folder, setting)
        started = self.start()
        assert started.status == 0, started.log
        self.seconds, self.saves = started.seconds, started.saves
        self.wanted = self.end()
        shutil.rmtree(self.work)

    def kill(self, rng: random.Random, in_save: bool) -> str:
        """Start or resume it, and kill it; returns the promise that was broken, or ''."""
        for _ in range(20):
            if in_save:
                save = rng.randrange(len(self.saves) // 2)  # the others may be over already
                events, seconds = self.saves[save]
                at_event = rng.random() < 0.5
                kill = Kill(0 if at_event else rng.uniform(0.01, 1) * seconds, save + 1, rng.randint(1, events))
            else:
                kill = Kill(rng.uniform(0.1, 1) * self.seconds)
            named = self.named()
            started = self.start(kill)
            if fault := self.fault(started, named):
                return fault
            if started.status:
                return ''
            if fault := self.compare():
                return fault
        return 'twenty trainings came to their end before the kill'

    def finish(self) -> str:
        """Let it go to its end; returns the promise that was broken, or ''."""
        named = self.named()
        return self.fault(self.start(), named) or self.compare()

    def start(self, kill: Kill | None = None) -> Started:
        """Start it, or resume it, until its end or a kill."""
        return self.executor.submit(_start, self.folder, self.setting.processes, kill).result()

    def named(self) -> int:
        """The iteration that `last_checkpoint` names; 0 if there is none."""
        listing = self.work / 'last_checkpoint'
        return int(re.findall(r'\d+', listing.read_text())[-1]) if listing.exists() else 0

    def fault(self, started: Started, named: int) -> str:
        """The promise that a start broke: to resume from the newest checkpoint, and to end by our kill only."""
        if started.status not in (0, -signal.SIGKILL, -signal.SIGALRM):
            return f'exit status {started.status}: {started.log[-1500:]}'
        resumed = re.search(r'resumed epoch: \d+, iter: (\d+)', started.log)
        trained = 'Iter(train)' in started.log
        if (resumed and int(resumed[1]) < named) or (trained and named and not resumed):
            return f'it does not go on from iteration {named}'
        return ''

    def compare(self) -> str:
        """Compare the end with that of one left in peace, and remove it; returns the promise that was broken, or ''."""
        end, left = self.end(), [path.name for path in self.work.rglob('.unfinished_*')]
        shutil.rmtree(self.work)
        if left:
            return f'left behind: {left}'
        return '' if end == self.wanted else f'it ends with {end}, one that is left in peace with {self.wanted}'

    def end(self) -> tuple[str, ...]:
        """A checksum of all weights at the end, with the optimizer's, and the best figure with its file."""
        return self.executor.submit(_read_end, self.work).result()


def _prepare() -> None:
    """Import what trials need, in the process that they are forked from, and leave out what costs them most."""
    torch.set_num_threads(1)
    import matplotlib.pyplot  # noqa: F401  # by MMEngine's visualizer
    from mmengine.config import config
    from mmengine.registry import DATASETS, MODELS
    from mmengine.runner import Runner

    import asid_plugin.mmengine.runs  # noqa: F401

    for registry, part in ((MODELS, 'SuperResolver'), (DATASETS, 'PairedImageDataset')):
        assert registry.get(f'asid.{part}') is not None
    config.FormatCode = lambda text, **_: (text, True)  # of the config, in every checkpoint
    Runner._log_env = lambda self, env: None  # which asks compilers for their versions
    gc.freeze()  # every dataset has all garbage collected


def _start(folder: Path, processes: int, kill: Kill | None) -> Started:
    """Run `asid mmengine train --resume` in processes forked from this one."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port = sock.getsockname()[1]
    receiving, sending = connection.Pipe(duplex=False)
    fork = get_context('fork')
    ranks = [
        fork.Process(target=_train, args=(folder, rank, processes, port, kill, sending)) for rank in range(processes)
    ]
    begun = time.monotonic()
    for process in ranks:
        process.start()
    sending.close()
    timed = kill is not None and not kill.save
    deadline = begun + (kill.seconds if kill is not None and timed else _HUNG_AFTER)
    running = {process.sentinel: process for process in ranks}
    status = 0
    while running and not status:
        ended = connection.wait(running, max(0.0, deadline - time.monotonic()))
        if not ended:
            status = -signal.SIGKILL if timed else -signal.SIGXCPU
        for process in [running.pop(sentinel) for sentinel in ended]:
            process.join()
            status = status or process.exitcode or 0
    seconds = time.monotonic() - begun
    for process in ranks:
        if process.is_alive() and process.pid is not None:
            os.killpg(process.pid, signal.SIGKILL)  # with the workers that load data
        process.join()
    saves = receiving.recv() if not status else ()
    return Started(status, (folder / 'log0').read_text(errors='replace'), seconds, tuple(saves))


def _train(folder: Path, rank: int, processes: int, port: int, kill: Kill | None, saves: connection.Connection) -> None:
    os.setsid()
    os.chdir(folder)
    log = os.open(f'log{rank}', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from asid_plugin.commands.main import main

    argv = ['mmengine', 'train', 'config.py', '--work-dir', 'run', '--resume']
    if processes > 1:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(processes), LOCAL_RANK=str(rank))
        os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
        argv += ['--launcher', 'pytorch']
    watch = Watch(kill if kill is not None and kill.save else None) if not rank else None
    status = main(argv)
    if watch is not None and not status:
        saves.send(watch.saves)
    sys.exit(status)


class Watch:
    """Counts what each save does with files, and its seconds; and is killed in one of them."""

    def __init__(self, kill: Kill | None) -> None:
        from mmengine.hooks import CheckpointHook

        self.kill = kill
        self.saves: list[tuple[int, float]] = []
        self.events = 0
        self.depth = 0
        for name in ('_save_checkpoint_with_step', '_save_best_checkpoint'):
            setattr(CheckpointHook, name, self.watched(getattr(CheckpointHook, name)))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        sys.addaudithook(self.count)

    @property
    def is_doomed(self) -> bool:
        """Whether this is the save to be killed in."""
        return self.kill is not None and self.kill.save == len(self.saves) + 1

    def count(self, event: str, _: object) -> None:
        """Count an event of a save."""
        if self.depth and event.startswith(_FILE_EVENTS):
            self.events += 1
            if self.kill is not None and self.is_doomed and not self.kill.seconds and self.events == self.kill.event:
                os.kill(os.getpid(), signal.SIGKILL)

    def watched(self, save: Callable[..., None]) -> Callable[..., None]:
        """A method that saves, watched; one save may be a part of another."""

        @wraps(save)
        def saving(*args: Any, **kwargs: Any) -> None:
            begun = time.perf_counter()
            if not self.depth:
                self.events = 0
                if self.kill is not None and self.is_doomed and self.kill.seconds:
                    signal.setitimer(signal.ITIMER_REAL, self.kill.seconds)
            self.depth += 1
            save(*args, **kwargs)
            self.depth -= 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            if not self.depth and self.events:  # figures that are not the best are not saved
                self.saves.append((self.events, time.perf_counter() - begun))

        return saving


def _read_end(work: Path) -> tuple[str, ...]:
    end = torch.load(work / f'iter_{_ITERATIONS}.pth', weights_only=False)
    info = end['message_hub']['runtime_info']
    best = Path(info['best_ckpt']).name
    if not (work / best).is_file():
        return (f'no {best}',)
    kept = torch.load(work / best, weights_only=False)
    content = (end['state_dict'], end['ema_state_dict'], end['optimizer'], kept['state_dict'])
    return _checksum(content), best, repr(float(info['best_score'])), repr(info['place'])


def _checksum(content: Any) -> str:
    """SHA-256 of tensors, numbers and containers of them, every bit of them."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(value.contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            add(list(value.items()))
        elif isinstance(value, list | tuple):
            for each in value:
                add(each)
        else:
            digest.update(repr(value).encode())

    add(content)
    return digest.hexdigest()


def _write_config(folder: Path, setting: Setting) -> None:
    """Write a training of 12 iterations on 7 pairs, saved after every second and validated after every third."""
    write_pairs(folder / 'train', 7)
    write_pairs(folder / 'val', 1)
    prefix = {'gt': 'GT', 'lq': 'LR'}
    train_data = {'data_root': str(folder / 'train'), 'data_prefix': prefix, 'pipeline': {'1': {'lq_size': 16}}}
    loader = {'batch_size': 2, 'num_workers': 0, 'persistent_workers': False, 'pin_memory': False}
    cfg = Config.fromfile(_CONFIG)
    cfg.merge_from_dict(
        {
            'model': {'generator': {key: value for key, value in TINY.items() if key != 'type'}},
            'train_dataloader': {**loader, **setting.loader, 'dataset': train_data},
            'val_dataloader': {'dataset': {'name': 'val', 'data_root': str(folder / 'val'), 'data_prefix': prefix}},
            'param_scheduler': {'milestones': [8]},
            'train_cfg': {'max_iters': _ITERATIONS, 'val_interval': 3},
            'custom_hooks': [{'type': 'EMAHook', 'momentum': 0.5}],
            'default_hooks': {
                'logger': {'interval': 1},
                'checkpoint': {'interval': 2, 'save_best': 'val/PSNR', **setting.saving},
            },
            'visualizer': {'vis_backends': []},
        }
    )
    cfg.dump(folder / 'config.py')
