"""Draw the loss and PSNR of a training from the logs of BasicSR, and write them as CSV.

    asid curve experiments/train_ASID_x2 -o train_ASID_x2.csv

The CSV has a line for every logged iteration: iter, lr, l_pix, and psnr and ssim after a validation. Several
validation sets have a column each, such as psnr_Set5. The figure is written beside it as .png.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('experiment', type=Path, help='folder of the training, such as experiments/NAME')
    parser.add_argument('-o', '--output', type=Path, required=True, metavar='CSV')


def run(args: argparse.Namespace) -> None:
    """Write the CSV and the figure."""
    from asid_plugin.plots.style import save
    from asid_plugin.plots.training_curve import draw, read_curve, write_csv
    from asid_plugin.printable import printable

    curve = read_curve(args.experiment)
    write_csv(curve, args.output)
    print(printable(f'wrote {args.output}'))
    save(draw(curve, args.output.stem), args.output.with_suffix('.png'), dpi=120)
