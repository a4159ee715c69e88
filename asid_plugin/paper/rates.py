"""Measure the time of a training step on this device in a separate process, and store it in a file."""

import json
import logging
import multiprocessing
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from asid_plugin.errors import ASIDError
from asid_plugin.files import temporary, whole_file
from asid_plugin.inference.devices import is_out_of_memory
from asid_plugin.inference.progress import Progress, say
from asid_plugin.version import __version__

FILE = 'rates.json'
STEPS = {'cpu': (1, 3), 'cuda': (10, 50)}
"""For each device: ignored steps, because the first ones are slow, and the steps for the median."""
BUSY = 0.5
"""A CPU is busy with other work if a step gets less than this share."""
SECONDS_TO_END = 5
"""Seconds to wait for the end of the process after its last step."""
_LOSSES = ('pixel_opt', 'perceptual_opt', 'fft_opt', 'distill_opt', 'teacher')
_OF_A_STEP = ('optim_g', 'amp', 'tf32', 'accumulate', 'grad_clip', 'ema_decay', *_LOSSES)
_OF_A_MODEL = ('compile', 'channels_last')


class RateError(ASIDError):
    """A rate that cannot be measured or read; the message has the reason."""


@dataclass(frozen=True)
class Workload:
    """A training step: the network, its batch and patches. Other differences between trainings do not affect the rate.

    Attributes:
        network_g: Section of the option file.
        batch: Number of patches.
        lq_size: Side of an LR patch in pixels.
        settings: Options that change the work of a step, of `train` and at the top; of `optim_g` all but the rate.
    """

    network_g: Mapping[str, Any]
    batch: int
    lq_size: int
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, opt: Mapping[str, Any]) -> 'Workload':
        """The step of a training, from its options."""
        data = opt['datasets']['train']
        optim_g = {key: value for key, value in opt['train']['optim_g'].items() if key != 'lr'}
        train = {**opt['train'], 'optim_g': optim_g}
        settings = {key: train[key] for key in _OF_A_STEP if train.get(key)}
        settings |= {key: opt[key] for key in _OF_A_MODEL if opt.get(key)}
        return cls(opt['network_g'], data['batch_size_per_gpu'], data['gt_size'] // opt['scale'], settings)

    @property
    def key(self) -> str:
        """It in a line."""
        network = ' '.join(f'{name}={value}' for name, value in self.network_g.items() if name != 'type')
        settings = ' '.join(f'{name}={value}' for name, value in self.settings.items())
        return f'{self.network_g["type"]} {network}, {self.batch} x {self.lq_size}x{self.lq_size}, {settings}'

    def options(self, device: str, folder: str) -> dict[str, Any]:
        """Options of BasicSR for a model that trains so, without data."""
        of_a_step = {key: self.settings[key] for key in _OF_A_STEP if key in self.settings}
        return {
            'name': 'rate',
            'scale': self.network_g['upscale'],
            'num_gpu': int(device == 'cuda'),
            'dist': False,
            'rank': 0,
            'world_size': 1,
            'is_train': True,
            'manual_seed': 0,
            'network_g': dict(self.network_g),
            'path': {'models': folder, 'training_states': folder, 'strict_load_g': True},
            'train': {
                'scheduler': {'type': 'MultiStepLR', 'milestones': [10**9], 'gamma': 0.5},
                'total_iter': 10**9,
                **of_a_step,
                'optim_g': {**self.settings['optim_g'], 'lr': 1e-5},
            },
            'logger': {},
            **{key: self.settings[key] for key in _OF_A_MODEL if key in self.settings},
        }


def device_name(device: str) -> str:
    """The name of a device, 'cpu' or 'cuda'; of a CPU with the number of threads that PyTorch uses."""
    if device == 'cuda':
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f'{_cpu_name()}, {threads} thread{"s" * (threads != 1)}'


def _cpu_name() -> str:
    info = Path('/proc/cpuinfo')
    for line in info.read_text(errors='replace').splitlines() if info.is_file() else ():
        key, _, value = line.partition(':')
        if key.strip() == 'model name' and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


class Rates:
    """Seconds of training steps on one device, with one version of PyTorch and of this package.

    Args:
        folder: Where they are kept, in `FILE`.
        device: 'cpu' or 'cuda'.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.file, self.device = folder / FILE, device
        self.where = f'{device_name(device)}, torch {torch.__version__}'
        self._group = f'{self.where}, asid_plugin {__version__}'

    def known(self) -> dict[str, float]:
        """Seconds of a step by `Workload.key`.

        Raises:
            RateError: The file is none that this class has written.
        """
        return self._read().get(self._group, {})

    def measure(self, workloads: list[Workload]) -> dict[str, float]:
        """Seconds of each, measured where not known; each is written down at once.

        Raises:
            RateError: The file is another's, or there is not enough memory.
        """
        missing = {workload.key: workload for workload in workloads if workload.key not in self.known()}
        steps = sum(STEPS[self.device])
        shares: list[float] = []
        totals = {'network': len(missing), 'step': steps * len(missing)}
        with Progress(totals, totals['step'], quiet=not missing, label='measuring: ') as progress:
            for key, workload in missing.items():
                times = []
                for times_of_step in _steps(workload, self.device):
                    times.append(times_of_step)
                    progress.add('step', work=1)
                progress.add('network')
                counted = times[STEPS[self.device][0] :]
                self._add(key, statistics.median(seconds for seconds, _ in counted))
                shares.append(sum(busy for _, busy in counted) / sum(seconds for seconds, _ in counted))
        share = min(shares, default=0) / torch.get_num_threads()
        if shares and self.device == 'cpu' and share < BUSY:
            say(
                f'note: the CPU was busy with other work: a training got {share:.0%} of its threads, so the hours are '
                f'too high; to measure again later, remove {self.file}',
                sys.stderr,
            )
        return self.known()

    def _add(self, key: str, seconds: float) -> None:
        rates = self._read()
        rates.setdefault(self._group, {})[key] = seconds
        with whole_file(self.file) as path:
            path.write_text(json.dumps(rates, indent=1), encoding='utf-8')

    def _read(self) -> dict[str, dict[str, float]]:
        if not self.file.exists():
            return {}
        try:
            content = json.loads(self.file.read_text(encoding='utf-8'))
            return {name: {key: float(s) for key, s in group.items()} for name, group in content.items()}
        except (AttributeError, TypeError, ValueError):
            raise RateError(
                f'{self.file}: not the rates of asid paper plan; remove it, or name another folder'
            ) from None


def _steps(workload: Workload, device: str) -> Iterator[tuple[float, float]]:
    """The seconds of each step, of the first too, and those for which its threads had a CPU.

    Raises:
        RateError: There is not enough memory, or the process was killed.
    """
    context = multiprocessing.get_context('spawn')
    receiving, sending = context.Pipe(duplex=False)
    with temporary(
        tempfile.gettempdir(), 'asid_rate_'
    ) as folder:  # owned by this process, because the other may be killed
        words = workload, device, torch.get_num_threads(), str(folder), sending
        process = context.Process(target=_train, args=words, daemon=True)
        with _interruptions_later():
            process.start()
        sending.close()
        try:
            for _ in range(sum(STEPS[device])):
                times = receiving.recv()
                if not isinstance(times, tuple):
                    raise RateError(f'{workload.key}: {times}')
                yield times
            process.join(SECONDS_TO_END)
        except EOFError:
            raise RateError(f'{workload.key}: the measuring process was killed, possibly out of memory') from None
        finally:
            process.kill()
            process.join()


@contextmanager
def _interruptions_later() -> Iterator[None]:
    """Block Ctrl-C; a process started in this context never receives it, although a terminal sends it to all."""
    if not hasattr(signal, 'pthread_sigmask'):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _train(workload: Workload, device: str, threads: int, folder: str, results: Connection) -> None:
    """Train in this process, and send the times of each step, or the reason for a failure."""
    logging.disable(logging.CRITICAL)  # BasicSR's description of the network
    try:
        for times in _timed_steps(workload, device, threads, folder):
            results.send(times)
    except Exception as error:
        if is_out_of_memory(error):
            results.send('not enough memory for its batch on this device')
        elif isinstance(error, ASIDError | OSError):  # for example about the file of a teacher
            results.send(str(error))
        else:
            raise


def _timed_steps(workload: Workload, device: str, threads: int, folder: str) -> Iterator[tuple[float, float]]:
    from asid_plugin.models import ASIDModel  # with BasicSR, which takes seconds

    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True  # like BasicSR
    model = ASIDModel(workload.options(device, folder))
    size, upscale = workload.lq_size, workload.network_g['upscale']
    lq = torch.rand(workload.batch, 3, size, size)
    gt = torch.rand(workload.batch, 3, upscale * size, upscale * size)
    for i in range(1, sum(STEPS[device]) + 1):
        start, busy = time.perf_counter(), time.process_time()
        model.feed_data({'lq': lq, 'gt': gt})
        model.optimize_parameters(i)
        if device == 'cuda':
            torch.cuda.synchronize()
        yield time.perf_counter() - start, time.process_time() - busy
