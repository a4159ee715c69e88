"""Enlarge images with ASID.

Reads and writes PNG, JPEG, WebP, TIFF and BMP. Grey stays grey, 16 bits stay 16 (PNG, TIFF), alpha is kept (PNG, WebP,
TIFF; elsewhere composited over white), photographs are turned upright.

Exit status: 0 all written, 1 some images failed (the others are written), 2 nothing was tried.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_running_arguments

if TYPE_CHECKING:
    from asid_plugin.inference import Upscaler

DEFAULT_SCALE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add(
        'input',
        nargs='+',
        type=Path,
        metavar='INPUT',
        help='an image, or a folder: all images in it, not those in folders inside',
    )
    add(
        '-o',
        '--output',
        type=Path,
        required=True,
        metavar='OUT',
        help='a file, if INPUT is one file and OUT ends like an image; else a folder, made if need be, where the names '
        'stay and --ext says the format. Replaces an OUT that is there, never an input',
    )
    add(
        '--ext',
        default='png',
        choices=['png', 'jpg', 'jpeg', 'webp', 'tif', 'tiff', 'bmp', 'keep'],
        help="format in a folder: png (the default; loses nothing), another, or keep for each input's own",
    )
    add(
        '--weights',
        type=Path,
        metavar='FILE',
        help="a checkpoint of ASID, .pth, .ckpt or .safetensors (default: the package's own of the scale, packaged:xK)",
    )
    add(
        '--backend',
        default='torch',
        choices=['torch', 'onnxruntime'],
        help='runs the network: torch (the default) or onnxruntime, with an .onnx file of asid export',
    )
    add(
        '--scale',
        type=int,
        help=f"which of the package's weights (default: {DEFAULT_SCALE}); with --weights a check: stop unless the "
        "checkpoint's scale is this",
    )
    add_running_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Enlarge the images; returns 1 if one failed."""
    from asid_plugin.errors import UsageError
    from asid_plugin.inference import keep_freed_memory, load_upscaler, plan

    keep_freed_memory()
    targets = plan(args.input, args.output, args.ext)
    weights = choose_weights(args.weights, args.scale)
    upscaler = load_upscaler(weights, args.scale, args.tile, args.tile_overlap, args.backend, args.device, args.half)
    for folder in {target.parent for target in targets.values()}:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise UsageError(f'{folder}: this folder cannot be written to')
    failed = _enlarge(targets, upscaler)
    if failed:
        print(f'{failed} of {len(targets)} images failed', file=sys.stderr)
    return 1 if failed else 0


def choose_weights(weights: Path | None, scale: int | None) -> Path:
    """The weights that are asked for, or else the package's own of the scale, with a note that says so.

    Raises:
        UsageError: The package has none of this scale.
    """
    from asid_plugin.checkpoints import WeightsError, packaged_name
    from asid_plugin.errors import UsageError

    if weights is not None:
        return weights
    try:
        name = packaged_name(DEFAULT_SCALE if scale is None else scale)
    except WeightsError as error:
        raise UsageError(f'{error}; pass --weights FILE') from None
    print(f'note: no --weights given, so these are {name}, which come with the package', file=sys.stderr)
    return Path(name)


def _enlarge(targets: Mapping[Path, Path], upscaler: 'Upscaler') -> int:
    """Enlarge each source to its target and return how many failed; each failure is a line on stderr."""
    from tqdm import tqdm

    from asid_plugin.inference import ImageError, upscale_file

    failed = 0
    for source, target in tqdm(targets.items(), unit='image', disable=None if len(targets) > 1 else True):
        try:
            upscale_file(source, target, upscaler)
        except ImageError as error:
            failed += 1
            tqdm.write(f'error: {error}', file=sys.stderr)
    return failed
