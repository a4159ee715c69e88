"""Serve a page to try ASID on: `python -m asid_plugin.demo`."""

import argparse
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from asid_plugin.checkpoint import CheckpointError
from asid_plugin.memory import keep_freed_memory
from asid_plugin.upscale import Upscaler, UsageError, add_running_options, load_upscaler
from asid_plugin.weights import packaged_name, packaged_scales


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0 once the page is closed, 2 if it could not be served."""
    args = _parser().parse_args(argv)
    keep_freed_memory()
    try:
        upscalers = load_upscalers(args)
        port = free_port(args.host, args.port)
        # Everything that Gradio keeps of a picture is in this folder, and goes with it.
        with tempfile.TemporaryDirectory(prefix='asid_demo_') as folder:
            _serve(upscalers, args.max_pixels, args.host, port, folder)
    except (UsageError, CheckpointError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


def load_upscalers(args: argparse.Namespace) -> dict[str, Upscaler]:
    """The networks that the page offers, by the name that it shows: of the file, or its path where names are equal.

    Raises:
        UsageError: The networks cannot be run as the options say.
        CheckpointError: A file cannot be read or is not ASID's.
    """
    if args.max_pixels < 1:
        raise UsageError(f'--max-pixels {args.max_pixels}: should be 1 or more')
    weights = args.weights or [Path(packaged_name(upscale)) for upscale in packaged_scales()]
    names = [path.name for path in weights]
    return {
        path.name if names.count(path.name) == 1 else str(path): load_upscaler(
            argparse.Namespace(**vars(args) | {'weights': path, 'scale': None, 'backend': 'torch'})
        )
        for path in weights
    }


def free_port(host: str, port: int | None) -> int | None:
    """The port itself if `host` can be listened at there, another for 0, and None, which Gradio chooses, for None.

    Raises:
        UsageError: Nothing can listen there.
    """
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    try:
        with socket.create_server((host, port or 0), family=family) as server:
            return None if port is None else server.getsockname()[1]
    except (OSError, OverflowError) as error:
        raise UsageError(f'--host, --port: {getattr(error, "strerror", error)}') from error


def _serve(upscalers: dict[str, Upscaler], max_pixels: int, host: str, port: int | None, folder: str) -> None:
    # Gradio reads these as it starts. Its start-up check of the page must not go by way of a proxy.
    os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED='False', no_proxy='*')
    try:
        from .page import Page, serve  # here, because it is slow, and an extra
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: pip install 'asid-plugin[demo]'") from error
    page = Page(upscalers, max_pixels)
    blocks = serve(page, host, port)
    print(f'The page is at {blocks.local_url} until Ctrl-C', flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    page.awaited.clear()
    blocks.close(verbose=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m asid_plugin.demo',
        description=(
            'Serve a page on which pictures are enlarged and compared with their bicubic enlargement. It is seen on '
            'this machine only, unless --host says otherwise; pictures are deleted after an hour, and at the end. '
            'Exit status: 0 closed by Ctrl-C, 2 not served.'
        ),
    )
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
        help='larger pictures are refused (default: 4000000, which at x4 takes minutes on a CPU and 3.5 GiB)',
    )
    add_running_options(parser)
    return parser


if __name__ == '__main__':
    sys.exit(main())
