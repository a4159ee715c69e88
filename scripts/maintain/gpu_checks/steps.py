"""Training steps as a training runs them: how often they wait for the device, and how long many of them take."""

import inspect
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from asid_plugin.archs import ASID
from asid_plugin.cost.timing import timed_round
from asid_plugin.tf32 import allow_tf32
from dispatch_counts import Counts  # of tests/, which .setup has put on the path

from .networks import SIZES
from .setup import Setup, Table, Tables, error_line, lacking

STEPS = 5
ITERATIONS = 3_200_000
"""Of the paper's training."""
Step = Callable[[], object]
MODELS: Mapping[str, dict[str, Any]] = {
    'float32': {},
    'bf16': {'amp': 'bf16'},
    'fp16, clipped': {'amp': 'fp16', 'grad_clip': 0.1},
    'accumulated twice': {'accumulate': 2},
    'averaged weights': {'ema_decay': 0.999},
}
"""Options under `train` of `ASIDModel`."""
FASTER: Mapping[str, dict[str, Any]] = {
    'TF32': {'tf32': True},
    'bf16, compiled': {'amp': 'bf16', 'compile': True},
    'bf16, compiled, CUDA graph': {'amp': 'bf16', 'compile': {'mode': 'reduce-overhead'}},
}
"""Further ways to run 3.2 million iterations on a GPU."""


def plain_step(setup: Setup, amp: str | None = None, compile: Any = None, tf32: bool = False) -> Step:
    """A step as one writes it in PyTorch: no look at the loss, no clipping."""
    allow_tf32(tf32)
    batch, side = SIZES['training'][setup.small]
    dtype = torch.bfloat16 if amp == 'bf16' else torch.float32
    net, lq = ASID(upscale=2).to(setup.device), torch.rand(batch, 3, side, side, device=setup.device)
    gt = torch.rand(batch, 3, 2 * side, 2 * side, device=setup.device)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    if compile:
        net.compile(**(compile if isinstance(compile, dict) else {}))

    def step() -> None:
        with torch.autocast(setup.device, dtype, enabled=dtype != torch.float32):
            y = net(lq)
        F.l1_loss(y.float(), gt).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def options(setup: Setup, folder: Path, compile: Any, train: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `ASIDModel` as BasicSR's train script makes them of a file, without data."""
    paths = {name: str(folder / name) for name in ('models', 'training_states', 'visualization')}
    return {
        'model_type': 'ASIDModel',
        'scale': 2,
        'num_gpu': int(setup.device == 'cuda'),
        'is_train': True,
        'dist': False,
        'rank': 0,
        'world_size': 1,
        'datasets': {},
        'network_g': {'type': 'ASID', 'upscale': 2},
        'compile': compile,
        'path': {'pretrain_network_g': None, 'strict_load_g': True, 'resume_state': None, **paths},
        'train': {
            'optim_g': {'type': 'AdamW', 'lr': 5e-4, 'weight_decay': 0, 'fused': True},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [ITERATIONS], 'gamma': 0.5},
            'total_iter': ITERATIONS,
            'pixel_opt': {'type': 'L1Loss'},
            **train,
        },
        'logger': {},
    }


def model_step(setup: Setup, folder: Path, compile: Any = None, **train: Any) -> Step:
    """A step of `ASIDModel` on pinned images of the CPU, as its loader hands them over."""
    import asid_plugin  # noqa: F401  # before BasicSR

    # isort: split
    from basicsr.models import build_model

    batch, side = SIZES['training'][setup.small]
    images = {'lq': torch.rand(batch, 3, side, side), 'gt': torch.rand(batch, 3, 2 * side, 2 * side)}
    if setup.device == 'cuda':
        images = {name: image.pin_memory() for name, image in images.items()}
    model = build_model(options(setup, folder, compile, train))
    iteration = 0

    def step() -> None:
        nonlocal iteration
        iteration += 1
        model.feed_data({name: image.to(setup.device, non_blocking=True) for name, image in images.items()})
        model.optimize_parameters(iteration)

    return step


@contextmanager
def steps(setup: Setup, ways: Mapping[str, dict[str, Any]]) -> Iterator[dict[str, Callable[[], Step]]]:
    """The builders of a step by name: PyTorch's, and that of `ASIDModel` if BasicSR is installed."""
    with tempfile.TemporaryDirectory() as folder:
        found = {'PyTorch': lambda: plain_step(setup)}
        if lacking('basicsr'):
            chosen = {name: way for name, way in ways.items() if way and set(way) <= {'amp', 'compile', 'tf32'}}
            found |= {f'PyTorch, {name}': lambda way=way: plain_step(setup, **way) for name, way in chosen.items()}
        else:
            found |= {
                f'ASIDModel, {name}': lambda way=way: model_step(setup, Path(folder), **way)
                for name, way in ways.items()
            }
        yield found


@contextmanager
def event_waits() -> Iterator[Counter[str]]:
    """Counts, by place, waits for an event that the device has not reached; PyTorch's own count lacks them."""
    places: Counter[str] = Counter()
    original = torch.cuda.Event.synchronize

    def synchronize(event: torch.cuda.Event) -> None:
        if not event.query():
            caller = inspect.stack(context=0)[1]
            places[f'{Path(caller.filename).name}:{caller.lineno}'] += 1
        original(event)

    torch.cuda.Event.synchronize = synchronize
    try:
        yield places
    finally:
        torch.cuda.Event.synchronize = original


def waits(setup: Setup, step: Step) -> tuple[int, list[str]]:
    """How often `STEPS` steps wait for the device, and from which lines; on a CPU, would wait."""
    if setup.device != 'cuda':
        with Counts() as counts:
            for _ in range(STEPS):
                step()
        return counts.synchronisations, []
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as seen, event_waits() as places:
            warnings.simplefilter('always')
            for _ in range(STEPS):
                step()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    found = [w for w in seen if 'synchroniz' in str(w.message)]
    places.update(f'{Path(w.filename).name}:{w.lineno}' for w in found)
    return places.total(), [f'{place} ({times})' for place, times in places.most_common(3)]


def synchronisations(setup: Setup) -> Tables:
    """Of five steps, after three that don't count."""
    torch.set_num_threads(setup.threads)
    ways = {name: MODELS[name] for name in ('float32', 'fp16, clipped')} if setup.small else MODELS
    header = ['training', f'synchronisations of {STEPS} steps', 'operators that a step launches', 'most come from']
    table = Table(f'{STEPS} training steps', header, notes=basicsr_notes())
    with steps(setup, ways) as found:
        for name, build in found.items():
            try:
                step = build()
                for _ in range(1 if setup.small else 3):
                    step()
                number, places = waits(setup, step)
                with Counts() as counts:
                    step()
                table.rows.append([name, str(number), str(counts.launches), ', '.join(places)])
            except Exception as error:
                table.failures.append(f'{name}: {error_line(error)}')
            yield table


def basicsr_notes() -> list[str]:
    """Notes on the rows that are missing without BasicSR."""
    if lacking('basicsr'):
        return ['ASIDModel is left out: BasicSR is not installed. These are steps of PyTorch alone.']
    return []


def iterations(setup: Setup) -> Tables:
    """Days of the recipe's iterations, batch 16 of 64x64 at x2, by the seconds of a step; data come in time."""
    torch.set_num_threads(setup.threads)
    names = ('float32', 'bf16', 'fp16, clipped')
    ways = {name: MODELS[name] for name in names[: 1 if setup.small else None]}
    if setup.device == 'cuda':
        ways |= FASTER
    batch, side = SIZES['training'][setup.small]
    header = ['training', 's an iteration', f'days of {ITERATIONS:,}', 'samples a second that it takes']
    table = Table(f'Batch {batch} of {side}x{side}, x2', header, notes=basicsr_notes())
    table.notes.append('Of the steps alone; validation, and data that come late, are not in them.')
    with steps(setup, ways) as found:
        for name, build in found.items():
            way = dict(ways.get(name.partition(', ')[2], {}))
            try:
                allow_tf32(way.get('tf32', False))
                step = build()
                step()
                seconds = timed_round(step, setup.device)
                allow_tf32(False)
            except Exception as error:
                table.failures.append(f'{name}: {error_line(error)}')
            else:
                days = ITERATIONS * seconds / 86400
                table.rows.append([name, f'{seconds:.4f}', f'{days:.1f}', f'{batch / seconds:.0f}'])
            yield table
