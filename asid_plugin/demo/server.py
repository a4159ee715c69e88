"""The server of the page: start, address and end."""

import os
import socket
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec

from asid_plugin.errors import UsageError
from asid_plugin.files import temporary

from .enlarging import longest_upload, written
from .keeping import Kept
from .offers import Offers


def find_gradio() -> None:
    """Raise a `ModuleNotFoundError` if Gradio is not installed; it is imported later."""
    if find_spec('gradio') is None:
        raise ModuleNotFoundError("No module named 'gradio'", name='gradio')


def free_port(host: str, port: int | None) -> int | None:
    """The given port if it is free on `host`, a free port for 0, or None for None (Gradio then chooses).

    Raises:
        UsageError: The address or port is not available.
    """
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    try:
        with socket.create_server((host, port or 0), family=family) as server:
            return None if port is None else server.getsockname()[1]
    except (OSError, OverflowError) as error:
        raise UsageError(f'--host, --port: {getattr(error, "strerror", error)}') from error


def least_space(offers: Offers, max_pixels: int) -> int:
    """Most bytes of one picture with its enlargements."""
    largest = max(offer.upscaler.scale for offer in offers.values())
    return longest_upload(max_pixels) + written(max_pixels, largest)


def serve(
    offers: Offers, max_pixels: int, host: str, port: int | None, max_disk: int, names: Sequence[str] = ()
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        offers: The networks by their shown names.
        max_pixels: Larger pictures are refused.
        host: The address to listen on.
        port: The port, 0 for any, or None for the first free one from 7860.
        max_disk: Most bytes of all pictures on the disk.
        names: Further host names of the page.

    Raises:
        UsageError: The address is not available, or one picture may need more than `max_disk`.
    """
    if max_disk < (least := least_space(offers, max_pixels)):
        raise UsageError(
            f'--max-disk {max_disk / 2**30:g}: a picture of --max-pixels {max_pixels} may take {least / 2**30:.2f} '
            'GiB with its enlargements; raise --max-disk or lower --max-pixels'
        )
    port = free_port(host, port)
    # Gradio stores all files of a picture in this folder, which is deleted at the end.
    with suppress(KeyboardInterrupt), temporary(tempfile.gettempdir(), 'asid_demo_') as folder:
        _serve(offers, max_pixels, host, port, Kept(folder, max_disk), names)


def _serve(offers: Offers, max_pixels: int, host: str, port: int | None, kept: Kept, names: Sequence[str]) -> None:
    # Gradio reads these at its start. Its start-up check of the page must not use a proxy.
    os.environ.update(GRADIO_TEMP_DIR=str(kept.folder), GRADIO_ANALYTICS_ENABLED='False', no_proxy='*')
    from .page import Page, launch  # here, because Gradio reads them when it is imported

    page = Page(offers, max_pixels, kept)
    with ExitStack() as ends:
        blocks = launch(page, host, port, names)
        ends.callback(blocks.close, verbose=False)
        ends.callback(page.end)
        print(f'The page is at {blocks.local_url} (Ctrl-C ends it)', flush=True)
        threading.Event().wait()
