"""Make data sets: sub-images and LMDBs for training, and pairs for validation and testing.

    asid prepare div2k                       # DIV2K or any folder of photographs, for the recipe of the paper
    asid prepare photos ~/Pictures/best      # your photographs; some are held out for validation

The same command continues an interrupted run and verifies a finished one.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .arguments import add_workers, call


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a sub-command for each data set."""
    subparsers = parser.add_subparsers(metavar='DATA', required=True)
    for name, data in DATA.items():
        subparser = subparsers.add_parser(name, help=data.help, description=data.description)
        data.add_arguments(subparser)
        subparser.set_defaults(prepare=data.prepare)


def run(args: argparse.Namespace) -> None:
    """Prepare the named data set.

    Raises:
        PrepareError: An argument, an image or an existing output is unsuitable, or a worker was killed.
    """
    from concurrent.futures.process import BrokenProcessPool

    from asid_plugin.prepare.sub_images import PrepareError

    arguments = {name: value for name, value in vars(args).items() if name != 'prepare'}
    if 'workers' in arguments and arguments['workers'] is None:
        arguments['workers'] = min(os.cpu_count() or 1, 16)
    try:
        call(f'asid_plugin.prepare.{args.prepare}', **arguments)
    except BrokenProcessPool:
        raise PrepareError('a worker was killed, possibly out of memory; use fewer --workers') from None


def add_div2k_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid prepare div2k`."""
    add = parser.add_argument
    add('--hr', default='datasets/DIV2K/DIV2K_train_HR', help='folder of HR images (default: %(default)s)')
    add(
        '--lr',
        help='folder of LR images (X2/0001x2.png ...); default: DIV2K_train_LR_bicubic beside --hr, or LR images are '
        'made',
    )
    _add_output(parser, 'datasets/DIV2K')
    add('--name', default='DIV2K_train', help='prefix of the output names (default: %(default)s)')
    add('--scales', type=int, nargs='+', default=[2, 3, 4], help='downscaling factors (default: 2 3 4)')
    _add_cutting(parser)
    _add_raw(parser, ' (32 GB more for DIV2K)')
    add_workers(parser)


def add_photos_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid prepare photos`."""
    add = parser.add_argument
    add('folders', nargs='+', type=Path, metavar='FOLDER', help='folder of photographs; subfolders are ignored')
    _add_output(parser, 'datasets/photos')
    add('--scales', '--scale', type=int, nargs='+', default=[2, 3, 4], help='downscaling factors (default: 2 3 4)')
    add(
        '--crop-size',
        type=int,
        default=240,
        help='side of a sub-image in HR pixels, at least 64 times the scale (default: %(default)s)',
    )
    add(
        '--least-side',
        type=int,
        default=0,
        help='skip photographs with fewer pixels on a side (default: %(default)s); each must hold a patch of gt_size',
    )
    add('--workers', type=int, default=2, help='number of processes (default: %(default)s)')


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid prepare demo`."""
    _add_output(parser, 'datasets/demo')
    _add_raw(parser)


def add_realsr_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid prepare realsr`."""
    add = parser.add_argument
    add('--realsr', default='datasets/RealSR(V3)', help='folder that holds Canon and Nikon (default: %(default)s)')
    _add_output(parser, 'datasets/RealSR')
    add('--scales', type=int, nargs='+', choices=[2, 3, 4], default=[3, 4], help='scales to prepare (default: 3 4)')
    cameras = ['Canon', 'Nikon']
    add('--cameras', nargs='+', choices=cameras, default=cameras, help='cameras to use (default: both)')
    _add_cutting(parser)
    _add_raw(parser)
    add_workers(parser)


def add_degraded_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid prepare degraded`."""
    add = parser.add_argument
    add('folder', type=Path, metavar='SET', help='test set with GTmodK and LRbicxK')
    add('--scale', type=int, required=True, help='the scale K')
    _add_output(parser, 'datasets/degraded')


def _add_output(parser: argparse.ArgumentParser, default: str) -> None:
    text = 'folder to write to (default: %(default)s)'
    parser.add_argument('-o', '--output', '--out', dest='out', type=Path, default=Path(default), help=text)


def _add_raw(parser: argparse.ArgumentParser, size: str = '') -> None:
    text = f'also make LMDBs of uncompressed pixels, for asid train --raw{size}'
    parser.add_argument('--raw', action='store_true', help=text)


def _add_cutting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--crop-size', type=int, default=480, help='side of a sub-image in HR pixels (default: %(default)s)'
    )
    parser.add_argument(
        '--step', type=int, default=240, help='distance between sub-images in HR pixels (default: %(default)s)'
    )


class Data(NamedTuple):
    """A data set: its help and description, a function that adds arguments, and MODULE:FUNCTION that prepares it."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    prepare: str
    description: str


DATA = {
    'div2k': Data(
        'DIV2K or any folder of HR images',
        add_div2k_arguments,
        'sub_images:prepare',
        'Make 480x480 sub-images and LMDBs for BasicSR from DIV2K or any folder of HR images.',
    ),
    'photos': Data(
        'your photographs',
        add_photos_arguments,
        'photos:prepare_photos',
        'Make raw LMDBs for training from folders of photographs. Some photographs are held out as validation pairs.',
    ),
    'demo': Data(
        'the data of the quick start',
        add_demo_arguments,
        'demo:prepare_demo',
        'Make the data of the quick start from photographs in scikit-image. Nothing is downloaded.',
    ),
    'realsr': Data(
        'RealSR',
        add_realsr_arguments,
        'realsr:prepare_realsr',
        'Make sub-images, LMDBs and test folders for BasicSR from RealSR. LR images of 1/k of the HR size (version 3) '
        'are used unchanged. LR images of the HR size (versions 1 and 2) are downscaled by k.',
    ),
    'degraded': Data(
        'a test set with JPEG compression and noise',
        add_degraded_arguments,
        'degraded:degrade',
        'Make test sets with JPEG-compressed or noisy LR images from a set with clean LR images.',
    ),
}
