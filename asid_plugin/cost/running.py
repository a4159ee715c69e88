"""Measure time and peak memory of a network in a separate process."""

import multiprocessing
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from asid_plugin.errors import ASIDError
from asid_plugin.tf32 import allow_tf32

from .timing import timed_round


class CostError(ASIDError):
    """A measurement that is impossible; the message gives the reason."""


@dataclass(frozen=True)
class Cost:
    """The cost of a forward pass.

    Attributes:
        seconds: Median over the passes.
        peak_bytes: Peak memory during a pass in addition to the memory before the first, without the network; None if
            the system does not report it.
    """

    seconds: float
    peak_bytes: int | None


def measure(
    build: Callable[..., nn.Module], size: tuple[int, int], repeat: int = 3, threads: int = 2, device: str = 'cpu'
) -> Cost:
    """Run a network on one image in float32, without gradients.

    Args:
        build: Builds the network; a function or class of a module, or a `functools.partial` of one.
        size: Height and width of the input image in pixels.
        repeat: Measured times, after one that is ignored. On a GPU each is a mean over about 50 passes.
        threads: Threads of the CPU.
        device: 'cpu' or 'cuda'.

    Raises:
        CostError: A number is below 1, or the process was killed, possibly out of memory.
        UsageError: PyTorch sees no CUDA device.
    """
    from asid_plugin.inference.devices import choose_device  # here, as the rest of this package needs torch alone

    if min(repeat, threads) < 1:
        raise CostError(f'{repeat} passes on {threads} threads: both must be at least 1')
    device = choose_device(device)
    context = multiprocessing.get_context('spawn')  # a new process, so that its peak excludes the past of the parent
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_measure, build, size, repeat, threads, device).result()
        except BrokenProcessPool:
            raise CostError(
                f'the process that measured {size[1]}x{size[0]} was killed, possibly out of memory'
            ) from None


@torch.inference_mode()
def _measure(build: Callable[..., nn.Module], size: tuple[int, int], repeat: int, threads: int, device: str) -> Cost:
    torch.set_num_threads(threads)
    allow_tf32(False)
    net = build().to(device).eval()
    x = torch.rand(1, 3, *size, device=device)
    before = _memory_in_use(device)
    net(x)
    times = [timed_round(lambda: net(x), device) for _ in range(repeat)]
    peak = _peak_memory(device)
    return Cost(statistics.median(times), None if before is None or peak is None else max(0, peak - before))


def _memory_in_use(device: str) -> int | None:
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    with suppress(OSError):  # on other systems than Linux, where the peak may be an earlier one
        Path('/proc/self/clear_refs').write_text('5')  # resets the recorded peak
    return _status('VmRSS')


def _peak_memory(device: str) -> int | None:
    return torch.cuda.max_memory_allocated() if device == 'cuda' else _status('VmHWM')


def _status(key: str) -> int | None:
    """A size in bytes that Linux records for this process."""
    if sys.platform != 'linux':
        return None
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{key}:'):
            return int(line.split()[1]) * 1024
    return None
