"""Measure what ASID costs against SwinIR-light, which every machine with BasicSR has, and against a plain ASID.

    python scripts/maintain/benchmark.py                   # all rows, on two threads of the CPU: a quarter of an hour
    python scripts/maintain/benchmark.py forward training  # some rows
    python scripts/maintain/benchmark.py forward training --device cuda

Every network runs in a process of its own, and all of them in turn, so that a slow minute of a shared machine slows
them all: quote ratios, which are medians over rounds, not seconds. The plain ASID is the one that tests/reference.py
writes down in NCHW. *Kept* means that the process keeps freed memory (`keep_freed_memory`), as our commands do;
without, it is as PyTorch comes.
"""

import argparse
import multiprocessing
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.profiler import profile
from tqdm import tqdm

import benchmark_data
from asid_plugin import markdown
from asid_plugin.archs import ASID
from asid_plugin.cost import measure
from asid_plugin.cost.complexity import count_parameters, input_size, multiply_adds
from asid_plugin.cost.yardstick import SwinIRLight
from asid_plugin.export import EXPORT_FORMATS, export
from asid_plugin.inference.memory import keep_freed_memory
from asid_plugin.inference.runtimes import load_openvino
from asid_plugin.inference.tiling import tile_starts, tiled
from asid_plugin.tiles import OVERLAP, TILE

sys.path.append(str(Path(__file__).resolve().parents[2] / 'tests'))
from reference import PlainASID  # the tests' plain network

SETTINGS: dict[str, dict[str, Any]] = {
    'float32': {},
    'TF32': {'tf32': True},
    'bfloat16': {'dtype': torch.bfloat16},
    'compiled': {'compile_mode': 'default'},
    'compiled, CUDA graph': {'compile_mode': 'reduce-overhead'},
    'bfloat16, compiled, CUDA graph': {'dtype': torch.bfloat16, 'compile_mode': 'reduce-overhead'},
}


def plain_asid(**arguments: int) -> nn.Module:
    """The plain network of the tests."""
    return PlainASID(ASID(**arguments))


def exported_asid(suffix: str, fixed: bool = False, **arguments: int) -> nn.Module:
    """ASID in another runtime, by its format's suffix; `fixed` to the size of `measure_forward`'s image."""
    file_format = {form.suffix: name for name, form in EXPORT_FORMATS.items()}[suffix]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f'asid{suffix}'
        export(ASID(**arguments).eval(), path, file_format)
        exported = load_openvino(path, (1, 3, *input_size(4))) if fixed else EXPORT_FORMATS[file_format].load(path)
    return Exported(exported.run)


class Exported(nn.Module):
    """A network in another runtime, which PyTorch's `to` and `eval` don't reach."""

    def __init__(self, run: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) to (B, 3, kH, kW)."""
        return self.run(x)


def kept_asid(**arguments: int) -> nn.Module:
    """ASID in a process that keeps freed memory."""
    keep_freed_memory()
    return ASID(**arguments)


@dataclass(frozen=True)
class Subject:
    """A network to be measured.

    Attributes:
        name: In the tables.
        build: Makes it; can be pickled.
        kept: Whether its process keeps freed memory.
        setting: A key of `SETTINGS`.
    """

    name: str
    build: Callable[[], nn.Module]
    kept: bool = True
    setting: str = 'float32'

    @property
    def label(self) -> str:
        """The name with what is special."""
        notes = [note for note, there in (('kept', self.kept), (self.setting, self.setting != 'float32')) if there]
        return f'{self.name} ({", ".join(notes)})' if notes else self.name


class Here:
    """What a measuring process holds: the network, where it is, and in what precision."""

    net: nn.Module
    device: torch.device
    dtype: torch.dtype


def _start(subject: Subject, device: str, threads: int) -> None:
    torch.set_num_threads(threads)
    if subject.kept:
        keep_freed_memory()
    setting = SETTINGS[subject.setting]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = bool(setting.get('tf32'))
    Here.device, Here.dtype = torch.device(device), setting.get('dtype', torch.float32)
    Here.net = subject.build().to(Here.device)
    if 'compile_mode' in setting:
        Here.net.compile(mode=setting['compile_mode'])


def _timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    if Here.device.type == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.inference_mode()
def forward(batch: int, height: int, width: int) -> float:
    """Seconds of a pass without gradients."""
    x = torch.rand(batch, 3, height, width, device=Here.device, dtype=Here.dtype)
    return _timed(lambda: Here.net.eval().to(Here.dtype)(x))


@torch.inference_mode()
def forward_by_tiles(height: int, width: int) -> float:
    """Seconds of an image by the tiles of the paper's protocol."""
    x = torch.rand(1, 3, height, width, device=Here.device, dtype=Here.dtype)
    return _timed(lambda: tiled(Here.net.eval(), x, 4, TILE, OVERLAP))


def training_step(batch: int, side: int) -> float:
    """Seconds of forward, backward and AdamW's step at x2; bfloat16 is autocast."""
    net, lq = Here.net, torch.rand(batch, 3, side, side, device=Here.device)
    gt = torch.rand(batch, 3, 2 * side, 2 * side, device=Here.device)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)

    def step() -> None:
        with torch.autocast(Here.device.type, Here.dtype, enabled=Here.dtype != torch.float32):
            y = net(lq)
        F.l1_loss(y.float(), gt).backward()
        optimizer.step()
        optimizer.zero_grad()

    step()  # makes the optimizer's state
    return _timed(step)


def rates(device: str, threads: int) -> tuple[float, float]:
    """Multiply-adds a second of a large matrix product in float32, and bytes a second of a large copy."""
    torch.set_num_threads(threads)
    Here.device = torch.device(device)
    a, big = torch.rand(4096, 4096, device=device), torch.rand(2**26, device=device)
    out = torch.empty_like(big)
    product = min(_timed(lambda: a @ a) for _ in range(5))
    return 4096**3 / product, 2 * big.nbytes / min(_timed(lambda: out.copy_(big)) for _ in range(5))


@contextmanager
def processes(subjects: list[Subject], args: argparse.Namespace) -> Iterator[dict[str, ProcessPoolExecutor]]:
    """A process for each network, by label."""
    context = multiprocessing.get_context('spawn')
    with ExitStack() as stack:
        yield {
            subject.label: stack.enter_context(
                ProcessPoolExecutor(1, context, _start, (subject, args.device, args.threads))
            )
            for subject in subjects
        }


def in_turn(pools: dict[str, ProcessPoolExecutor], repeat: int, *task: Any) -> dict[str, list[float]]:
    """Seconds of `repeat` rounds, by label; two rounds before them don't count."""
    seconds: dict[str, list[float]] = {label: [] for label in pools}
    for i in tqdm(range(repeat + 2), unit='round', desc=task[0].__name__, leave=False):
        for label, pool in pools.items():
            elapsed = pool.submit(*task).result()
            if i > 1:
                seconds[label].append(elapsed)
    return seconds


def ratio(seconds: dict[str, list[float]], label: str, base: str) -> float:
    """Median over the rounds."""
    return statistics.median(a / b for a, b in zip(seconds[label], seconds[base], strict=True))


def time_table(seconds: dict[str, list[float]], bases: list[str]) -> str:
    """A Markdown table of medians, spreads and ratios."""
    rows = [
        [label, f'{statistics.median(s):.3f}', f'{min(s):.3f} to {max(s):.3f}']
        + [f'{ratio(seconds, label, base):.3f}' for base in bases]
        for label, s in seconds.items()
    ]
    return markdown.table(['network', 'median s', 'min to max s', *(f'of {base}' for base in bases)], rows)


def subjects_of(upscale: int, args: argparse.Namespace) -> list[Subject]:
    """The networks on this device: on a GPU in every setting, on a CPU with and without kept memory."""
    plain, asid = partial(plain_asid, upscale=upscale), partial(ASID, upscale=upscale)
    if args.device == 'cuda':
        return [Subject('plain ASID', plain, False), *(Subject('ASID', asid, False, setting) for setting in SETTINGS)]
    both = [Subject(name, build, kept) for name, build in (('plain ASID', plain), ('ASID', asid)) for kept in (0, 1)]
    return [*both, *(Subject('ASID', asid, True, setting) for setting in args.settings)]


def runtimes_of(upscale: int, args: argparse.Namespace) -> list[Subject]:
    """ASID exported to other runtimes, on a CPU."""
    settings = {'ONNX Runtime': ('.onnx',), 'OpenVINO': ('.xml',), 'OpenVINO, fixed size': ('.xml', True)}
    if args.device != 'cpu':
        return []
    return [Subject(name, partial(exported_asid, *setting, upscale=upscale)) for name, setting in settings.items()]


def measure_forward(args: argparse.Namespace) -> None:
    """320x180 to 1280x720."""
    size = input_size(4)
    deep = Subject('ASID-D8', partial(ASID, upscale=4, num_block=8), args.device == 'cpu')
    yardsticks = [Subject('SwinIR-light', partial(SwinIRLight, 4), False)]
    if args.device == 'cpu':
        yardsticks.append(Subject('SwinIR-light', partial(SwinIRLight, 4)))
    with processes([*yardsticks, *subjects_of(4, args), deep, *runtimes_of(4, args)], args) as pools:
        seconds = in_turn(pools, args.repeat, forward, 1, *size)
    labels = [subject.label for subject in yardsticks]
    print(f'\n## Forward, x4 of {size[1]}x{size[0]}\n\n{time_table(seconds, labels)}')
    shallow = 'ASID (kept)' if args.device == 'cpu' else 'ASID'
    times = ratio(seconds, deep.label, shallow)
    load = multiply_adds(deep.build(), *size) / multiply_adds(ASID(upscale=4), *size)
    print(f"\nASID-D8 takes {times:.2f} times ASID's time; multiply-adds: {load:.2f} times.")
    flops, bandwidth = rates(args.device, args.threads)
    limit = multiply_adds(ASID(upscale=4), *size) / flops
    print(
        f'A matrix product here makes {2 * flops / 1e9:.0f} GFLOP a second: ASID would take {limit:.3f} s at that rate.'
    )
    print(f'A copy here moves {bandwidth / 1e9:.0f} GB a second.')


def measure_training(args: argparse.Namespace) -> None:
    """A step of 8 patches of 48x48 at x2."""
    subjects = [subject for subject in subjects_of(2, args) if subject.kept or args.device == 'cuda']
    with processes(subjects, args) as pools:
        seconds = in_turn(pools, args.repeat, training_step, 8, 48)
    print(f'\n## Training step, batch 8 of 48x48, x2\n\n{time_table(seconds, [subjects[0].label])}')


def measure_tiles(args: argparse.Namespace) -> None:
    """2040x1356 at x4 by 64x64 tiles, against the image as a whole, pixel for pixel that the network sees."""
    height, width = 339, 510
    num_tiles = len(tile_starts(height, TILE, OVERLAP)) * len(tile_starts(width, TILE, OVERLAP))
    with processes([Subject('ASID', partial(ASID, upscale=4))], args) as pools:
        tiles = in_turn(pools, args.repeat, forward_by_tiles, height, width)['ASID (kept)']
        whole = in_turn(pools, args.repeat, forward, 1, height, width)['ASID (kept)']
    share = height * width / (num_tiles * TILE**2)
    ratios = [a / b * share for a, b in zip(tiles, whole, strict=True)]
    print(
        f'\n## Tiles: {width}x{height} at x4 by {num_tiles} tiles of {TILE}x{TILE}, overlap {OVERLAP}\n\n'
        f'{statistics.median(tiles):.2f} s by tiles, {statistics.median(whole):.2f} s as one image. A pixel of a tile '
        f'costs {statistics.median(ratios):.2f} times one of the image ({min(ratios):.2f} to {max(ratios):.2f}).'
    )


def measure_area(args: argparse.Namespace) -> None:
    """Time against area at x2."""
    sides = (64, 128, 256, 512, 1024)
    with processes([Subject('ASID', partial(ASID, upscale=2))], args) as pools:
        label = next(iter(pools))
        seconds = {side: in_turn(pools, args.repeat, forward, 1, side, side)[label] for side in sides}
    per_pixel = {side: statistics.median(s) / side**2 * 1e6 for side, s in seconds.items()}
    rows = [
        [
            f'{side}²',
            f'{statistics.median(s):.3f}',
            f'{min(s):.3f} to {max(s):.3f}',
            f'{per_pixel[side]:.2f}',
            f'{per_pixel[side] / per_pixel[256]:.2f}',
        ]
        for side, s in seconds.items()
    ]
    header = ['LR image', 'median s', 'min to max s', 'µs a pixel', 'of that at 256²']
    print(f'\n## Time against area, x2\n\n{markdown.table(header, rows)}')


def measure_memory(args: argparse.Namespace) -> None:
    """Peak memory of a whole image."""
    height, width = 678, 1020
    builds = {'plain ASID': plain_asid, 'ASID': ASID, 'ASID (kept)': kept_asid}
    costs = {
        name: measure(partial(build, upscale=2), (height, width), 1, args.threads, args.device)
        for name, build in tqdm(builds.items(), desc='memory', leave=False)
    }
    base = costs['plain ASID'].peak_bytes
    rows = [
        [name, f'{c.peak_bytes / 2**20:.0f}', f'{c.peak_bytes / base:.2f}', f'{c.seconds:.1f}']
        for name, c in costs.items()
    ]
    print(
        f'\n## Peak memory, {width}x{height} at x2\n\n{markdown.table(["network", "MiB", "of plain", "seconds"], rows)}'
    )


def measure_data(args: argparse.Namespace) -> None:
    """Samples a second of a data loader."""
    print(f'\n## Data, 64x64 LR patches at x2, one worker\n\n{benchmark_data.table(args.repeat)}')


def measure_profile(args: argparse.Namespace) -> None:
    """Where the time of a forward pass goes, operation by operation."""
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    net, x = ASID(upscale=4).eval().to(args.device), torch.rand(1, 3, *input_size(4), device=args.device)
    with torch.inference_mode():
        for _ in range(4):
            net(x)
        with profile() as found:
            net(x)
    events = sorted(found.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    rows = [[e.key, str(e.count), f'{100 * e.self_cpu_time_total / total:.0f} %'] for e in events[:12]]
    print(f'\n## Where the time of a forward pass goes\n\n{markdown.table(["operation", "calls", "time"], rows)}')


MEASURES = {
    'forward': measure_forward,
    'tiles': measure_tiles,
    'training': measure_training,
    'data': measure_data,
    'memory': measure_memory,
    'area': measure_area,
    'profile': measure_profile,
}


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', nargs='*', metavar='ROW', help=f'{", ".join(MEASURES)} (default: all)')
    parser.add_argument('--repeat', type=int, default=7, help='rounds that count (default: 7)')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--settings', nargs='+', choices=SETTINGS, default=[], help='besides float32, on a CPU')
    args = parser.parse_args()
    if unknown := set(args.what) - set(MEASURES):
        parser.error(f'{", ".join(sorted(unknown))}: no such row; there are {", ".join(MEASURES)}')
    where = torch.cuda.get_device_name() if args.device == 'cuda' else f'{platform.machine()}, {args.threads} threads'
    print(f'{where}, torch {torch.__version__}; ASID x4 has {count_parameters(ASID(upscale=4)):,} parameters')
    for name in args.what or MEASURES:
        MEASURES[name](args)


if __name__ == '__main__':
    main()
