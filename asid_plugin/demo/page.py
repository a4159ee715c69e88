"""The page, built from Gradio components."""

import html
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from asid_plugin.checkpoints.packaged import better_packaged
from asid_plugin.images import READABLE, ImageError
from asid_plugin.inference.progress import duration
from asid_plugin.inference.upscaler import Upscaler
from asid_plugin.printable import printable

from .enlarging import (
    Enlarged,
    enlarge,
    left_out,
    limit,
    longest_upload,
    megapixels,
    read_picture_header,
    written,
)
from .example import EXAMPLE
from .gate import Gate, Names
from .keeping import Kept
from .offers import Offers

_DELETE_EVERY, _DELETE_AFTER = 600, 3600  # seconds
_THEME = gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'])
# Gradio limits the images in pixels, regardless of the height of the slider.
_CSS = """
#slider { height: min(75vh, 100vw) !important; }
#slider img { max-height: min(75vh, 100vw) !important; }
.html-container { padding-block: 0 !important; }
.said { font-size: var(--text-sm); line-height: 1.5; color: var(--body-text-color-subdued); }
.said p { margin: 0; }
.said .refused { color: var(--error-text-color); }
.dark .said .refused { color: var(--error-icon-color); }
"""
_PROGRESS = gr.Progress()
_MOST_WAITING = 32
"""Most enlargements and other events in the queue."""
_PATIENCE = 30.0
"""Seconds to wait for an enlargement to stop."""


@dataclass(frozen=True)
class Page:
    """The offers of the page, and its components.

    Attributes:
        offers: The networks by the names that are shown.
        max_pixels: Larger pictures are refused.
        kept: The files.
        awaited: By session, the enlargement that a user waits for; any other stops at its next tiles.
        running: Held by the running enlargement.
        ended: Set when no enlargement may continue or begin.
    """

    offers: Offers
    max_pixels: int
    kept: Kept
    awaited: dict[str, object] = field(default_factory=dict)
    running: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    def names(self, scale: int) -> list[str]:
        """The networks of a scale."""
        return [name for name, offer in self.offers.items() if offer.upscaler.scale == scale]

    def build(self) -> gr.Blocks:
        """Build the components and connect their events."""
        scales = sorted({offer.upscaler.scale for offer in self.offers.values()})
        name = self.names(scales[0])[0]
        cache = (_DELETE_EVERY, _DELETE_AFTER)
        with gr.Blocks(title='ASID', analytics_enabled=False, delete_cache=cache, fill_width=True) as blocks:
            gr.Markdown('# ASID\nDrop a picture, enlarge it, and compare the result with bicubic interpolation.')
            with gr.Row():
                with gr.Column(scale=1, min_width=300):
                    picture = gr.File(label='Picture', file_types=[*READABLE], height=150)
                    example = gr.Button('Use the example picture', icon=EXAMPLE, size='sm')
                    forecast = gr.HTML(_said(self._before(name)), elem_id='forecast')
                    scale = gr.Radio([(f'x{scale}', scale) for scale in scales], value=scales[0], label='Scale')
                    weights = gr.Dropdown(self.names(scales[0]), label='Weights')
                    purpose = gr.HTML(_said(self.offers[name].purpose), elem_id='purpose')
                    button = gr.Button('Enlarge', variant='primary', interactive=False)
                    download = gr.DownloadButton('Download the PNG', interactive=False)
                with gr.Column(scale=4):
                    slider = gr.ImageSlider(
                        label='bicubic | ASID',
                        interactive=False,
                        height='75vh',
                        buttons=['fullscreen'],
                        elem_id='slider',
                    )
                    notes = gr.HTML(elem_id='notes')
            results = [slider, download, notes]
            running = button.click(self._enlarge, [picture, weights], results, show_progress_on=slider)
            example.click(lambda: str(EXAMPLE), outputs=picture, show_progress='hidden')
            chosen = picture.change(self._clear, None, results, show_progress='hidden', cancels=running)
            chosen.then(self._judge, [picture, weights], [forecast, button], show_progress='hidden')
            scale.change(self._offer, scale, weights, show_progress='hidden')
            weights.change(self._explain, weights, purpose, show_progress='hidden')
            weights.change(self._judge, [picture, weights], [forecast, button], show_progress='hidden')
            blocks.unload(self._leave)
        return blocks

    def _before(self, name: str) -> str:
        """The size limit and the time for a megapixel, before a picture is chosen."""
        offer = self.offers[name]
        words = limit(self.max_pixels)
        pace = duration(offer.seconds(1000, 1000))
        return f'{words[0].upper()}{words[1:]}. At x{offer.upscaler.scale}, a megapixel takes {pace} here.'

    def _judge(self, path: str | None, name: str) -> tuple[str, gr.Button]:
        """State the size of the result and the time, or the reason for a refusal."""
        if path is None:
            return _said(self._before(name)), gr.Button(interactive=False)
        offer = self.offers[name]
        scale = offer.upscaler.scale
        if not Path(path).exists():
            return _said(_gone(path), kind='refused'), gr.Button(interactive=False)
        try:
            header = read_picture_header(Path(path), scale, self.max_pixels)
        except ImageError as error:
            return _said(_sentence(error, path), kind='refused'), gr.Button(interactive=False)
        height, width = header.height, header.width
        said = (
            f'{width}x{height} ({megapixels(width * height, digits=2)}) becomes {width * scale}x{height * scale}, '
            f'in {duration(offer.seconds(height, width))}.'
        )
        notes = left_out(header)
        if (better := better_packaged(name, header.quality)) in self.offers:
            notes.append(f'a JPEG of quality {header.quality} (estimated); the weights {better} are for such pictures')
        return _said(said, *(f'Note: {note}.' for note in notes)), gr.Button(interactive=True)

    def _offer(self, scale: int) -> gr.Dropdown:
        names = self.names(scale)
        return gr.Dropdown(names, value=names[0])

    def _explain(self, name: str) -> str:
        return _said(self.offers[name].purpose)

    def _clear(self, request: gr.Request) -> tuple[None, gr.DownloadButton, str]:
        """Remove the result when another picture is chosen."""
        self._leave(request)
        return None, gr.DownloadButton(interactive=False), ''

    def _leave(self, request: gr.Request) -> None:
        self.awaited.pop(request.session_hash, None)

    def _enlarge(
        self, path: str, name: str, request: gr.Request, progress: gr.Progress = _PROGRESS
    ) -> tuple[tuple[Path, Path], gr.DownloadButton, str]:
        this = self.awaited[request.session_hash] = object()

        def report(done: int, total: int) -> None:
            if self.ended.is_set() or self.awaited.get(request.session_hash) is not this:
                raise gr.Error('The enlargement was cancelled.', visible=False, print_exception=False)
            progress((done, total), unit='tiles')

        offer = self.offers[name]
        with self.running, self.kept.using(Path(path)):
            if not Path(path).exists():
                raise gr.Error(html.escape(_gone(path)), print_exception=False)
            report(0, 1)
            start = time.perf_counter()
            try:
                result = self._kept_result(Path(path), offer.upscaler, report)
            except ImageError as error:
                raise gr.Error(html.escape(_sentence(error, path)), print_exception=False) from error
        offer.learn(result.height, result.width, time.perf_counter() - start)
        notes = _said(*(f'Note: {note}.' for note in result.notes))
        return (result.before, result.after), gr.DownloadButton(value=result.after, interactive=True), notes

    def _kept_result(self, path: Path, upscaler: Upscaler, report: Callable[[int, int], None]) -> Enlarged:
        """Enlarge a picture, if there is disk space for the files."""
        header = read_picture_header(path, upscaler.scale, self.max_pixels)
        with self.kept.room(written(header.height * header.width, upscaler.scale)) as free:
            if not free:
                raise ImageError(f'{path}: there is no disk space for its enlargement now; try again later')
            return enlarge(path, upscaler, self.max_pixels, report)

    def end(self) -> None:
        """Stop the running enlargement at its next tiles, and wait for it."""
        self.ended.set()
        self.running.acquire(timeout=_PATIENCE)


def _sentence(error: ImageError, path: str) -> str:
    """An error without the folder, to hide the paths of the server."""
    name = printable(Path(path).name)
    return str(error).removeprefix(f'{printable(Path(path).parent)}{os.sep}').replace(printable(path), name)


def _gone(path: str) -> str:
    return f'{printable(Path(path).name)} was deleted from the server; choose it again.'


def _said(*sentences: str, kind: str = '') -> str:
    """Sentences as HTML, one paragraph each; a screen reader announces their changes."""
    paragraphs = ''.join(f'<p class="{kind}">{html.escape(printable(sentence))}</p>' for sentence in sentences)
    return f'<div class="said" role="status">{paragraphs}</div>'


def launch(page: Page, host: str, port: int | None, names: Sequence[str] = ()) -> gr.Blocks:
    """Start serving a page in the background, on `host` only; its address is `local_url` of the returned blocks.

    Args:
        page: The page.
        host: The address to listen on.
        port: The port, or None for the first free one from 7860.
        names: Further host names of the page.
    """
    blocks = page.build().queue(max_size=_MOST_WAITING)
    most_upload = longest_upload(page.max_pixels)
    gate = Middleware(Gate, Names.of_host(host, names), page.kept, most_upload, [str(EXAMPLE)])
    blocks.launch(
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        server_name=f'[{host}]' if ':' in host else host,
        server_port=port,
        max_file_size=most_upload,
        app_kwargs={'middleware': [gate]},
        enable_monitoring=False,
        allowed_paths=[str(EXAMPLE)],
        footer_links=[],
        run_history=False,
        theme=_THEME,
        css=_CSS,
    )
    return blocks
