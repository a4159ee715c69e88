"""Whole networks: forward pass, training step, and where the time goes."""

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from asid_plugin.archs import ASID
from asid_plugin.tf32 import allow_tf32
from measuring import (
    SETTINGS,
    SMALL_CNNS,
    Subject,
    copy_rate,
    forward,
    matmul_rate,
    passes_to_profile,
    plain_asid,
    processes,
    profiled,
    rounds,
    swinir_light,
    time_rows,
    training_step,
)

from .roofline import Traffic, traffic, traffic_of_pass
from .setup import Setup, Table, Tables, error_line, lacking

AT_ONCE = 2
"""Networks that compile at the same time."""
PLAIN = 'plain ASID'
SIZES: Mapping[str, Mapping[bool, tuple[int, ...]]] = {
    'forward': {False: (1, 180, 320), True: (1, 16, 24)},
    'training': {False: (16, 64), True: (1, 16)},
}
"""Of the LR images, by whether the check is small: batch, height, width; batch, side."""


def subjects(setup: Setup, upscale: int) -> tuple[list[Subject], list[str]]:
    """The networks to be measured, and notes on those that cannot be."""
    plain, asid = partial(plain_asid, upscale=upscale), partial(ASID, upscale=upscale)
    settings = ['float32', 'bfloat16'] if setup.small else list(SETTINGS)
    found = [Subject(PLAIN, plain, False), *(Subject('ASID', asid, False, setting) for setting in settings)]
    if setup.small:
        return found, []
    for name, build in SMALL_CNNS.items():
        found.append(Subject(name, partial(build, upscale), False, channels_last=True))
    if lacking('basicsr'):
        return found, ['SwinIR-light is left out: it is in BasicSR, which is not installed.']
    found += [Subject('SwinIR-light', partial(swinir_light, upscale), False, way) for way in ('float32', 'bfloat16')]
    return found, []


def warm_up(pools: Mapping[str, Executor], chosen: Sequence[Subject], *task: Any) -> dict[str, str]:
    """Run each network for the first time, and end the processes of those that fail; errors by label.

    One after the other, for together they need more memory than a card has; only compilation, which is long, overlaps.
    """
    errors = {}
    for at_once, compiled in ((1, False), (AT_ONCE, True)):
        labels = [subject.label for subject in chosen if ('compile_mode' in SETTINGS[subject.setting]) == compiled]
        with ThreadPoolExecutor(at_once) as threads:
            found = threads.map(lambda label: pools[label].submit(*task).exception(), labels)
            errors |= {label: error_line(error) for label, error in zip(labels, found, strict=True) if error}
    for label in errors:
        pools[label].shutdown()  # which gives its memory back
    return errors


def timed_tables(
    setup: Setup, title: str, chosen: Sequence[Subject], notes: list[str], *task: Any
) -> Generator[Table, None, dict[str, list[float]]]:
    """The table of times after each round; returns the seconds by label of the networks that ran."""
    seconds: dict[str, list[float]] = {}
    with processes(chosen, setup.device, setup.threads) as pools:
        errors = warm_up(pools, chosen, *task)
        running = {label: pool for label, pool in pools.items() if label not in errors}
        for seconds in rounds(running, setup.repeat, *task, warm_up=0 if setup.small else 1):
            yield timed_table(title, seconds, errors, notes)
    return seconds


def rates(setup: Setup) -> dict[str, float]:
    """Multiply-adds a second of a large matrix product, by setting without compilation."""
    ways = {'float32': {}, 'bfloat16': {'dtype': torch.bfloat16}}
    if setup.device == 'cuda':
        ways['TF32'] = {'tf32': True}
    side = 128 if setup.small else None
    return {name: matmul_rate(setup.device, side=side, **arguments) for name, arguments in ways.items()}


def arithmetic(setting: str) -> str:
    """The setting without compilation, which decides the time of a multiply-add."""
    return 'float32' if setting.startswith('compiled') else setting.partition(',')[0]


def distances(setup: Setup, chosen: Sequence[Subject], seconds: dict[str, list[float]], run: Callable) -> Table:
    """The distance of ASID from the bandwidth and the arithmetic of this machine."""
    bandwidth, products = copy_rate(setup.device, setup.copied), rates(setup)
    header = ['network', 'GB', 'GFLOP', 's by memory', 's by arithmetic', 's by both', 'of the time measured']
    table = Table('Distance to bandwidth and to the matrix units', header)
    found: dict[str, Traffic] = {}
    for subject in chosen:
        if subject.name == 'ASID' and subject.label in seconds:
            way = arithmetic(subject.setting)
            moved = found[way] = found.get(way) or run(way)
            least = moved.least_seconds(bandwidth, products[way])
            times = [moved.bytes / bandwidth, moved.multiply_adds / products[way], least]
            middle = sorted(seconds[subject.label])[len(seconds[subject.label]) // 2]
            cells = [f'{moved.bytes / 1e9:.2f}', f'{2 * moved.multiply_adds / 1e9:.1f}', *(f'{s:.6f}' for s in times)]
            table.rows.append([subject.label, *cells, f'{100 * least / middle:.0f} %'])
    flops = ', '.join(f'{2 * rate / 1e12:.3g} TFLOP a second in {name}' for name, rate in products.items())
    table.notes = [
        f'A large copy moves {bandwidth / 1e9:.0f} GB a second here; a large matrix product makes {flops}.',
        'Bytes are those that the operators of the eager network read and write, one after the other. A compiled '
        'network joins operators and may exceed 100 %.',
    ]
    return table


def timed_table(title: str, seconds: dict[str, list[float]], errors: dict[str, str], notes: list[str]) -> Table:
    """A table of times with ratios to the plain network, and to SwinIR-light where that was measured."""
    bases = [label for label in (PLAIN, 'SwinIR-light') if label in seconds]
    header = ['network', 'median s', 'min to max s', *(f'of {base}' for base in bases)]
    failures = [f'{label}: {error}' for label, error in errors.items()]
    return Table(title, header, time_rows(seconds, bases), notes, failures)


def forward_pass(setup: Setup) -> Tables:
    """At x4, in every setting."""
    batch, height, width = size = SIZES['forward'][setup.small]
    chosen, notes = subjects(setup, 4)
    title = f'Forward, x4 of {width}x{height}'
    seconds = yield from timed_tables(setup, title, chosen, notes, forward, *size)

    def run(way: str) -> Traffic:
        dtype = SETTINGS[way].get('dtype', torch.float32)
        net = ASID(upscale=4).eval().to(setup.device, dtype)
        return traffic_of_pass(net, torch.rand(batch, 3, height, width, device=setup.device, dtype=dtype))

    yield distances(setup, chosen, seconds, run)


def training(setup: Setup) -> Tables:
    """At x2, in every setting; bfloat16 by autocast."""
    batch, side = SIZES['training'][setup.small]
    chosen, notes = subjects(setup, 2)
    title = f'Training step, batch {batch} of {side}x{side}, x2'
    seconds = yield from timed_tables(setup, title, chosen, notes, training_step, batch, side)

    def run(way: str) -> Traffic:
        dtype = SETTINGS[way].get('dtype', torch.float32)
        net, lq = ASID(upscale=2).to(setup.device), torch.rand(batch, 3, side, side, device=setup.device)
        optimizer = torch.optim.AdamW(net.parameters(), fused=True)

        def step() -> None:
            with torch.autocast(setup.device, dtype, enabled=dtype != torch.float32):
                y = net(lq)
            F.l1_loss(y.float(), torch.zeros_like(y, dtype=torch.float32)).backward()
            optimizer.step()

        return traffic(step)

    yield distances(setup, chosen, seconds, run)


def profile(setup: Setup) -> Tables:
    """The operators that take the most time on the device, in float32 and bfloat16."""
    allow_tf32(False)
    batch, height, width = SIZES['forward'][setup.small]
    for dtype in (torch.float32,) if setup.small else (torch.float32, torch.bfloat16):
        net = ASID(upscale=4).eval().to(setup.device, dtype)
        x = torch.rand(batch, 3, height, width, device=setup.device, dtype=dtype)
        found = profiled(net, x, passes_to_profile(setup.device))
        rows = [[name, f'{calls:.0f}', f'{100 * share:.1f} %'] for name, calls, share in found[:15]]
        title = f'x4 of {width}x{height}, {str(dtype).removeprefix("torch.")}'
        yield Table(title, ['operation', 'calls', 'time on the device'], rows)
