"""Networks that are measured in turn, each in a separate process, for `benchmark.py` and `gpu_check.py`.

This module needs torch and tqdm; the other packages of a network are imported where it is built.
"""

import multiprocessing
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.autograd import DeviceType
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from asid_plugin import markdown
from asid_plugin.archs import ASID
from asid_plugin.cost.timing import PASSES, timed, timed_round
from asid_plugin.tf32 import allow_tf32

sys.path.append(str(Path(__file__).resolve().parents[2] / 'tests'))
from reference import PlainASID  # the tests' plain network
from small_cnns import IMDN, RFDN

SETTINGS: dict[str, dict[str, Any]] = {
    'float32': {},
    'TF32': {'tf32': True},
    'bfloat16': {'dtype': torch.bfloat16},
    'compiled': {'compile_mode': 'default'},
    'compiled, CUDA graph': {'compile_mode': 'reduce-overhead'},
    'bfloat16, compiled': {'dtype': torch.bfloat16, 'compile_mode': 'default'},
    'bfloat16, compiled, CUDA graph': {'dtype': torch.bfloat16, 'compile_mode': 'reduce-overhead'},
}
"""Ways to compute; wherever 'tf32' is not said, it is off."""
SMALL_CNNS: dict[str, type[nn.Module]] = {'IMDN': IMDN, 'RFDN': RFDN}


def plain_asid(**arguments: int) -> nn.Module:
    """The plain network of the tests."""
    return PlainASID(ASID(**arguments))


def swinir_light(upscale: int) -> nn.Module:
    """SwinIR-light; needs BasicSR."""
    from asid_plugin.cost.yardstick import SwinIRLight

    return SwinIRLight(upscale)


@dataclass(frozen=True)
class Subject:
    """A network to be measured.

    Attributes:
        name: In the tables.
        build: Makes it; can be pickled.
        kept: Whether its process keeps freed memory.
        setting: A key of `SETTINGS`.
        channels_last: Whether its weights and images are channels-last; ASID's features always are.
    """

    name: str
    build: Callable[[], nn.Module]
    kept: bool = True
    setting: str = 'float32'
    channels_last: bool = False

    @property
    def label(self) -> str:
        """The name with the special settings."""
        special = {'channels-last': self.channels_last, 'kept': self.kept, self.setting: self.setting != 'float32'}
        notes = [note for note, there in special.items() if there]
        return f'{self.name} ({", ".join(notes)})' if notes else self.name


def small_cnns(upscale: int, on_cpu: bool) -> list[Subject]:
    """IMDN and RFDN: plain, channels-last, and on a CPU channels-last with memory kept."""
    ways = [(False, False), (True, False), *([(True, True)] if on_cpu else [])]
    return [
        Subject(name, partial(build, upscale), kept, channels_last=channels_last)
        for name, build in SMALL_CNNS.items()
        for channels_last, kept in ways
    ]


class Here:
    """The network of a measuring process, its device, layout and precision."""

    net: nn.Module
    device: torch.device
    dtype: torch.dtype
    channels_last: bool


def start(subject: Subject, device: str, threads: int) -> None:
    """Build the network in this process."""
    torch.set_num_threads(threads)
    if subject.kept:
        from asid_plugin.inference.memory import keep_freed_memory

        keep_freed_memory()
    setting = SETTINGS[subject.setting]
    allow_tf32(setting.get('tf32', False))
    Here.device, Here.dtype = torch.device(device), setting.get('dtype', torch.float32)
    Here.channels_last = subject.channels_last
    Here.net = subject.build().to(Here.device)
    if subject.channels_last:
        Here.net.to(memory_format=torch.channels_last)
    if 'compile_mode' in setting:
        Here.net.compile(mode=setting['compile_mode'])


def image(*size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A random image in this process's layout."""
    x = torch.rand(*size, device=Here.device, dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last) if Here.channels_last else x


def new_step() -> None:
    """Before each pass: what a CUDA graph gave last time may be overwritten."""
    if Here.device.type == 'cuda':
        torch.compiler.cudagraph_mark_step_begin()


@contextmanager
def freed_memory() -> Iterator[None]:
    """Give a GPU's memory that is free again back to the other processes, also after an error."""
    try:
        yield
    finally:
        torch.cuda.empty_cache()


@freed_memory()
@torch.inference_mode()
def forward(batch: int, height: int, width: int) -> float:
    """Seconds of a pass without gradients."""
    net, x = Here.net.eval().to(Here.dtype), image(batch, 3, height, width, dtype=Here.dtype)

    def run() -> None:
        new_step()
        net(x)

    return timed_round(run, Here.device)


@freed_memory()
def training_step(batch: int, side: int, upscale: int = 2) -> float:
    """Seconds of forward, backward and AdamW's step; bfloat16 is autocast."""
    net, lq = Here.net.train(), image(batch, 3, side, side)
    gt = torch.rand(batch, 3, upscale * side, upscale * side, device=Here.device)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)

    def step() -> None:
        new_step()
        with torch.autocast(Here.device.type, Here.dtype, enabled=Here.dtype != torch.float32):
            y = net(lq)
        F.l1_loss(y.float(), gt).backward()
        optimizer.step()
        optimizer.zero_grad()

    step()  # makes the optimizer's state
    return timed_round(step, Here.device)


@torch.inference_mode()
def forward_by_tiles(height: int, width: int, tile: int, overlap: int) -> float:
    """Seconds of an image at x4 by tiles, averaged where they overlap."""
    from asid_plugin.inference.tiling import tiled

    net, x = Here.net.eval().to(Here.dtype), image(1, 3, height, width, dtype=Here.dtype)
    return timed_round(lambda: tiled(net, x, 4, tile, overlap), Here.device)


def matmul_rate(device: str, dtype: torch.dtype = torch.float32, tf32: bool = False, side: int | None = None) -> float:
    """Multiply-adds a second of a large matrix product."""
    allow_tf32(tf32)
    side = side or (8192 if device == 'cuda' else 4096 if dtype == torch.float32 else 512)
    a = torch.rand(side, side, device=device).to(dtype)
    seconds = min(timed_round(lambda: a @ a, device) for _ in range(5))
    allow_tf32(False)
    return side**3 / seconds


def copy_rate(device: str, number: int = 2**26) -> float:
    """Bytes a second, read and written, of a large copy, of so many numbers of 4 bytes."""
    big = torch.rand(number, device=device)
    out = torch.empty_like(big)
    return 2 * big.nbytes / min(timed_round(lambda: out.copy_(big), device) for _ in range(5))


@torch.inference_mode()
def profiled(net: nn.Module, x: torch.Tensor, passes: int) -> list[tuple[str, float, float]]:
    """Operators of a forward pass that take time where it runs: name, calls a pass, share of the time."""
    on_gpu = x.device.type == 'cuda'
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    for _ in range(4):
        net(x)
    with profile(activities=activities) as found:
        timed(lambda: net(x), x.device, passes)
    # kernels are separate events, and also count in the time of the operators that launched them
    events = [event for event in found.key_averages() if event.device_type == DeviceType.CPU]
    seconds = {e.key: e.self_device_time_total if on_gpu else e.self_cpu_time_total for e in events}
    calls, total = {e.key: e.count for e in events}, sum(seconds.values())
    ranked = sorted(seconds, key=lambda name: -seconds[name])
    return [(name, calls[name] / passes, seconds[name] / max(total, 1e-9)) for name in ranked if seconds[name]]


@contextmanager
def processes(subjects: Sequence[Subject], device: str, threads: int) -> Iterator[dict[str, ProcessPoolExecutor]]:
    """A process for each network, by label."""
    context = multiprocessing.get_context('spawn')
    with ExitStack() as stack:
        yield {
            subject.label: stack.enter_context(ProcessPoolExecutor(1, context, start, (subject, device, threads)))
            for subject in subjects
        }


def in_turn(
    pools: Mapping[str, ProcessPoolExecutor], repeat: int, *task: Any, warm_up: int = 2
) -> dict[str, list[float]]:
    """Seconds of `repeat` rounds, by label; `warm_up` rounds before them don't count."""
    *_, seconds = rounds(pools, repeat, *task, warm_up=warm_up)
    return seconds


def rounds(
    pools: Mapping[str, ProcessPoolExecutor], repeat: int, *task: Any, warm_up: int
) -> Iterator[dict[str, list[float]]]:
    """As `in_turn`; yields the same dictionary after each round that counts, one entry a list longer."""
    seconds: dict[str, list[float]] = {label: [] for label in pools}
    for i in tqdm(range(repeat + warm_up), unit='round', desc=task[0].__name__, leave=False):
        for label, pool in pools.items():
            elapsed = pool.submit(*task).result()
            if i >= warm_up:
                seconds[label].append(elapsed)
        if i >= warm_up:
            yield seconds


def ratio(seconds: Mapping[str, Sequence[float]], label: str, base: str) -> float:
    """Median over the rounds."""
    return statistics.median(a / b for a, b in zip(seconds[label], seconds[base], strict=True))


def written(seconds: float) -> str:
    """Seconds to a thousandth, or to a microsecond where they are few, as on a GPU."""
    return f'{seconds:.3f}' if seconds >= 0.02 else f'{seconds:.6f}'


def time_rows(seconds: Mapping[str, Sequence[float]], bases: Sequence[str]) -> list[list[str]]:
    """Rows of label, median, spread, and ratio to each of `bases`."""
    return [
        [label, written(statistics.median(s)), f'{written(min(s))} to {written(max(s))}']
        + [f'{ratio(seconds, label, base):.3f}' for base in bases]
        for label, s in seconds.items()
    ]


def time_table(seconds: Mapping[str, Sequence[float]], bases: Sequence[str]) -> str:
    """A Markdown table of medians, spreads and ratios."""
    header = ['network', 'median s', 'min to max s', *(f'of {base}' for base in bases)]
    return markdown.table(header, time_rows(seconds, bases))


def passes_to_profile(device: str) -> int:
    """As many as a round has on a GPU; one on a CPU."""
    return PASSES if device == 'cuda' else 1
