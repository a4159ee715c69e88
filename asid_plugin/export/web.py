"""A static page that enlarges pictures in the browser of the visitor, by an exported network in ONNX Runtime Web."""

import json
from importlib.resources import files
from pathlib import Path

from asid_plugin.archs import ASID
from asid_plugin.files import whole_folder
from asid_plugin.inference.runtimes import backend
from asid_plugin.inference.tiling import Windows
from asid_plugin.tiles import OVERLAP, TILE

from .subject import ExportError, describe
from .web_runtime import RUNTIME, RUNTIME_VERSION, copy_runtime
from .write import EXPORT_FORMATS, export

MODEL = 'asid.onnx'
SETTINGS = 'settings.json'
PAGE = (
    'index.html',
    'page.css',
    'page.js',
    'words.js',
    'worker.js',
    'picture.js',
    'hidden.js',
    'network.js',
    'tiles.js',
    'cubic.js',
    'png.js',
    'icon.svg',
)
SLIDER = ('comparison.css', 'comparison.js')
"""Files from the report of `asid evaluate`."""


def export_web(net: ASID, folder: str | Path, runtime: Path | None = None) -> float:
    """Write the page to a folder, which appears complete or not at all.

    Args:
        net: In eval mode, float32, on the CPU, for three channels.
        folder: A new or empty folder.
        runtime: The unpacked npm package of ONNX Runtime Web; None to have npm fetch it.

    Returns:
        The largest difference between the exported network and PyTorch, as in `export`.

    Raises:
        BackendError: A package is not installed.
        ExportError: The network cannot be exported, or the runtime cannot be fetched.
        OSError: The folder exists and is not empty, or cannot be written.
    """
    if (net.conv_first.in_channels, net.arguments['num_out_ch']) != (3, 3):
        raise ExportError(f'{folder}: not written; the page needs a network with 3 input and 3 output channels')
    for package in EXPORT_FORMATS['onnx'].packages:  # before the runtime is fetched
        backend(package)
    with whole_folder(folder) as unfinished:
        copy_runtime(unfinished, runtime)
        for origin, names in ((files('asid_plugin.export') / 'page', PAGE), (files('asid_plugin.evaluate'), SLIDER)):
            for name in names:
                (unfinished / name).write_bytes((origin / name).read_bytes())
        (unfinished / SETTINGS).write_text(json.dumps(settings(net), indent=2) + '\n', encoding='utf-8')
        try:
            return export(net, unfinished / MODEL)
        except ExportError as error:
            raise ExportError(str(error).replace(str(unfinished), str(folder))) from error


def settings(net: ASID) -> dict[str, object]:
    """Settings of the page for the network, and the versions of both."""
    described = describe(net)
    return {
        'model': MODEL,
        'scale': net.upscale,
        'tile': TILE,
        'overlap': OVERLAP,
        'window': net.window_size,
        'least': Windows(net.window_size).least,
        'asid_plugin': described['asid_plugin'],
        'weights_sha256': described['weights_sha256'],
        RUNTIME: RUNTIME_VERSION,
    }
