"""Table 1: PSNR and SSIM of any networks on the benchmarks, with the paper's figures beside them."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from asid_plugin.files import staging
from asid_plugin.memory import keep_freed_memory

from .benchmarks import find_sets
from .methods import Running, load_candidates
from .report import write_report
from .results import Evaluation, EvaluationError
from .run import evaluate
from .table import markdown, write_csv


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 2 if there was an error, 130 if interrupted."""
    args = _parser().parse_args(argv)
    try:
        run(args)
    except EvaluationError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'error: {error.filename or args.output}: {error.strerror}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('interrupted; what was written is whole', file=sys.stderr)
        return 130
    return 0


def run(args: argparse.Namespace) -> None:
    """Evaluate as the command line says, print the table and write the files.

    Raises:
        EvaluationError: Something is wrong with the arguments, a file or a network.
        OSError: OUT cannot be written.
    """
    keep_freed_memory()
    running = how_to_run(args)
    sets = find_sets(args.datasets, args.scale, args.sets, lambda reason: print(f'left out: {reason}', file=sys.stderr))
    candidates = load_candidates(args.network, running)
    args.output.mkdir(parents=True, exist_ok=True)
    if not os.access(args.output, os.W_OK):
        raise EvaluationError(f'{args.output}: this folder cannot be written to')
    images = args.output / 'images' if args.save_images or args.html else None
    try:
        evaluation = evaluate(sets, candidates, args.scale, images)
    except BaseException:
        with suppress(OSError):
            args.output.rmdir()  # if nothing is in it
        raise
    table = markdown(evaluation)
    print(table)
    for path in write(evaluation, table, args.output, args.html):
        print(f'wrote {path}', file=sys.stderr)
    if images:
        print(f'wrote {images}/', file=sys.stderr)


def how_to_run(args: argparse.Namespace) -> Running:
    """How the command line wants networks run.

    Raises:
        EvaluationError: A number is out of range, or there is no CUDA device.
    """
    if args.scale < 1:
        raise EvaluationError(f'--scale {args.scale}: should be 1 or more')
    if not 0 <= args.tile_overlap < args.tile:
        raise EvaluationError(f'--tile {args.tile} --tile-overlap {args.tile_overlap}: the overlap must be smaller')
    has_cuda = torch.cuda.is_available()
    if args.device == 'cuda' and not has_cuda:
        raise EvaluationError(f'--device cuda: PyTorch {torch.__version__} sees no CUDA device here')
    device = 'cuda' if has_cuda and args.device != 'cpu' else 'cpu'
    # CPUs are slow in float16
    dtype = torch.float32 if not args.half else torch.float16 if device == 'cuda' else torch.bfloat16
    hows = ('tiles', 'whole') if args.how == 'both' else (args.how,)
    return Running(args.scale, hows, args.tile, args.tile_overlap, args.self_ensemble, device, dtype)


def write(evaluation: Evaluation, table: str, folder: Path, html: bool) -> list[Path]:
    """Write the files of an evaluation, all of them or none; returns their paths."""
    with staging(folder) as unfinished:
        (unfinished / 'evaluation.md').write_text(table, encoding='utf-8')
        write_csv(evaluation, unfinished / 'evaluation.csv')
        if html:
            write_report(evaluation, unfinished / 'report.html')
        names = sorted(path.name for path in unfinished.iterdir())
    return [folder / name for name in names]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m asid_plugin.evaluate',
        description=(
            'PSNR and SSIM of bicubic upscaling and any networks on benchmark sets, in one table with the rows of the '
            "paper's Table 1 beside those of the same name. Printed, and written to OUT/evaluation.md and "
            'OUT/evaluation.csv: a line for every scale, set, image and method (columns method, how, params, source, '
            'psnr, ssim); the lines without an image are the means. Protocol: 8-bit results, on Y, without as many '
            'pixels on each side as the scale. Exit status: 0 all done, 2 an error.'
        ),
    )
    add = parser.add_argument
    add(
        'datasets',
        nargs='+',
        type=Path,
        metavar='DATASETS',
        help='sets, such as datasets/Set5, or folders of sets, such as datasets. Found in a set at scale 2: GTmod2 or '
        'GTmod12 with LRbicx2 (BasicSR), HR with LR_bicubic/X2 (EDSR), image_SRF_2 (SelfExSR); or, without any LR '
        'images, HR, original or the folder itself, from which LR is made',
    )
    add('--scale', type=int, required=True, help='scale of the networks')
    add('--sets', nargs='+', metavar='SET', help='only these of the sets, in this order')
    add(
        '--network',
        nargs='+',
        action='extend',
        default=[],
        metavar='SPEC',
        help='[NAME=]WHAT, any number. WHAT is a checkpoint of ASID or of a network that spandrel knows (.pth, .ckpt, '
        ".safetensors, or packaged:xK, the package's own), an option file (.yml: network_g with the weights "
        'path:pretrain_network_g or, of options that train, those that the training ends with), or a folder of SR '
        'images, in it folders by set or not. Bicubic is always there',
    )
    add(
        '--how',
        default='tiles',
        choices=['tiles', 'whole', 'both'],
        help="how networks see an image: by tiles (the default, the paper's protocol), whole, or one after the other",
    )
    add('--tile', type=int, default=64, help='size of the tiles in LR pixels (default: 64)')
    add('--tile-overlap', type=int, default=24, help='their overlap, which is averaged (default: 24)')
    add('--self-ensemble', action='store_true', help="average over the eight flips and turns; names get a '+'")
    add(
        '-o',
        '--output',
        type=Path,
        default=Path('results/evaluation'),
        metavar='OUT',
        help='folder to write to (default: results/evaluation)',
    )
    add('--save-images', action='store_true', help='write the images to OUT/images/SET/IMAGE/')
    add(
        '--html',
        action='store_true',
        help='write OUT/report.html with sliders, and the images; it holds them all (Set5 with four networks: 4 MB)',
    )
    add('--device', default='auto', choices=['auto', 'cpu', 'cuda'], help='default: auto, CUDA if there is any')
    add('--half', action='store_true', help='compute in float16 on CUDA, in bfloat16 on a CPU')
    return parser


if __name__ == '__main__':
    sys.exit(main())
