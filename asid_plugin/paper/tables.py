"""Tables 1 to 4, and the counts behind Figure 7 and the supplement's Figure 1: what is counted and measured here beside
what the paper reports."""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from basicsr.archs import build_network
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from asid_plugin import markdown, variants
from asid_plugin.complexity import count_parameters, input_size, multiply_adds, paper_flops
from asid_plugin.cost import Cost, measure
from asid_plugin.paper.measured import Means, read_means
from asid_plugin.paper.reported import BENCHMARKS, Reported, read_table, table1
from asid_plugin.variants import BY_NAME, Variant
from asid_plugin.yardstick import SwinIRLight

EMPTY = '–'


@dataclass(frozen=True)
class Counts:
    """Sizes of a network at a 1280x720 output.

    Attributes:
        parameters: Their number.
        paper_flops: Multiply-adds as the paper counts them, None for networks whose rule is not known here.
        multiply_adds: All of them, the matrix products of attention too.
    """

    parameters: int
    paper_flops: int | None
    multiply_adds: int


def count(variant: Variant, upscale: int) -> Counts:
    """Count a network of the paper; `upscale` is k."""
    net = build_network(variant.network_g(upscale))
    size = input_size(upscale)
    return Counts(count_parameters(net), paper_flops(net, *size), multiply_adds(net, *size))


def count_any(net: nn.Module, upscale: int) -> Counts:
    """Count any network by running it on torch's meta device, where nothing is computed."""
    x = torch.empty(1, 3, *input_size(upscale), device='meta')
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.to('meta')(x)
    return Counts(count_parameters(net), None, counter.get_total_flops() // 2)


def giga(value: int | None) -> str:
    """Thousands of millions, as the paper's ablations print them."""
    return EMPTY if value is None else f'{value / 1e9:.3f}'


def psnr_ssim(figures: tuple[float, float] | None) -> str:
    """As Table 1 prints them."""
    return EMPTY if figures is None else f'{figures[0]:.2f}/{figures[1]:.4f}'


def add_table1_arguments(parser: argparse.ArgumentParser) -> None:
    """What `table1` takes."""
    parser.add_argument('--scale', type=int, choices=[2, 3, 4], help='only this scale (default: all)')
    parser.add_argument(
        '--measured',
        type=Path,
        nargs='+',
        default=[],
        metavar='CSV',
        help='add rows that asid_plugin.evaluate measured',
    )


def print_table1(args: argparse.Namespace) -> None:
    """Print Table 1, parameters of ours counted, with measured rows under the reported ones."""
    means = [mean for path in args.measured for mean in read_means(path)]
    for upscale in [args.scale] if args.scale else [2, 3, 4]:
        print(f'\nTable 1, x{upscale}: PSNR in dB / SSIM on Y; reported by the paper unless it says measured here\n')
        rows = [reported_cells(row) for row in table1() if row.scale == upscale]
        rows += [measured_cells(mean) for mean in means if mean.scale == upscale]
        print(markdown.table(['network', 'parameters', 'the paper prints', *BENCHMARKS], rows))
    if not args.measured:
        print(
            '\nTo measure: python -m asid_plugin.evaluate datasets --scale 2 --network WEIGHTS --how both, '
            'then --measured results/evaluation/evaluation.csv here.'
        )


def reported_cells(row: Reported) -> list[str]:
    """A row of Table 1; the parameters are counted where the network is at hand."""
    variant = variants.reported_in(variants.TABLE1).get(row.method)
    counted = f'{count(variant, row.scale).parameters:,}' if variant else EMPTY
    if row.method == 'SwinIR':
        counted = f'{count_parameters(SwinIRLight(row.scale)):,}'
    return [row.method, counted, f'{row.params_k}K', *(psnr_ssim(row.figures[name]) for name in BENCHMARKS)]


def measured_cells(mean: Means) -> list[str]:
    """A row of an evaluation."""
    params = mean.method.params
    parameters = EMPTY if params is None else f'{params:,}'
    figures = (psnr_ssim(mean.figures.get(name)) for name in BENCHMARKS)
    return [f'{mean.method.label}, measured here', parameters, EMPTY, *figures]


def add_table2_arguments(parser: argparse.ArgumentParser) -> None:
    """What `table2` takes."""
    parser.add_argument('--upscale', type=int, choices=[2, 3, 4], default=4, help="the paper's table is of x4")
    parser.add_argument('--no-measure', action='store_true', help='count only; memory and time take about a minute')
    parser.add_argument('--repeat', type=int, default=3, help='passes of which the median time is taken (default: 3)')
    parser.add_argument('--threads', type=int, default=2, help='that the CPU uses (default: 2)')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')


def print_table2(args: argparse.Namespace) -> None:
    """Print Table 2: sizes, memory and time at a 1280x720 output."""
    upscale = args.upscale
    counts = {name: count(BY_NAME[name], upscale) for name in ('ASID', 'ASID-D8')}
    counts['SwinIR'] = count_any(SwinIRLight(upscale), upscale)
    costs: Mapping[str, Cost] = {}
    if not args.no_measure:
        builds = {name: partial(build_network, BY_NAME[name].network_g(upscale)) for name in ('ASID', 'ASID-D8')}
        builds['SwinIR'] = partial(SwinIRLight, upscale)
        settings = {'repeat': args.repeat, 'threads': args.threads, 'device': args.device}
        costs = {
            name: measure(build, input_size(upscale), **settings)
            for name, build in tqdm(builds.items(), unit='network', leave=False)
        }
    reported = {row['method']: row for row in read_table(variants.TABLE2)} if upscale == 4 else {}
    rows = [
        table2_cells(name, counts.get(name), costs.get(name), reported.get(name, {}))
        for name in dict.fromkeys([*reported, *counts])
    ]
    height, width = input_size(upscale)
    where = f'{args.threads} threads of the CPU' if args.device == 'cpu' else torch.cuda.get_device_name()
    print(f'Table 2: x{upscale}, {width}x{height} to 1280x720; memory and time in float32 on {where}\n')
    header = ['network', 'parameters', 'FLOPs, G', 'all multiply-adds, G', 'peak memory, MiB', 'time, s']
    print(markdown.table([*header, 'the paper: parameters, FLOPs', 'Set14 PSNR'], rows))
    print(
        "\nFLOPs by the paper's rule (asid_plugin/complexity.py), which leaves out the matrix products of attention. "
        'The last two columns are the paper’s.'
    )


def table2_cells(name: str, counts: Counts | None, cost: Cost | None, reported: Mapping[str, str]) -> list[str]:
    """A row of Table 2; what is not known here is a dash."""
    sizes = [f'{counts.parameters:,}', giga(counts.paper_flops), giga(counts.multiply_adds)] if counts else [EMPTY] * 3
    memory = f'{cost.peak_bytes / 2**20:.0f}' if cost and cost.peak_bytes is not None else EMPTY
    printed = f'{reported["params_k"]}K, {reported["flops_g"]}G' if reported else EMPTY
    return [name, *sizes, memory, f'{cost.seconds:.3f}' if cost else EMPTY, printed, reported.get('set14_psnr', EMPTY)]


def add_no_arguments(parser: argparse.ArgumentParser) -> None:
    """For tables that take none."""


def print_ablations(table: str, name_column: str, title: str, _args: argparse.Namespace) -> None:
    """Print Table 3 or 4: the ablation networks."""
    reported = {row[name_column]: row for row in read_table(table)}
    chosen = variants.reported_in(table)
    rows = []
    for name, row in reported.items():
        printed = f'{row["params_k"]}K, {row["flops_g"]}G'
        rows.append([name, *sizes(chosen[name]), printed, row['urban100_psnr'], option_file(chosen[name])])
    print(f'{title}: x2 at a 1280x720 output\n')
    print(markdown.table(['variant', *SIZES, 'the paper: parameters, FLOPs', 'Urban100 PSNR', 'trained by'], rows))


print_table3 = partial(print_ablations, variants.TABLE3, 'variant', 'Table 3, the structure')
print_table4 = partial(print_ablations, variants.TABLE4, 'sharing', 'Table 4, attention sharing')

SIZES = ('parameters', 'FLOPs, G', 'all multiply-adds, G')


def sizes(variant: Variant, upscale: int = 2) -> list[str]:
    """The columns `SIZES` of a variant."""
    counts = count(variant, upscale)
    return [f'{counts.parameters:,}', giga(counts.paper_flops), giga(counts.multiply_adds)]


def option_file(variant: Variant) -> str:
    """The option file of the 200-epoch recipe."""
    return f'options/ablation/train_{variant.ablation}_x2.yml'


def series_table(title: str, first_column: str, series: Iterable[tuple[str, Variant]]) -> str:
    """The table behind a figure of sizes: one row per network."""
    rows = [[value, *sizes(variant), option_file(variant)] for value, variant in series]
    return f'{title}\n\n' + markdown.table([first_column, *SIZES, 'trained by'], rows)
