"""Serve a web page that enlarges pictures and compares them with bicubic interpolation.

The page reads the formats of `asid upscale`, has an example picture, and estimates the time beforehand. Only this
machine can open it, unless --host is given. Pictures are deleted after an hour and at the end. The page rejects
requests under other host names than its own (see --name), so that other web sites cannot use it.

Exit status: 0 closed by Ctrl-C, 2 the page could not be served.
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
        help='checkpoints of ASID to choose from, .pth or .safetensors, of any scales (default: the packaged weights)',
    )
    add('--host', default='127.0.0.1', help='address to listen on (default: 127.0.0.1; 0.0.0.0 for all networks)')
    add('--port', type=int, help='port to listen on, 0 for any (default: the first free one from 7860)')
    add(
        '--max-pixels',
        type=int,
        default=4_000_000,
        help='refuse larger pictures (default: 4000000, which takes minutes on a CPU and 0.9 GiB at x4)',
    )
    add(
        '--max-disk',
        type=float,
        default=4,
        metavar='GIB',
        help='disk space for all pictures, in gibibytes (default: 4); the oldest pictures are deleted first',
    )
    add(
        '--name',
        nargs='+',
        action='extend',
        default=[],
        metavar='NAME',
        help='further host names of the page, such as the name of a reverse proxy',
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
        raise UsageError(f'--max-disk {args.max_disk}: should be a positive number of gibibytes')
    find_gradio()
    keep_freed_memory()
    allow_tf32(False)
    offers = load_offers(args.weights, tile=args.tile, overlap=args.tile_overlap, device=args.device, half=args.half)
    serve(offers, args.max_pixels, args.host, args.port, int(args.max_disk * 2**30), args.name)
