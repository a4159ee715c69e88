"""The server of the page: its networks, its address, and its end."""

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
    """Raise a `ModuleNotFoundError` if Gradio, which is imported late, is not installed."""
    if find_spec('gradio') is None:
        raise ModuleNotFoundError("No module named 'gradio'", name='gradio')


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


def least_space(offers: Offers, max_pixels: int) -> int:
    """Bytes that the files of one picture may take, with its enlargements."""
    largest = max(offer.upscaler.scale for offer in offers.values())
    return longest_upload(max_pixels) + written(max_pixels, largest)


def serve(
    offers: Offers, max_pixels: int, host: str, port: int | None, max_disk: int, names: Sequence[str] = ()
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        offers: The networks by the names that are shown.
        max_pixels: Pictures of more pixels are refused.
        host: The address to listen at.
        port: The port, 0 for any, or None for the first that is free from 7860 on.
        max_disk: Bytes that all pictures may take on the disk.
        names: Names that the page may be called by, besides those of the address.

    Raises:
        UsageError: Nothing can listen there, or one picture may take more than all.
    """
    if max_disk < (least := least_space(offers, max_pixels)):
        raise UsageError(
            f'--max-disk {max_disk / 2**30:g}: a picture of --max-pixels {max_pixels} may take '
            f'{least / 2**30:.2f} GiB with its enlargements; allow more, or smaller pictures'
        )
    port = free_port(host, port)
    # Everything that Gradio keeps of a picture is in this folder, and is deleted with it.
    with suppress(KeyboardInterrupt), temporary(tempfile.gettempdir(), 'asid_demo_') as folder:
        _serve(offers, max_pixels, host, port, Kept(folder, max_disk), names)


def _serve(offers: Offers, max_pixels: int, host: str, port: int | None, kept: Kept, names: Sequence[str]) -> None:
    # Gradio reads these as it starts. Its start-up check of the page must not go by way of a proxy.
    os.environ.update(GRADIO_TEMP_DIR=str(kept.folder), GRADIO_ANALYTICS_ENABLED='False', no_proxy='*')
    from .page import Page, launch  # here, because Gradio reads them when it is imported

    page = Page(offers, max_pixels, kept)
    with ExitStack() as ends:
        blocks = launch(page, host, port, names)
        ends.callback(blocks.close, verbose=False)
        ends.callback(page.end)
        print(f'The page is at {blocks.local_url} until Ctrl-C', flush=True)
        threading.Event().wait()
