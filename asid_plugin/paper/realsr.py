"""The supplement's Table 1, RealSR: the figures of the paper, and measured figures."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from asid_plugin import markdown
from asid_plugin.paper.measured import Means, MeasuredError, read_means
from asid_plugin.published.reported import read_table

SET = 'RealSR'
"""Name of the set in an evaluation: the name of the folder from `asid prepare realsr`."""

SCALES = (3, 4)
"""The scales of the table."""

PROTOCOL = """\
The paper does not state whether it measures on Y or RGB, how many border pixels it crops, and how it handles sizes.
Measured rows are on Y, with k pixels cropped on each side at scale k, from LR images of 1/k of the HR size."""

TO_MEASURE = """\
To measure, with RealSR V3 in datasets (K is 3 or 4):

    asid prepare realsr --realsr 'datasets/RealSR(V3)'
    asid train options/train_ASID_xK.yml
    asid train options/realsr/train_ASID_RealSR_xK.yml
    asid evaluate datasets/RealSR --scale K -o results/realsr_xK \\
      --network ASID=experiments/train_ASID_RealSR_xK/models/net_g_latest.pth
    asid paper supplement-table1 --measured results/realsr_xK/evaluation.csv

options/realsr/test_ASID_RealSR_xK.yml measures the same as the evaluation."""


def main(args: argparse.Namespace) -> None:
    """Print the table, and the commands to measure if there are no measured rows.

    Raises:
        MeasuredError: A file of `--measured` is not an evaluation, or not of RealSR.
    """
    means = [mean for path in args.measured for mean in read_realsr(path)]
    print('Supplement, Table 1, RealSR V3: PSNR in dB and SSIM; reported by the paper unless marked as measured here\n')
    print(table(means))
    print(f'\n{PROTOCOL}')
    if not means:
        print(f'\n{TO_MEASURE}')


def read_realsr(path: str | Path) -> list[Means]:
    """The means of RealSR in the CSV file of an evaluation.

    Raises:
        MeasuredError: The file is not an evaluation, or not of RealSR at a scale of the table.
    """
    found = read_means(path)
    means = [mean for mean in found if mean.scale in SCALES and SET in mean.figures]
    if not means:
        here = ', '.join(sorted({f'{name} x{mean.scale}' for mean in found for name in mean.figures})) or 'nothing'
        raise MeasuredError(f'{path}: no means of {SET} x3 or x4; found {here}')
    return means


def table(measured: Sequence[Means] = ()) -> str:
    """The table in Markdown: at each scale the paper's rows, then the measured rows."""
    rows = []
    for scale in SCALES:
        reported = (row for row in read_table('supplement_table1_realsr') if int(row['scale']) == scale)
        rows += [[f'x{scale}', row['method'], row['psnr'], row['ssim']] for row in reported]
        for mean in measured:
            if mean.scale == scale:
                figures = mean.figures[SET]
                name = f'{markdown.text(mean.method.label)}, measured here'
                rows.append([f'x{scale}', name, f'{figures.psnr:.2f}', f'{figures.ssim:.3f}'])
    return markdown.table(['scale', 'network', 'PSNR', 'SSIM'], rows)
