"""Measure time and memory of ASID, beside SwinIR-light, which comes with BasicSR, and a plain ASID.

    python scripts/maintain/benchmark.py                   # all rows, on two threads of the CPU: a quarter of an hour
    python scripts/maintain/benchmark.py forward training  # some rows
    python scripts/maintain/benchmark.py forward training --device cuda

Every network runs in a process of its own, and all of them in turn, so that a slow minute of a shared machine slows
them all: quote ratios, which are medians over rounds, not seconds. The plain ASID is the one that tests/reference.py
writes down in NCHW. *Kept* means that the process keeps freed memory (`keep_freed_memory`), as our commands do;
without, it is as PyTorch comes. IMDN and RFDN are the small CNNs that a user would take instead: no library here has
them, so they are our own plain re-implementations, tests/small_cnns.py, of the published sizes.

On a GPU a time is a mean over about 50 passes between two CUDA events, TF32 is off but in the row that names it, and
operators are ranked by their time on the device.
"""

import argparse
import platform
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

import benchmark_data
from asid_plugin import markdown
from asid_plugin.archs import ASID
from asid_plugin.cost import measure
from asid_plugin.cost.complexity import count_parameters, counted_multiply_adds, input_size, multiply_adds
from asid_plugin.export import EXPORT_FORMATS, export
from asid_plugin.inference.memory import keep_freed_memory
from asid_plugin.inference.runtimes import load_openvino
from asid_plugin.inference.tiling import tile_starts
from asid_plugin.tf32 import allow_tf32
from asid_plugin.tiles import OVERLAP, TILE
from measuring import (
    SETTINGS,
    SMALL_CNNS,
    Subject,
    copy_rate,
    forward,
    forward_by_tiles,
    in_turn,
    matmul_rate,
    passes_to_profile,
    plain_asid,
    processes,
    profiled,
    ratio,
    small_cnns,
    swinir_light,
    time_table,
    training_step,
)

YARDSTICK = 'IMDN (channels-last, kept)'
"""The row of the forward table that a user's choice is between; on a GPU memory is kept anyway."""


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
    size, on_cpu = input_size(4), args.device == 'cpu'
    deep = Subject('ASID-D8', partial(ASID, upscale=4, num_block=8), on_cpu)
    yardsticks = [Subject('SwinIR-light', partial(swinir_light, 4), kept) for kept in (False, *[True] * on_cpu)]
    subjects = [*yardsticks, *small_cnns(4, on_cpu), *subjects_of(4, args), deep, *runtimes_of(4, args)]
    with processes(subjects, args.device, args.threads) as pools:
        seconds = in_turn(pools, args.repeat, forward, 1, *size)
    bases = [*(subject.label for subject in yardsticks), YARDSTICK if on_cpu else 'IMDN (channels-last)']
    print(f'\n## Forward, x4 of {size[1]}x{size[0]}\n\n{time_table(seconds, bases)}')
    times = ratio(seconds, deep.label, 'ASID (kept)' if on_cpu else 'ASID')
    load = multiply_adds(deep.build(), *size) / multiply_adds(ASID(upscale=4), *size)
    print(f"\nASID-D8 takes {times:.2f} times ASID's time; multiply-adds: {load:.2f} times.")
    print_limits(args, size)


def print_limits(args: argparse.Namespace, size: tuple[int, int]) -> None:
    """Multiply-adds of the networks, and the rates at which this machine multiplies and copies."""
    torch.set_num_threads(args.threads)
    flops, asid = matmul_rate(args.device), multiply_adds(ASID(upscale=4), *size)
    counts = {'ASID': (ASID(upscale=4), asid)}
    for name, build in SMALL_CNNS.items():
        counts[name] = build(4), counted_multiply_adds(build(4).to('meta'), *size)
    rows = [
        [name, f'{count_parameters(net):,}', f'{count / 1e9:.1f}', f'{count / asid:.2f}']
        for name, (net, count) in counts.items()
    ]
    print(f'\n{markdown.table(["network", "parameters", "multiply-adds, G", "of ASID"], rows)}\n')
    print(
        f'A matrix product here makes {2 * flops / 1e9:.0f} GFLOP a second: ASID would take {asid / flops:.4f} s at '
        'that rate.'
    )
    print(f'A copy here moves {copy_rate(args.device) / 1e9:.0f} GB a second.')


def measure_training(args: argparse.Namespace) -> None:
    """A step of 8 patches of 48x48 at x2."""
    subjects = [subject for subject in subjects_of(2, args) if subject.kept or args.device == 'cuda']
    with processes(subjects, args.device, args.threads) as pools:
        seconds = in_turn(pools, args.repeat, training_step, 8, 48)
    print(f'\n## Training step, batch 8 of 48x48, x2\n\n{time_table(seconds, [subjects[0].label])}')


def measure_tiles(args: argparse.Namespace) -> None:
    """2040x1356 at x4 by 64x64 tiles, against the image as a whole, pixel for pixel that the network sees."""
    height, width = 339, 510
    num_tiles = len(tile_starts(height, TILE, OVERLAP)) * len(tile_starts(width, TILE, OVERLAP))
    with processes([Subject('ASID', partial(ASID, upscale=4))], args.device, args.threads) as pools:
        tiles = in_turn(pools, args.repeat, forward_by_tiles, height, width, TILE, OVERLAP)['ASID (kept)']
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
    with processes([Subject('ASID', partial(ASID, upscale=2))], args.device, args.threads) as pools:
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
    allow_tf32(False)
    net, x = ASID(upscale=4).eval().to(args.device), torch.rand(1, 3, *input_size(4), device=args.device)
    rows = [
        [name, f'{calls:.0f}', f'{100 * share:.0f} %']
        for name, calls, share in profiled(net, x, passes_to_profile(args.device))[:12]
    ]
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
    parser.add_argument('--settings', nargs='+', choices=SETTINGS, default=[], help='further settings on a CPU')
    args = parser.parse_args()
    if unknown := set(args.what) - set(MEASURES):
        parser.error(f'{", ".join(sorted(unknown))}: unknown row; choose from {", ".join(MEASURES)}')
    where = torch.cuda.get_device_name() if args.device == 'cuda' else f'{platform.machine()}, {args.threads} threads'
    print(f'{where}, torch {torch.__version__}; ASID x4 has {count_parameters(ASID(upscale=4)):,} parameters')
    for name in args.what or MEASURES:
        MEASURES[name](args)


if __name__ == '__main__':
    main()
