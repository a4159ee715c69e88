"""Enlarge images with ASID.

Writes PNG, JPEG, WebP, TIFF and BMP; reads these, and also GIF, AVIF, JPEG 2000, TGA, PBM, PGM and PPM, and HEIC and
JPEG XL with the extra `formats`. Grey stays grey, 16 bits stay 16 (PNG, TIFF), alpha stays (PNG, WebP, TIFF; other
formats are composited over white), and photographs are turned upright. Animations stay animations in PNG, WebP and
TIFF, and pages stay pages in TIFF; other formats get the first frame or page. Colour profile, EXIF, XMP, IPTC, texts
and resolution are copied if the format can hold them. A line on stderr names each loss.

Processes started by `torchrun -m asid_plugin upscale ...` or `srun asid upscale ...` divide the images among
themselves. After an interruption, --skip-existing continues with the missing images.

Exit status: 0 all written, 1 some images failed (the others are written), 2 nothing was started, 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_borders, add_running_arguments

if TYPE_CHECKING:
    from asid_plugin.inference import Share, Upscaler
    from asid_plugin.inference.batch import Job

DEFAULT_SCALE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add(
        'input',
        nargs='+',
        type=Path,
        metavar='INPUT',
        help='an image, or a folder of images, without its subfolders; a line counts the skipped files',
    )
    add(
        '-o',
        '--output',
        type=Path,
        required=True,
        metavar='OUT',
        help='a file, if INPUT is one file and OUT has the suffix of an image; else a folder, created if missing, for '
        'files with the names of the inputs in the format of --ext. Existing outputs are replaced, inputs never. '
        'Outputs that would share a name include the suffix of the input: grey_jpg.png, grey_png.png',
    )
    add('--recursive', action='store_true', help='include subfolders, and create the same ones in OUT')
    add(
        '--ext',
        default='png',
        choices=['png', 'jpg', 'jpeg', 'webp', 'tif', 'tiff', 'bmp', 'keep'],
        help='format in a folder: png (default, lossless), another, or keep for the format of each input (PNG if that '
        'cannot be written)',
    )
    add(
        '--suffix',
        default='',
        metavar='TEXT',
        help='append TEXT to the names in a folder: with _x2, a.png becomes a_x2.png',
    )
    add('--quality', type=int, metavar='Q', help='JPEG quality, 1 to 100 (default: 95); the other formats are lossless')
    add('--skip-existing', action='store_true', help='skip images whose output exists; outputs are always complete')
    add(
        '--strip-metadata',
        action='store_true',
        help='write no EXIF, XMP, IPTC, texts or resolution; the colour profile stays, because it defines the colours',
    )
    add(
        '--weights',
        type=Path,
        metavar='FILE',
        help='a checkpoint of ASID, .pth, .ckpt or .safetensors (default: packaged:xK, the packaged weights of the '
        'scale)',
    )
    add(
        '--real',
        action='store_true',
        help='the packaged weights for JPEG-compressed or noisy photographs; short for --weights packaged:xK-real',
    )
    add(
        '--backend',
        default='torch',
        choices=['torch', 'onnxruntime'],
        help='torch (default), or onnxruntime with an .onnx file of asid export',
    )
    add(
        '--scale',
        type=int,
        help=f'scale of the packaged weights (default: {DEFAULT_SCALE}); with --weights: stop if the checkpoint has '
        'another scale',
    )
    add_running_arguments(parser)
    add_borders(parser, 'flush')


def run(args: argparse.Namespace) -> int:
    """Enlarge the images; returns 1 if one failed.

    Raises:
        UsageError: The arguments are invalid.
        CheckpointError: The weights cannot be read.
    """
    from asid_plugin.errors import UsageError
    from asid_plugin.inference import Share, keep_freed_memory, load_upscaler, plan, survey
    from asid_plugin.inference.progress import say
    from asid_plugin.tf32 import allow_tf32

    if args.quality is not None and not 1 <= args.quality <= 100:
        raise UsageError(f'--quality {args.quality}: should be from 1 to 100')
    share = Share.of_environment()
    first = share.rank == 0
    keep_freed_memory()
    allow_tf32(False)
    share.settle()
    planned = plan(args.input, args.output, args.ext, args.suffix, args.recursive)
    weights = choose_weights(args.weights, args.scale, args.real)
    running = args.tile, args.tile_overlap, args.backend, args.device, args.half, args.borders
    upscaler = load_upscaler(weights, args.scale, *running)
    if first:
        own = args.weights is None and not args.real
        own_note = [f'no --weights given; using {weights} from the package'] * own
        for note in [*own_note, *planned.notes]:
            say(f'note: {note}', sys.stderr)
    jobs = survey(planned.targets, upscaler, quiet=not first)
    possible = _missing(jobs) if args.skip_existing else jobs
    mine = [jobs[index] for index in share.of([job.work for job in jobs])]
    todo = _missing(mine) if args.skip_existing else mine
    _check_folders(todo)
    if first:
        _advise(possible, weights)
        _say_how_much(possible, share)
    failed = _enlarge(todo, upscaler, share, args)
    if len(todo) < len(mine):
        say(f'{share.prefix}{len(mine) - len(todo)} of {len(mine)} images existed and were skipped', sys.stderr)
    if failed:
        say(f'{share.prefix}{failed} of {len(mine)} images failed', sys.stderr)
    share.finish(failed > 0)
    return 1 if failed else 0


def choose_weights(weights: Path | None, scale: int | None, real: bool = False) -> Path:
    """The given weights, or the packaged weights of the scale.

    Args:
        weights: The given weights, if any.
        scale: The given scale, if any.
        real: Choose the packaged weights for JPEG-compressed or noisy photographs.

    Raises:
        UsageError: The package has no such weights, or both `weights` and `real` are given.
    """
    from asid_plugin.checkpoints import WeightsError, packaged_name
    from asid_plugin.checkpoints.packaged import CLEAN, REAL
    from asid_plugin.errors import UsageError

    if weights is not None and real:
        raise UsageError(f'--real and --weights {weights} exclude each other; leave one out')
    if weights is not None:
        return weights
    try:
        return Path(packaged_name(DEFAULT_SCALE if scale is None else scale, REAL if real else CLEAN))
    except WeightsError as error:
        raise UsageError(f'{error}; pass --weights FILE') from None


def _missing(jobs: Sequence['Job']) -> list['Job']:
    return [job for job in jobs if not job.target.exists()]


def _check_folders(jobs: Sequence['Job']) -> None:
    """Check that the folders can be written to, or created if they are missing."""
    from asid_plugin.errors import UsageError
    from asid_plugin.files import remove_abandoned

    for folder in sorted({job.target.parent for job in jobs}):
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not there.is_dir():
            raise UsageError(f'{there}: is a file; the output folder cannot be created there')
        if not os.access(there, os.W_OK):
            raise UsageError(f'{there}: this folder cannot be written to')
        remove_abandoned(folder)


def _advise(jobs: Sequence['Job'], weights: Path) -> None:
    """Print a note on the first JPEG whose artefacts the weights amplify."""
    from asid_plugin.checkpoints.packaged import amplifies, better_packaged
    from asid_plugin.inference.progress import say

    for job in jobs:
        if amplifies(weights, job.quality):
            better = better_packaged(weights, job.quality)
            advice = '--real uses weights for such photographs' if better else 'artefacts are amplified'
            kind = f'a JPEG of quality {job.quality} (estimated), but {weights} is for clean images'
            say(f'note: {job.source}: {kind}; {advice}', sys.stderr)
            return


def _say_how_much(jobs: Sequence['Job'], share: 'Share') -> None:
    """Print the amount of work of all processes before it starts."""
    from asid_plugin.inference.progress import counted, say

    possible = [job for job in jobs if not job.error]
    if not possible:
        return
    megapixels = sum(job.pixels for job in possible) / 1e6
    tiles = sum(job.tiles for job in possible)
    shared = f', shared by {share.size} processes' if share.size > 1 else ''
    size = f'{megapixels:,.1f}' if megapixels >= 1 else f'{megapixels:.3f}' if megapixels >= 0.001 else 'under 0.001'
    say(f'{counted(len(possible), "image")}, {size} megapixels, {counted(tiles, "tile")}{shared}', sys.stderr)


def _enlarge(jobs: Sequence['Job'], upscaler: 'Upscaler', share: 'Share', args: argparse.Namespace) -> int:
    """Carry out the jobs and return how many failed; each failure is a line on stderr."""
    from asid_plugin.images import QUALITY
    from asid_plugin.inference import ImageError, Progress, upscale_job
    from asid_plugin.inference.progress import say

    impossible = [job.error for job in jobs if job.error]
    for error in impossible:
        say(f'{share.prefix}error: {error}', sys.stderr)
    possible = [job for job in jobs if not job.error]
    failed = len(impossible)
    totals = {'image': len(possible), 'tile': sum(job.tiles for job in possible)}
    quality = QUALITY if args.quality is None else args.quality
    with Progress(totals, sum(job.work for job in possible), quiet=share.rank > 0, label=share.prefix) as progress:
        for job in possible:
            try:
                enlarged = upscale_job(job, upscaler, progress, quality, args.strip_metadata)
            except ImageError as error:
                failed += 1
                progress.write(f'{share.prefix}error: {error}', sys.stderr)
                continue
            for note in enlarged.notes:
                progress.write(f'{share.prefix}note: {note}', sys.stderr)
            progress.write(f'{share.prefix}{enlarged}')
    return failed
