"""Serve a page on which pictures are enlarged and compared with their bicubic enlargement.

The page takes all formats that upscale reads, has an example picture, and says beforehand how long it will take. It is
seen on this machine only, unless --host says otherwise; pictures are deleted after an hour, and at the end. It answers
under the names of its address alone, as web sites may send requests to it under others.

Exit status: 0 closed by Ctrl-C, 2 not served.
"""

import argparse
from pathlib import Path

from .arguments import add_running_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add(
        '--weights',
        nargs='+',
        action='extend',
        type=Path,
        default=[],
        metavar='FILE',
        help="checkpoints of ASID to choose from, .pth or .safetensors, of any scales (default: the package's own)",
    )
    add('--host', default='127.0.0.1', help='address to listen at (default: 127.0.0.1; 0.0.0.0 is every network)')
    add('--port', type=int, help='port to listen at, 0 for any (default: the first that is free from 7860 on)')
    add(
        '--max-pixels',
        type=int,
        default=4_000_000,
        help='larger pictures are refused (default: 4000000, which at x4 takes minutes on a CPU, and 0.9 GiB)',
    )
    add(
        '--max-disk',
        type=float,
        default=4,
        metavar='GIB',
        help='gibibytes that all pictures may take on the disk (default: 4); the oldest make room for new ones',
    )
    add(
        '--name',
        nargs='+',
        action='extend',
        default=[],
        metavar='NAME',
        help='names that the page is called by besides, such as that of a server that hands its requests on',
    )
    add_running_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Serve the page until it is closed."""
    from asid_plugin.demo.offers import load_offers
    from asid_plugin.demo.server import find_gradio, serve
    from asid_plugin.errors import UsageError
    from asid_plugin.inference import keep_freed_memory
    from asid_plugin.tf32 import allow_tf32

    if args.max_pixels < 1:
        raise UsageError(f'--max-pixels {args.max_pixels}: should be 1 or more')
    if not 0 < args.max_disk < float('inf'):
        raise UsageError(f'--max-disk {args.max_disk}: should be a number of gibibytes')
    find_gradio()
    keep_freed_memory()
    allow_tf32(False)
    offers = load_offers(args.weights, tile=args.tile, overlap=args.tile_overlap, device=args.device, half=args.half)
    serve(offers, args.max_pixels, args.host, args.port, int(args.max_disk * 2**30), args.name)
