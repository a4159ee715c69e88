"""Tables 1 to 4, and the counts behind Figure 7 and the supplement's Figure 1.

Counted and measured figures are shown beside those of the paper.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from asid_plugin import markdown
from asid_plugin.archs import OmniSR
from asid_plugin.cost import Cost, measure
from asid_plugin.cost.complexity import count_parameters, input_size, multiply_adds, paper_flops
from asid_plugin.cost.yardstick import SwinIRLight
from asid_plugin.paper.measured import Means, MeasuredError, read_all
from asid_plugin.published.reported import BENCHMARKS, Reported, read_table, table1
from asid_plugin.published.variants import TABLE1, TABLE2, TABLE3, TABLE4, Variant, reported_in

EMPTY = '–'
SIZES = ('parameters', 'FLOPs, G', 'all multiply-adds, G')


@dataclass(frozen=True)
class Counts:
    """Sizes of a network at a 1280x720 output.

    Attributes:
        parameters: Number of parameters.
        paper_flops: Multiply-adds by the paper's rule, None for networks with an unknown rule.
        multiply_adds: All multiply-adds, including the matrix products of attention.
    """

    parameters: int
    paper_flops: int | None
    multiply_adds: int


def count(variant: Variant, upscale: int) -> Counts:
    """Count a network of the paper; `upscale` is k."""
    net = variant.build(upscale)
    size = input_size(upscale)
    return Counts(count_parameters(net), paper_flops(net, *size), multiply_adds(net, *size))


def count_any(net: nn.Module, upscale: int) -> Counts:
    """Count any network by running it on the meta device, without computing."""
    x = torch.empty(1, 3, *input_size(upscale), device='meta')
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.to('meta')(x)
    return Counts(count_parameters(net), None, counter.get_total_flops() // 2)


def giga(value: int | None) -> str:
    """Billions, in the form of the paper's ablations."""
    return EMPTY if value is None else f'{value / 1e9:.3f}'


def print_table1(args: argparse.Namespace) -> None:
    """Print Table 1, with counted parameters of available networks, and measured rows under the reported ones.

    Raises:
        MeasuredError: A file of `--measured` is not an evaluation, or has no rows of the printed scales.
    """
    scales = [args.scale] if args.scale else [2, 3, 4]
    means = [mean for mean in read_all(args.measured) if mean.scale in scales]
    if args.measured and not means:
        raise MeasuredError(f'{args.measured[0]}: it has no rows of x{" or x".join(map(str, scales))}')
    print('Table 1: PSNR in dB / SSIM on Y, reported by the paper unless marked as measured here')
    for upscale in scales:
        rows = table1_rows(upscale, [mean for mean in means if mean.scale == upscale])
        print(f'\nx{upscale}\n')
        print(markdown.table(['network', 'parameters', 'the paper prints', *BENCHMARKS], rows))
    print(f'\n{THOP}')
    if 4 in scales:
        print("MAFFSRN's 26.62 dB on Set14 at x4 is printed in the paper, but is most likely 28.62.")
    if not means:
        print(
            'To measure: asid evaluate datasets --scale K --network WEIGHTS, '
            'then --measured results/evaluation/evaluation.csv here.'
        )


THOP = (
    'For Omni-SR and SwinIR the paper prints the parameters that the package thop counts, without position biases '
    'and, for Omni-SR, some LayerNorms and the temperatures. For ASID it prints all parameters.'
)
AT_HAND: Mapping[str, Callable[[int], nn.Module]] = {
    **{name: v.build for name, v in reported_in(TABLE1).items()},
    'Omni-SR': lambda upscale: OmniSR(upscale=upscale),
    'SwinIR': SwinIRLight,
}
"""Functions that build networks of Table 1 for a scale, by the paper's names."""


def table1_rows(upscale: int, means: Sequence[Means]) -> list[list[str]]:
    """The paper's rows at a scale, each followed by measured rows with its name; other measured rows come last."""
    rows, left = [], list(means)
    for reported in table1():
        if reported.scale == upscale:
            rows.append(reported_cells(reported))
            rows += [measured_cells(mean) for mean in left if mean.method.name == reported.method]
            left = [mean for mean in left if mean.method.name != reported.method]
    return rows + [measured_cells(mean) for mean in left]


def reported_cells(row: Reported) -> list[str]:
    """A row of Table 1."""
    build = AT_HAND.get(row.method)
    counted = f'{count_parameters(build(row.scale)):,}' if build else EMPTY
    return [row.method, counted, f'{row.params_k}K', *(str(row.figures[name]) for name in BENCHMARKS)]


def measured_cells(mean: Means) -> list[str]:
    """A row of an evaluation."""
    params = mean.method.params
    parameters = EMPTY if params is None else f'{params:,}'
    figures = (str(mean.figures.get(name, EMPTY)) for name in BENCHMARKS)
    return [f'{markdown.text(mean.method.label)}, measured here', parameters, EMPTY, *figures]


def print_table2(args: argparse.Namespace) -> None:
    """Print Table 2: sizes, memory and time at a 1280x720 output.

    Raises:
        CostError: The measurement is not possible.
    """
    upscale, ours = args.scale, reported_in(TABLE2)
    counts = {name: count(variant, upscale) for name, variant in ours.items()}
    counts['SwinIR'] = count_any(SwinIRLight(upscale), upscale)
    costs: Mapping[str, Cost] = {}
    if not args.no_measure:
        builds: dict[str, Callable[[], nn.Module]] = {name: partial(v.build, upscale) for name, v in ours.items()}
        builds['SwinIR'] = partial(SwinIRLight, upscale)
        settings = {'repeat': args.repeat, 'threads': args.threads, 'device': args.device}
        costs = {
            name: measure(build, input_size(upscale), **settings)
            for name, build in tqdm(builds.items(), unit='network', leave=False)
        }
    reported = {row['method']: row for row in read_table(TABLE2)} if upscale == 4 else {}
    rows = [
        table2_cells(name, counts.get(name), costs.get(name), reported.get(name, {}))
        for name in dict.fromkeys([*reported, *counts])
    ]
    height, width = input_size(upscale)
    where = f'{args.threads} threads of the CPU'
    if costs and args.device != 'cpu':
        where = torch.cuda.get_device_name()
    measured = f'; memory and time in float32 on {where}' if costs else ''
    print(f'Table 2: x{upscale}, {width}x{height} to 1280x720{measured}\n')
    header = ['network', *SIZES, 'peak memory, MiB', 'time, s']
    print(markdown.table([*header, 'the paper: parameters, FLOPs', 'Set14 PSNR'], rows))
    print(
        "\nFLOPs by the paper's rule (asid_plugin/cost/complexity.py), without the matrix products of attention. The "
        f'last two columns are from the paper. {THOP}'
    )


def table2_cells(name: str, counts: Counts | None, cost: Cost | None, reported: Mapping[str, str]) -> list[str]:
    """A row of Table 2; unknown figures are dashes."""
    sizes = [f'{counts.parameters:,}', giga(counts.paper_flops), giga(counts.multiply_adds)] if counts else [EMPTY] * 3
    memory = f'{cost.peak_bytes / 2**20:.0f}' if cost and cost.peak_bytes is not None else EMPTY
    printed = f'{reported["params_k"]}K, {reported["flops_g"]}G' if reported else EMPTY
    return [name, *sizes, memory, f'{cost.seconds:.3f}' if cost else EMPTY, printed, reported.get('set14_psnr', EMPTY)]


def print_ablations(table: str, name_column: str, title: str, _args: argparse.Namespace) -> None:
    """Print Table 3 or 4: the ablation networks."""
    reported = {row[name_column]: row for row in read_table(table)}
    chosen = reported_in(table)
    rows = []
    for name, row in reported.items():
        printed = f'{row["params_k"]}K, {row["flops_g"]}G'
        rows.append([name, *sizes(chosen[name]), printed, row['urban100_psnr'], option_file(chosen[name])])
    print(f'{title}: x2 at a 1280x720 output\n')
    print(markdown.table(['variant', *SIZES, 'the paper: parameters, FLOPs', 'Urban100 PSNR', 'trained by'], rows))


print_table3 = partial(print_ablations, TABLE3, 'variant', 'Table 3, the structure')
print_table4 = partial(print_ablations, TABLE4, 'sharing', 'Table 4, attention sharing')


def sizes(variant: Variant, upscale: int = 2) -> list[str]:
    """The columns `SIZES` for a variant."""
    counts = count(variant, upscale)
    return [f'{counts.parameters:,}', giga(counts.paper_flops), giga(counts.multiply_adds)]


def option_file(variant: Variant) -> str:
    """The option file of the 200-epoch recipe, if any."""
    return f'options/ablation/train_{variant.ablation}_x2.yml' if variant.ablation else EMPTY


def series_table(first_column: str, series: Iterable[tuple[str, Variant]]) -> str:
    """The table behind a figure of sizes: one row per network."""
    rows = [[value, *sizes(variant), option_file(variant)] for value, variant in series]
    return markdown.table([first_column, *SIZES, 'trained by'], rows)
