"""Time a forward pass of ASID against BasicSR's SwinIR-light, everything in one run, in turn.

    python scripts/benchmark.py                    # 320x180 to 1280x720 on the CPU, two threads, float32, eager
    python scripts/benchmark.py --networks ASID ASID-compiled ASID-D8 --repeat 9
    python scripts/benchmark.py --device cuda --dtype float16

Quote the ratio, which is the median over pairs of passes that were made one after the other; seconds differ between
machines and, on a shared one, between minutes.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from asid_plugin.archs import ASID
from asid_plugin.complexity import count_parameters
from asid_plugin.yardstick import SwinIRLight

YARDSTICK = 'SwinIR-light'


def compiled(net: nn.Module) -> nn.Module:
    """Compile in place with torch's default backend."""
    net.compile()
    return net


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    YARDSTICK: SwinIRLight,
    'ASID': lambda upscale: ASID(upscale=upscale),
    'ASID-compiled': lambda upscale: compiled(ASID(upscale=upscale)),
    'ASID-D8': lambda upscale: ASID(upscale=upscale, num_block=8),
}


def seconds(net: nn.Module, x: Tensor) -> float:
    """Time one pass without gradients."""
    start = time.perf_counter()
    net(x)
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.inference_mode()
def measure(nets: dict[str, nn.Module], x: Tensor, repeat: int) -> dict[str, list[float]]:
    """Time `repeat` rounds of one pass of each network, after a round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in nets}
    for i in tqdm(range(repeat + 1), unit='round', leave=False):
        for name, net in nets.items():
            elapsed = seconds(net, x)
            if i:
                times[name].append(elapsed)
    return times


def report(nets: dict[str, nn.Module], times: dict[str, list[float]]) -> str:
    """Format a Markdown table."""
    lines = ['| network | parameters | median s | min to max s | of the yardstick |', '|---|---|---|---|---|']
    for name, net in nets.items():
        ratio = statistics.median(a / b for a, b in zip(times[name], times[YARDSTICK], strict=True))
        spread = f'{min(times[name]):.3f} to {max(times[name]):.3f}'
        lines.append(
            f'| {name} | {count_parameters(net):,} | {statistics.median(times[name]):.3f} | {spread} | {ratio:.3f} |'
        )
    return '\n'.join(lines)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=['ASID', 'ASID-D8'])
    parser.add_argument('--upscale', type=int, default=4)
    parser.add_argument('--size', type=int, nargs=2, default=(180, 320), metavar=('H', 'W'), help='of the LR image')
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--dtype', choices=['float32', 'bfloat16', 'float16'], default='float32')
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    device, dtype = torch.device(args.device), getattr(torch, args.dtype)
    names = [YARDSTICK, *(name for name in args.networks if name != YARDSTICK)]
    nets = {name: NETWORKS[name](args.upscale).to(device, dtype).eval() for name in names}
    times = measure(nets, torch.rand(1, 3, *args.size, device=device, dtype=dtype), args.repeat)

    where = (
        torch.cuda.get_device_name(device) if device.type == 'cuda' else f'{platform.machine()}, {args.threads} threads'
    )
    print(f'x{args.upscale} of {args.size[1]}x{args.size[0]}, {args.dtype}, {where}, torch {torch.__version__}')
    print(report(nets, times))


if __name__ == '__main__':
    main()
