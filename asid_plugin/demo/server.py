"""The server of the page: its networks, its address, and its end."""

import os
import signal
import socket
import tempfile
import threading
from contextlib import suppress
from importlib.util import find_spec

from asid_plugin.errors import UsageError

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


def serve(offers: Offers, max_pixels: int, host: str, port: int | None) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        offers: The networks by the names that are shown.
        max_pixels: Pictures of more pixels are refused.
        host: The address to listen at.
        port: The port, 0 for any, or None for the first that is free from 7860 on.

    Raises:
        UsageError: Nothing can listen there.
    """
    port = free_port(host, port)
    # Everything that Gradio keeps of a picture is in this folder, and is deleted with it.
    with tempfile.TemporaryDirectory(prefix='asid_demo_') as folder:
        _serve(offers, max_pixels, host, port, folder)


def _serve(offers: Offers, max_pixels: int, host: str, port: int | None, folder: str) -> None:
    # Gradio reads these as it starts. Its start-up check of the page must not go by way of a proxy.
    os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED='False', no_proxy='*')
    from .page import Page, launch  # here, because Gradio reads them when it is imported

    page = Page(offers, max_pixels)
    blocks = launch(page, host, port)
    print(f'The page is at {blocks.local_url} until Ctrl-C', flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    page.awaited.clear()
    blocks.close(verbose=False)
