"""Make data sets: sub-images and LMDBs to train from, and pairs to validate and test on.

    asid prepare div2k                       # DIV2K, or any folder of photographs, as the paper's recipe needs it
    asid prepare photos ~/Pictures/best      # photographs of one's own, some of them held out to validate on

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
    """Prepare the data set that is named.

    Raises:
        PrepareError: An argument, an image or an existing output is not as it must be, or a worker was killed.
    """
    from concurrent.futures.process import BrokenProcessPool

    from asid_plugin.prepare.sub_images import PrepareError

    arguments = {name: value for name, value in vars(args).items() if name != 'prepare'}
    if 'workers' in arguments and arguments['workers'] is None:
        arguments['workers'] = min(os.cpu_count() or 1, 16)
    try:
        call(f'asid_plugin.prepare.{args.prepare}', **arguments)
    except BrokenProcessPool:
        raise PrepareError('a worker was killed, most likely for want of memory: give fewer --workers') from None


def add_div2k_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid prepare div2k`."""
    add = parser.add_argument
    add('--hr', default='datasets/DIV2K/DIV2K_train_HR', help='folder of HR images (%(default)s)')
    add(
        '--lr',
        help='folder of LR images (X2/0001x2.png ...); without, DIV2K_train_LR_bicubic beside --hr or, if absent, made',
    )
    _add_output(parser, 'datasets/DIV2K')
    add('--name', default='DIV2K_train', help="how the outputs' names begin (%(default)s)")
    add('--scales', type=int, nargs='+', default=[2, 3, 4], help='downscaling factors (2 3 4)')
    _add_cutting(parser)
    _add_raw(parser, ' (32 GB more for DIV2K)')
    add_workers(parser)


def add_photos_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid prepare photos`."""
    add = parser.add_argument
    add('folders', nargs='+', type=Path, metavar='FOLDER', help='of photographs; not those in folders inside')
    _add_output(parser, 'datasets/photos')
    add('--scales', '--scale', type=int, nargs='+', default=[2, 3, 4], help='downscaling factors (2 3 4)')
    add(
        '--crop-size',
        type=int,
        default=240,
        help='side of a sub-image in HR pixels, at least 64 times the scale (%(default)s)',
    )
    add(
        '--least-side',
        type=int,
        default=0,
        help='leave smaller photographs out, in pixels (%(default)s); a patch of gt_size must fit into each',
    )
    add('--workers', type=int, default=2, help='processes (%(default)s)')


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid prepare demo`."""
    _add_output(parser, 'datasets/demo')
    _add_raw(parser)


def add_realsr_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid prepare realsr`."""
    add = parser.add_argument
    add('--realsr', default='datasets/RealSR(V3)', help='folder that holds Canon and Nikon (%(default)s)')
    _add_output(parser, 'datasets/RealSR')
    add('--scales', type=int, nargs='+', choices=[2, 3, 4], default=[3, 4], help='the scales to prepare (3 4)')
    cameras = ['Canon', 'Nikon']
    add('--cameras', nargs='+', choices=cameras, default=cameras, help='whose images to take (both)')
    _add_cutting(parser)
    _add_raw(parser)
    add_workers(parser)


def add_degraded_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `asid prepare degraded`."""
    add = parser.add_argument
    add('folder', type=Path, metavar='SET', help='with GTmodK and LRbicxK in it')
    add('--scale', type=int, required=True, help='K')
    _add_output(parser, 'datasets/degraded')


def _add_output(parser: argparse.ArgumentParser, default: str) -> None:
    text = 'folder to write to (%(default)s)'
    parser.add_argument('-o', '--output', '--out', dest='out', type=Path, default=Path(default), help=text)


def _add_raw(parser: argparse.ArgumentParser, size: str = '') -> None:
    text = f'make LMDBs of uncompressed pixels besides, which asid train --raw reads{size}'
    parser.add_argument('--raw', action='store_true', help=text)


def _add_cutting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--crop-size', type=int, default=480, help='side of a sub-image in HR pixels (%(default)s)')
    parser.add_argument('--step', type=int, default=240, help='distance of sub-images in HR pixels (%(default)s)')


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
        "photographs of one's own",
        add_photos_arguments,
        'photos:prepare_photos',
        'Make raw LMDBs to train on from folders of photographs; some are held out, as pairs to validate on.',
    ),
    'demo': Data(
        "the quick start's data",
        add_demo_arguments,
        'demo:prepare_demo',
        "Make the quick start's data from the photographs that come with scikit-image; nothing is downloaded.",
    ),
    'realsr': Data(
        'RealSR',
        add_realsr_arguments,
        'realsr:prepare_realsr',
        'Make sub-images, LMDBs and test folders for BasicSR from RealSR. LR of 1/k of the size of HR (version 3) is '
        'used as it is, LR of the size of HR (versions 1 and 2) is downscaled by k.',
    ),
    'degraded': Data(
        'a test set, JPEG-compressed and noisy',
        add_degraded_arguments,
        'degraded:degrade',
        'Make test sets whose LR images are JPEG-compressed or noisy from one whose LR images are clean.',
    ),
}
