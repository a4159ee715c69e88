"""Pictures: the same as on the CPU, as large as memory allows, and refused by a sentence beyond."""

import contextlib
import io
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import torch

from asid_plugin.archs import ASID, OmniSR
from asid_plugin.cost.timing import timed_round
from asid_plugin.tf32 import allow_tf32

from .setup import ROOT, Setup, Table, Tables, error_line

PICTURE = ROOT / 'asid_plugin' / 'demo' / 'pictures' / 'budgie.webp'
LARGE = 2056
"""Side of a picture of more than 65,536 windows of 8x8."""
LARGE_NETWORKS = {'ASID': lambda: ASID(upscale=2), 'OmniSR, one block': lambda: OmniSR(upscale=2, num_block=1)}
"""Whose windows are a batch of attention: by matrix products, and by PyTorch's own attention."""
WAYS = (('float32', False, 0), ('float32', False, 64), ('half', True, 0), ('half', True, 64))
"""Precision, `--half`, and `--tile`."""
WORST = {False: 1, True: 12}
"""Levels of 255 that a pixel may differ from the CPU's, by `--half`."""
SENTENCE = 'out of memory at '
ENOUGH = 300 * 2**20
"""Bytes left to a process that is to run out of memory: for the network, not for the picture."""


def upscale(setup: Setup) -> Tables:
    """A photograph at x2 in float32 and half, whole and by tiles, against float32 on the CPU."""
    from asid_plugin.images import Image, read_image
    from asid_plugin.inference.upscaler import load_upscaler

    torch.set_num_threads(setup.threads)
    allow_tf32(False)
    side = 68 if setup.small else 256
    picture = Image(np.ascontiguousarray(read_image(PICTURE).pixels[:side, :side, :3]))
    header = ['network', 's', 'levels of 255 apart, at most', 'PSNR to the CPU, dB']
    table = Table(f"x2 of {side}x{side}, against the CPU's float32", header)
    for name, half, tile in WAYS[:2] if setup.small else WAYS:
        # of the same tiles: they differ from the whole picture near their borders
        expected = load_upscaler('packaged:x2', tile=tile, device='cpu')(picture).pixels.astype(float)
        upscaler = load_upscaler('packaged:x2', tile=tile, device=setup.device, half=half)
        seconds = timed_round(lambda upscaler=upscaler: upscaler(picture), setup.device)
        apart = upscaler(picture).pixels - expected
        psnr = 10 * np.log10(255**2 / max(np.square(apart).mean(), 1e-6))
        label = f'{name}, {f"tiles of {tile}" if tile else "whole"}'
        worst = int(np.abs(apart).max())
        table.rows.append([label, f'{seconds:.3f}', str(worst), f'{psnr:.1f}'])
        if worst > WORST[half]:
            table.failures.append(
                f'{label}: a pixel is {worst} levels from the CPU; at most {WORST[half]} was expected'
            )
    yield table


@torch.inference_mode()
def large(setup: Setup) -> Tables:
    """A picture of more than 65,536 windows, as a whole."""
    torch.set_num_threads(setup.threads)
    allow_tf32(False)
    side = 32 if setup.small else LARGE
    table = Table(f'x2 of {side}x{side}, whole', ['network', 's', 'peak memory, MiB', 'finite'])
    half = torch.float16 if setup.device == 'cuda' else torch.bfloat16
    for (network, build), dtype in product(
        LARGE_NETWORKS.items(), (torch.float32,) if setup.small else (torch.float32, half)
    ):
        name = f'{network}, {str(dtype).removeprefix("torch.")}'
        try:
            net = build().eval().to(setup.device, dtype)
            x = torch.rand(1, 3, side, side, device=setup.device, dtype=dtype)
            if setup.device == 'cuda':
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            finite = bool(net(x).isfinite().all())
            seconds = timed_round(lambda net=net, x=x: net(x), setup.device)
            peak = f'{torch.cuda.max_memory_allocated() / 2**20:.0f}' if setup.device == 'cuda' else ''
            table.rows.append([name, f'{seconds:.3f}', peak, str(finite)])
            if not finite:
                table.failures.append(f'{name}: the output is not finite')
        except RuntimeError as error:
            table.failures.append(f'{name}: {error_line(error)}')
        yield table


def limit_memory(device: str) -> None:
    """Leave this process `ENOUGH` bytes more than it has."""
    if device == 'cuda':
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + ENOUGH) / total)
        return
    import resource

    used = int(Path('/proc/self/statm').read_text('ascii').split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ENOUGH, used + ENOUGH))


def out_of_memory(setup: Setup) -> Tables:
    """`asid upscale` on a picture that memory is too small for: exit status 1 and a sentence, no file."""
    torch.set_num_threads(setup.threads)
    table = Table('asid upscale --tile 0', ['picture', 'exit status', 'it says'])
    if setup.device == 'cpu' and sys.platform != 'linux':
        table.notes.append('Left out: without a GPU, only Linux can limit the memory of a process.')
        yield table
        return
    with tempfile.TemporaryDirectory() as folder:
        enlarge(table, Path(folder), 'small', 24, setup.device, expected=0)
        limit_memory(setup.device)
        enlarge(table, Path(folder), 'large', 1500, setup.device, expected=1)
    yield table


def enlarge(table: Table, folder: Path, name: str, side: int, device: str, expected: int) -> None:
    """Enlarge a picture of this side by the command; note in the table how it ended, and whether that is right."""
    import cv2

    from asid_plugin.commands.main import main

    source, target, said = folder / f'{name}.png', folder / f'{name}_x2.png', io.StringIO()
    cv2.imwrite(str(source), np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        status = main(['upscale', str(source), '-o', str(target), '--tile', '0', '--device', device])
    lines = [line.replace(str(folder), '') for line in said.getvalue().strip().splitlines()] or ['']
    line = next((line for line in lines if SENTENCE in line), lines[-1])[:200]
    table.rows.append([f'{name}, {side}x{side}', str(status), line])
    if status != expected or (SENTENCE in line) != bool(expected):
        table.failures.append(f'{name}: exit status {status}, {expected} was expected; it says: {line}')
    if target.exists() == bool(expected):
        table.failures.append(f'{name}: the output is {"there" if expected else "not there"}')
