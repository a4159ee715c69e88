"""Measure PSNR, SSIM and other metrics of bicubic interpolation and any networks on benchmark sets.

The results are printed as one table, next to the rows of the paper's Table 1 with the same name, and written to
OUT/evaluation.md and OUT/evaluation.csv. The CSV has a line for every scale, set, image and method (columns method,
how, params, source, psnr, ssim and the --metrics); lines without an image are means.

Protocol: 8-bit results, on Y, with a border of SCALE pixels cropped; metrics of pyiqa on RGB of the same pixels.

Exit status: 0 done, 2 an error.
"""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_borders, add_networks, add_running_arguments

if TYPE_CHECKING:
    from asid_plugin.evaluate.methods import Running


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add(
        'datasets',
        nargs='+',
        type=Path,
        metavar='DATASETS',
        help='sets, such as datasets/Set5, or folders of sets, such as datasets. Layouts of a set at scale 2: GTmod2 '
        'or GTmod12 with LRbicx2 (BasicSR), HR with LR_bicubic/X2 (EDSR), image_SRF_2 (SelfExSR). If there are no LR '
        'images, they are made from HR, original or the folder itself',
    )
    add('--scale', type=int, required=True, help='scale of the networks')
    add('--sets', nargs='+', metavar='SET', help='evaluate only these sets, in this order')
    add_networks(
        parser,
        '[NAME=]SOURCE, any number. SOURCE is a checkpoint of ASID or of a network that spandrel knows (.pth, .ckpt, '
        '.safetensors, or packaged:xK), an option file (.yml: network_g with path:pretrain_network_g, or with the '
        'final weights if the file is for training), or a folder of SR images, with or without a subfolder for each '
        'set. Bicubic is always included',
    )
    add(
        '--how',
        default='tiles',
        choices=['tiles', 'whole', 'both'],
        help="run networks on tiles (the default, the paper's protocol), on whole images, or both",
    )
    add('--self-ensemble', action='store_true', help="average over the eight flips and rotations; names get a '+'")
    add(
        '-o',
        '--output',
        type=Path,
        default=Path('results/evaluation'),
        metavar='OUT',
        help='folder to write to (default: results/evaluation)',
    )
    add(
        '--metrics',
        nargs='+',
        default=['psnr', 'ssim'],
        metavar='METRIC',
        help='metrics besides psnr and ssim, which are always measured: lpips, dists, niqe, musiq or another image '
        'metric of pyiqa; most download weights at first use (needs the extra metrics; pyiqa is for non-commercial '
        'use only)',
    )
    add('--save-images', action='store_true', help='write the images to OUT/images/SET/IMAGE/')
    add(
        '--html',
        action='store_true',
        help='write the images, and OUT/report.html with sliders, which embeds them (4 MB for Set5 with four networks)',
    )
    add_running_arguments(parser, whole=False)
    add_borders(parser, 'zeros', 'both')


def run(args: argparse.Namespace) -> None:
    """Evaluate, print the table and write the files.

    Raises:
        EvaluationError: Something is wrong with the arguments, a file or a network.
        OSError: OUT cannot be written.
    """
    from asid_plugin.evaluate.benchmarks import find_sets
    from asid_plugin.evaluate.methods import load_candidates
    from asid_plugin.evaluate.metrics import load_scorers
    from asid_plugin.evaluate.output import write
    from asid_plugin.evaluate.results import EvaluationError
    from asid_plugin.evaluate.run import evaluate
    from asid_plugin.evaluate.table import markdown
    from asid_plugin.inference import keep_freed_memory
    from asid_plugin.inference.progress import say
    from asid_plugin.tf32 import allow_tf32

    keep_freed_memory()
    allow_tf32(False)
    running = how_to_run(args)
    sets = find_sets(args.datasets, args.scale, args.sets, lambda reason: say(f'left out: {reason}', sys.stderr))
    scorers = load_scorers(args.metrics, running.device)
    candidates = load_candidates(args.network, running)
    args.output.mkdir(parents=True, exist_ok=True)
    if not os.access(args.output, os.W_OK):
        raise EvaluationError(f'{args.output}: this folder cannot be written to')
    images = args.output / 'images' if args.save_images or args.html else None
    try:
        evaluation = evaluate(sets, candidates, args.scale, images, scorers=scorers)
    except BaseException:
        with suppress(OSError):
            args.output.rmdir()  # if nothing is in it
        raise
    table = markdown(evaluation)
    print(table)
    for path in write(evaluation, table, args.output, args.html):
        say(f'wrote {path}', sys.stderr)
    if images:
        say(f'wrote {images}/', sys.stderr)


def how_to_run(args: argparse.Namespace) -> 'Running':
    """How the command line wants networks run.

    Raises:
        UsageError: A number is out of range, or there is no CUDA device.
    """
    from asid_plugin.errors import UsageError
    from asid_plugin.evaluate.methods import Running
    from asid_plugin.inference.devices import choose_device, choose_dtype

    if args.scale < 1:
        raise UsageError(f'--scale {args.scale}: should be 1 or more')
    if not 0 <= args.tile_overlap < args.tile:
        raise UsageError(
            f'--tile {args.tile} --tile-overlap {args.tile_overlap}: the overlap must be smaller than the tile'
        )
    device = choose_device(args.device)
    hows = ('tiles', 'whole') if args.how == 'both' else (args.how,)
    dtype = choose_dtype(device, args.half)
    borders = ('zeros', 'flush') if args.borders == 'both' else (args.borders,)
    return Running(args.scale, hows, args.tile, args.tile_overlap, args.self_ensemble, device, dtype, borders)
