"""Trainings in BasicSR's way, killed again and again: every one resumes, and ends as one that was left in peace.

A chain is one training, killed until it has had its share and then let go to its end. Half of the kills come at any
moment, half in the middle of a save: at the n-th thing that Python does there (opening, writing, renaming a file ...),
or so many milliseconds after its begin, wherever torch is then.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from multiprocessing import connection, set_start_method
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import yaml
from tqdm import tqdm

from forked import server
from helpers import TINY, write_pairs

from .figures import Row
from .trials import Outcome

_HUNG_AFTER = 120.0
_FILE_EVENTS = ('open', 'os.', 'shutil.', 'tempfile.')
_STATE = 'experiments/run/training_states'


@dataclass(frozen=True)
class Setting:
    """A kind of training.

    Attributes:
        name: In the table.
        dataset: Changes of the training set.
        train: Changes of `train`.
        processes: How many train together, by gloo.
    """

    name: str
    dataset: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    processes: int = 1


SETTINGS = (
    Setting('one process', {'batch_size_per_gpu': 4}, {'accumulate': 2}),
    Setting(
        'workers that stay, prefetch_mode cpu',
        {
            'num_worker_per_gpu': 2,
            'persistent_workers': True,
            'prefetch_mode': 'cpu',
            'dataset_enlarge_ratio': 1,
        },
    ),
    Setting('two processes', {'type': 'CachedPairedImageDataset'}, processes=2),
    Setting('workers, an epoch of all iterations', {'num_worker_per_gpu': 1, 'dataset_enlarge_ratio': 100}),
)
_SHORT = SETTINGS[1:2]


@dataclass(frozen=True)
class Kill:
    """A moment: `seconds` after the start, or, in the save of this number, at an event or seconds after its begin."""

    seconds: float = 0.0
    save: int = 0
    event: int = 0


def run(folder: Path, seed: int, long: bool) -> Iterator[Row]:
    """Kill 200 times (in short: 4 times); a row for kills at any moment, in saves, and the ends of the chains."""
    rng = random.Random(seed)
    anywhere, in_save, ends = (Row(f'train: killed {when}') for when in ('at any moment', 'in a save', 'in the end'))
    kills, chains = (200, 20) if long else (4, 1)
    settings = SETTINGS if long else _SHORT
    trainings = [Training(folder / str(i), setting) for i, setting in enumerate(settings)]
    with tqdm(total=kills, unit='kill', disable=not long) as progress:
        for chain in range(chains):
            training = trainings[chain % len(trainings)]
            for number in range(kills // chains):
                name = f'seed {seed}, {training.setting.name}, chain {chain}, kill {number}'
                row = in_save if number % 2 else anywhere
                row.add(training.kill(rng, in_save=row is in_save), name)
                progress.update()
            ends.add(training.finish(), f'seed {seed}, {training.setting.name}, chain {chain}')
    yield from (anywhere, in_save, ends)


class Training:
    """A tiny training that is killed; the folder also has the end of one that was left in peace."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        self.folder, self.setting = folder, setting
        self.starts = 0
        folder.mkdir(parents=True)
        (folder / 'options.yml').write_text(yaml.dump(_options(folder, setting)))
        server()  # imports for some seconds, which are none of a training's
        begun = time.monotonic()
        code, log = self.start(None)
        assert code == 0, log
        self.seconds = time.monotonic() - begun
        self.saves: list[tuple[int, float]] = json.loads((folder / 'saves.json').read_text())
        self.wanted = self.end()
        shutil.rmtree(folder / 'experiments')

    def kill(self, rng: random.Random, in_save: bool) -> Outcome:
        """Start it, or resume it, and kill it; if it gets to its end before, compare that, and begin anew."""
        for _ in range(20):
            states = self.states()
            killed, text = self.start(self.moment(rng, in_save))
            if fault := self.fault(killed, text, states):
                return Outcome('traceback', fault)
            if killed:
                return Outcome('done')
            if self.end() != self.wanted:
                return Outcome('traceback', 'it ends otherwise than one that is left in peace')
            shutil.rmtree(self.folder / 'experiments')
        return Outcome('hung', 'twenty trainings came to their end before the kill')

    def finish(self) -> Outcome:
        """Resume it, let it get to its end, and compare that."""
        states = self.states()
        killed, text = self.start(None)
        fault = self.fault(killed, text, states)
        if not fault and self.end() != self.wanted:
            fault = 'it ends otherwise than one that is left in peace'
        if not fault and (left := [str(path) for path in self.folder.rglob('.unfinished_*')]):
            fault = f'left behind: {", ".join(left)}'
        shutil.rmtree(self.folder / 'experiments')
        return Outcome('traceback', fault) if fault else Outcome('done')

    def fault(self, code: int, log: str, states: list[int]) -> str:
        """The promise that a start broke, '' if none: to resume from the last state, and to end by our kill only."""
        if code not in (0, -signal.SIGKILL, -signal.SIGALRM):
            return f'exit status {code}: {log[-1500:]}'
        if states and 'Start training from' in log and f'iter: {states[-1]}.' not in log:
            return f'it does not go on from {states[-1]}'
        return ''

    def moment(self, rng: random.Random, in_save: bool) -> Kill:
        """Draw a moment."""
        if not in_save:
            return Kill(seconds=rng.uniform(0.1, 1.0) * self.seconds)
        save = rng.randrange(min(4, len(self.saves)))
        events, seconds = self.saves[save]
        if rng.random() < 0.5:
            return Kill(save=save + 1, event=rng.randint(1, events))
        return Kill(save=save + 1, seconds=rng.uniform(0.0001, 1.0) * seconds)

    def states(self) -> list[int]:
        """Iterations of the training states that are there."""
        return sorted(int(path.stem) for path in (self.folder / _STATE).glob('*.state'))

    def end(self) -> str:
        """The end of a training: a checksum of weights and averaged weights, the last state, and the best metrics."""
        experiment = self.folder / 'experiments' / 'run'
        weights = torch.load(experiment / 'models' / 'net_g_latest.pth', weights_only=True)
        state = torch.load(experiment / 'training_states' / f'{self.states()[-1]}.state', weights_only=True)
        state.pop('schedulers')
        return json.dumps([_plain(weights), _plain(state)], sort_keys=True)

    def start(self, kill: Kill | None) -> tuple[int, str]:
        """Train until the end, or a kill.

        Returns:
            The exit status, negative after a signal, and the log.
        """
        self.starts += 1
        log, port = self.folder / 'log', _free_port()
        log.write_text('')
        ranks = [
            server().Process(target=_train, args=(self.folder, self.setting.processes, rank, port, kill))
            for rank in range(self.setting.processes)
        ]
        for process in ranks:
            process.start()
        timed = kill.seconds if kill is not None and not kill.save else _HUNG_AFTER
        code = _wait(ranks, timed)
        return code, log.read_text(errors='replace')


def _wait(ranks: list[BaseProcess], seconds: float) -> int:
    """Wait so long for processes, then kill them; after a failure of one, kill the others, as torchrun does."""
    deadline = time.monotonic() + seconds
    running = {process.sentinel: process for process in ranks}
    code = 0
    while running:
        ended = connection.wait(list(running), max(0.0, deadline - time.monotonic()))
        failed = [process for process in ranks if process.exitcode]
        if failed or not ended:
            code = failed[0].exitcode or 0 if failed else -signal.SIGKILL if seconds < _HUNG_AFTER else 1
            break
        for sentinel in ended:
            running.pop(sentinel)  # type: ignore[call-overload]
    for process in ranks:
        if process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with the workers that load data
            process.join()
    return code


def _train(folder: Path, processes: int, rank: int, port: int, kill: Kill | None) -> None:
    """Run `asid train` in a process of this campaign, and note its saves."""
    with contextlib.suppress(PermissionError):
        os.setsid()
    os.chdir(folder)
    log = os.open('log' if not rank else f'log{rank}', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    torch.set_num_threads(1)
    set_start_method('fork', force=True)  # of the workers, as in a training that nothing has forked
    saves = _watch_saves(kill if kill is not None and kill.save and not rank else None)
    from asid_plugin.commands.main import main

    argv = ['train', 'options.yml', '--auto_resume']
    if processes > 1:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(processes), LOCAL_RANK='0')
        os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
        argv += ['--launcher', 'pytorch']
    status = main(argv)
    if kill is None and not rank:
        Path('saves.json').write_text(json.dumps(saves))
    sys.exit(status)


def _watch_saves(kill: Kill | None) -> list[tuple[int, float]]:
    """Count the events of each save, and its seconds; and be killed in one of them."""
    from asid_plugin.models import ASIDModel

    saves: list[tuple[int, float]] = []
    original, events = ASIDModel.staged, -1

    def count(event: str, _: object) -> None:
        nonlocal events
        if events >= 0 and event.startswith(_FILE_EVENTS):
            events += 1
            if kill is not None and kill.save == len(saves) + 1 and kill.event == events:
                os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def staged(model: Any, key: str, num_files: int) -> Iterator[Path]:
        nonlocal events
        if kill is not None and kill.save == len(saves) + 1 and kill.seconds:
            signal.setitimer(signal.ITIMER_REAL, kill.seconds)
        events, begun = 0, time.perf_counter()
        with original(model, key, num_files) as folder:
            yield folder
        signal.setitimer(signal.ITIMER_REAL, 0)
        saves.append((events, time.perf_counter() - begun))
        events = -1

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    sys.addaudithook(count)
    ASIDModel.staged = staged
    return saves


def _options(folder: Path, setting: Setting) -> dict[str, Any]:
    pairs = {'type': 'PairedImageDataset', 'io_backend': {'type': 'disk'}}
    loading = {'num_worker_per_gpu': 0, 'batch_size_per_gpu': 2, 'use_hflip': True, 'use_rot': True, 'gt_size': 32}
    train = {**deepcopy(pairs), **write_pairs(folder / 'train', 7), 'name': 'train', **loading}
    return {
        'name': 'run',
        'model_type': 'ASIDModel',
        'scale': 2,
        'num_gpu': 0,
        'manual_seed': 1,
        'datasets': {
            'train': {**train, 'dataset_enlarge_ratio': 3, **setting.dataset},
            'val': {**pairs, **write_pairs(folder / 'val', 1), 'name': 'val'},
        },
        'network_g': dict(TINY),
        'path': {'pretrain_network_g': None, 'resume_state': None},
        'train': {
            'ema_decay': 0.9,
            'optim_g': {'type': 'AdamW', 'lr': 1e-3},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [6], 'gamma': 0.5},
            'total_iter': 8,
            'warmup_iter': 3,
            'pixel_opt': {'type': 'L1Loss'},
            **setting.train,
        },
        'val': {
            'val_freq': 4,
            'save_img': False,
            'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True}},
        },
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 2, 'use_tb_logger': False},
    }


def _plain(value: Any) -> Any:
    """Tensors and containers as JSON holds them, every bit of the numbers kept."""
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes().hex()
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port: int = sock.getsockname()[1]
        return port
