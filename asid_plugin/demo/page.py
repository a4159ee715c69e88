"""The page itself, made of Gradio's components."""

import html
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import gradio as gr
import imagesize
from torch.nn import functional as F

from asid_plugin.inference.images import FORMATS, UNREADABLE, Image, ImageError, check_size, read_image, write_image
from asid_plugin.inference.upscaler import Upscaler, image_failures

_DELETE_EVERY, _DELETE_AFTER = 600, 3600  # seconds
_THEME = gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'])
# Gradio limits the images in pixels, whatever the height of the slider.
_CSS = '#slider img { max-height: 75vh !important; }'
_PROGRESS = gr.Progress()


@dataclass(frozen=True)
class Page:
    """What the page offers and does.

    Attributes:
        upscalers: The networks by the names that are shown.
        max_pixels: Pictures of more pixels are refused.
        awaited: By session, the enlargement that somebody waits for; any other stops at its next tiles.
    """

    upscalers: Mapping[str, Upscaler]
    max_pixels: int
    awaited: dict[str, object] = field(default_factory=dict)

    def names(self, scale: int) -> list[str]:
        """The networks of a scale."""
        return [name for name, upscaler in self.upscalers.items() if upscaler.scale == scale]

    def build(self) -> gr.Blocks:
        """The components, and what happens between them."""
        scales = sorted({upscaler.scale for upscaler in self.upscalers.values()})
        cache = (_DELETE_EVERY, _DELETE_AFTER)
        with gr.Blocks(title='ASID', analytics_enabled=False, delete_cache=cache, fill_width=True) as blocks:
            gr.Markdown('# ASID\nDrop a picture, enlarge it, and compare the result with bicubic interpolation.')
            with gr.Row():
                with gr.Column(scale=1, min_width=300):
                    picture = gr.File(label='Picture', file_types=[*FORMATS], height=150)
                    scale = gr.Radio([(f'x{scale}', scale) for scale in scales], value=scales[0], label='Scale')
                    weights = gr.Dropdown(self.names(scales[0]), label='Weights')
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
            running = button.click(self._enlarge, [picture, weights], [slider, download], show_progress_on=slider)
            picture.change(self._clear, picture, [slider, download, button], show_progress='hidden', cancels=running)
            scale.change(self._offer, scale, weights, show_progress='hidden')
            blocks.unload(self._leave)
        return blocks

    def _offer(self, scale: int) -> gr.Dropdown:
        names = self.names(scale)
        return gr.Dropdown(names, value=names[0])

    def _clear(self, path: str | None, request: gr.Request) -> tuple[None, gr.DownloadButton, gr.Button]:
        """Let no result stand beside another picture."""
        self._leave(request)
        return None, gr.DownloadButton(interactive=False), gr.Button(interactive=path is not None)

    def _leave(self, request: gr.Request) -> None:
        self.awaited.pop(request.session_hash, None)

    def _enlarge(
        self, path: str, name: str, request: gr.Request, progress: gr.Progress = _PROGRESS
    ) -> tuple[tuple[Path, Path], gr.DownloadButton]:
        this = self.awaited[request.session_hash] = object()

        def report(done: int, total: int) -> None:
            if self.awaited.get(request.session_hash) is not this:
                raise gr.Error('Nobody waits for it.', visible=False, print_exception=False)
            progress((done, total), unit='tiles')

        try:
            before, after = enlarge(Path(path), self.upscalers[name], self.max_pixels, report)
        except ImageError as error:
            # Where the server keeps the file is nobody's business.
            sentence = str(error).removeprefix(f'{Path(path).parent}{os.sep}')
            raise gr.Error(html.escape(sentence), print_exception=False) from error
        return (before, after), gr.DownloadButton(value=after, interactive=True)


def launch(page: Page, host: str, port: int | None) -> gr.Blocks:
    """Start serving a page in the background, to `host` alone; `local_url` of what is returned is its address.

    Args:
        page: The page.
        host: The address to listen at.
        port: The port, or None for the first that is free from 7860 on.
    """
    blocks = page.build()
    blocks.launch(
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        server_name=f'[{host}]' if ':' in host else host,
        server_port=port,
        max_file_size=8 * page.max_pixels + 2**20,  # 16 bits of RGBA without compression, and what else a file holds
        footer_links=[],
        run_history=False,
        theme=_THEME,
        css=_CSS,
    )
    return blocks


def enlarge(
    path: Path, upscaler: Upscaler, max_pixels: int, progress: Callable[[int, int], None] | None = None
) -> tuple[Path, Path]:
    """Enlarge an image file, into a new folder beside it.

    Args:
        path: The file.
        upscaler: The network.
        max_pixels: Larger images are refused before they are decoded.
        progress: Called with (tiles done, tiles in all).

    Returns:
        The PNG files of the bicubic enlargement and of the network's.

    Raises:
        ImageError: The image cannot be read, is too large or cannot be enlarged.
    """
    width, height = imagesize.get(path)
    if min(width, height) < 1 and cv2.haveImageReader(str(path)):  # OpenCV would decode it, however large it is
        raise ImageError(f'{path}: {UNREADABLE}')
    _check_pixels(path, height, width, max_pixels)
    image = read_image(path)
    height, width = image.rgb.shape[:2]
    _check_pixels(path, height, width, max_pixels)
    folder = Path(tempfile.mkdtemp(dir=path.parent))
    before, after = folder / f'{path.stem}_bicubic.png', folder / f'{path.stem}_x{upscaler.scale}.png'
    check_size(after, height * upscaler.scale, width * upscaler.scale)
    with image_failures(path, image, upscaler.tile):
        write_image(upscaler(image, progress), after)
        write_image(bicubic(image, upscaler.scale), before)
    return before, after


def bicubic(image: Image, scale: int) -> Image:
    """Enlarge an image by bicubic interpolation."""
    # antialias chooses MATLAB's cubic, a = -0.5; there is nothing else to it in enlarging
    net = partial(F.interpolate, scale_factor=scale, mode='bicubic', antialias=True)
    return Upscaler(net, scale, tile=0)(image)


def _check_pixels(path: Path, height: int, width: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(f'{path}: {width}x{height} is too large; pictures of up to {max_pixels:,} pixels are taken')
