"""Enlarge image files with a trained ASID: `python -m asid_plugin.upscale photo.jpg -o large.png --scale 4`."""

import argparse
import mimetypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from asid_plugin.checkpoint import CheckpointError, load_asid
from asid_plugin.exported import BackendError, load_onnx
from asid_plugin.image_io import FORMATS, Image, ImageError, check_size, read_image, write_image
from asid_plugin.memory import keep_freed_memory
from asid_plugin.tiling import tiled
from asid_plugin.weights import WeightsError, packaged_name

DEFAULT_SCALE = 2
# 16 tiles of 64x64 at a time; larger tiles come in smaller batches, so that they need no more memory.
_BATCH_PIXELS = 16 * 64**2


class UsageError(ValueError):
    """A command line that cannot be carried out; the message says why and what would be right."""


@dataclass(frozen=True)
class Upscaler:
    """A network and how it is run on an image.

    Attributes:
        net: Maps (B, 3, H, W) in [0, 1] to (B, 3, scale * H, scale * W), both float32 on the CPU.
        scale: The network's scale.
        tile: Tile size in pixels of the input, 0 for the whole image at once.
        overlap: How far neighbouring tiles overlap, in pixels of the input.
    """

    net: Callable[[Tensor], Tensor]
    scale: int
    tile: int = 64
    overlap: int = 24

    @torch.inference_mode()
    def __call__(self, image: Image, progress: Callable[[int, int], None] | None = None) -> Image:
        """Enlarge an image, its alpha by bicubic interpolation; `progress` gets the tiles done and their number.

        Raises:
            FloatingPointError: The network's output is not finite.
        """
        lq = torch.from_numpy(image.rgb).permute(2, 0, 1)[None]
        if self.tile:
            batch = max(1, _BATCH_PIXELS // self.tile**2)
            sr = tiled(self.net, lq, self.scale, self.tile, self.overlap, batch, feather=True, progress=progress)
        else:
            sr = self.net(lq)
        if not sr.isfinite().all():
            raise FloatingPointError("the network's output is not finite (damaged weights, or --half too coarse)")
        rgb = sr[0].clamp_(0, 1).permute(1, 2, 0).contiguous().numpy()
        alpha = image.alpha
        if alpha is not None:
            alpha = np.clip(cv2.resize(alpha, rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC), 0, 1)
        return replace(image, rgb=rgb, alpha=alpha)


def choose_weights(weights: Path | None, scale: int | None) -> Path:
    """The weights that are asked for, or else the package's own of the scale, with a note that says so.

    Raises:
        UsageError: The package has none of this scale.
    """
    if weights is not None:
        return weights
    try:
        name = packaged_name(DEFAULT_SCALE if scale is None else scale)
    except WeightsError as error:
        raise UsageError(f'{error}; pass --weights FILE') from None
    print(f'note: no --weights given, so these are {name}, which come with the package', file=sys.stderr)
    return Path(name)


def load_upscaler(args: argparse.Namespace) -> Upscaler:
    """The network of `--weights` in the backend, on the device and in the precision asked for.

    Raises:
        UsageError: Weights of another scale, a device that isn't there, or tiles that make no sense.
        CheckpointError: The file cannot be read or is not ASID's.
        BackendError: The backend is not installed, or not for this device.
    """
    if args.tile < 0 or (args.tile and not 0 <= args.tile_overlap < args.tile):
        raise UsageError(f'--tile {args.tile} --tile-overlap {args.tile_overlap}: the overlap must be smaller')
    net, scale, num_in_ch = BACKENDS[args.backend](args)
    if args.scale not in (None, scale):
        raise UsageError(f'--scale {args.scale}: {args.weights} holds a network of scale {scale}')
    if num_in_ch != 3:
        raise UsageError(f'{args.weights}: a network for {num_in_ch} channels; images here have 3')
    return Upscaler(net, scale, args.tile, args.tile_overlap)


Loaded = tuple[Callable[[Tensor], Tensor], int, int]
"""A network as `Upscaler.net`, its scale, and its input channels."""


def _load_torch(args: argparse.Namespace) -> Loaded:
    if args.weights.suffix == '.onnx':
        raise UsageError(f'{args.weights}: an .onnx file needs --backend onnxruntime')
    has_cuda = torch.cuda.is_available()
    if args.device == 'cuda' and not has_cuda:
        raise UsageError(f'--device cuda: PyTorch {torch.__version__} sees no CUDA device here')
    network = load_asid(args.weights)
    device = 'cuda' if has_cuda and args.device != 'cpu' else 'cpu'
    # CPUs are slow in float16.
    dtype = torch.float32 if not args.half else torch.float16 if device == 'cuda' else torch.bfloat16
    try:
        network = network.to(device, dtype)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise UsageError('--device: the GPU has no memory left; --device cpu goes without it') from error

    def run(lq: Tensor) -> Tensor:
        return network(lq.to(device, dtype)).to('cpu', torch.float32)

    return run, network.upscale, network.conv_first.in_channels


def _load_onnxruntime(args: argparse.Namespace) -> Loaded:
    if args.weights.suffix != '.onnx':
        raise UsageError(
            f'{args.weights}: --backend onnxruntime needs an .onnx file; '
            f'python -m asid_plugin.export {args.weights} OUT.onnx makes one'
        )
    if args.half:
        raise UsageError('--half: an .onnx file is in half precision if asid_plugin.export --half wrote it')
    exported = load_onnx(args.weights, args.device)
    return exported.run, exported.upscale, exported.num_in_ch


BACKENDS: dict[str, Callable[[argparse.Namespace], Loaded]] = {'torch': _load_torch, 'onnxruntime': _load_onnxruntime}


def plan(inputs: Sequence[Path], output: Path, ext: str = 'png') -> dict[Path, Path]:
    """Say which file is to be written for each input file.

    Args:
        inputs: Files, and folders whose images are meant (not those of folders inside).
        output: A file if the input is one file and this has an image's suffix, else a folder.
        ext: Suffix of the files in a folder, without the dot, or 'keep' for each input's own.

    Raises:
        UsageError: There is no input, two would share an output, or an output is an input.
    """
    sources = list({os.path.abspath(source): source for path in inputs for source in _images(path)}.values())
    suffix = output.suffix.lower()
    one = len(inputs) == 1 and not inputs[0].is_dir()
    if output.is_dir() or not (suffix in FORMATS or (one and _is_picture(output))):
        targets = {source: output / _name(source, ext) for source in sources}
    elif suffix not in FORMATS:
        raise UsageError(f'{output}: {suffix} is not written, only {", ".join(FORMATS)}')
    elif not one:
        raise UsageError(f'{output} names one image; for a folder, or several images, OUT is a folder')
    else:
        targets = {sources[0]: output}

    inodes = {_inode(source) for source in sources}
    taken: dict[str, Path] = {}
    for source, target in targets.items():
        other = taken.setdefault(os.path.normcase(target), source)
        if other is not source:
            raise UsageError(f'{other} and {source} would both become {target}; try --ext keep')
        if target.exists() and _inode(target) in inodes:
            raise UsageError(f'{target} is an input and would be overwritten; choose another OUT')
    return targets


def _images(path: Path) -> list[Path]:
    if not path.exists():
        raise UsageError(f'{path}: no such file or folder')
    if not path.is_dir():
        return [path]
    images = sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() in FORMATS and not file.name.startswith('.') and file.is_file()
    )
    if not images:
        raise UsageError(f'{path}: no images in this folder (looked for {", ".join(FORMATS)})')
    return images


def _is_picture(path: Path) -> bool:
    return (mimetypes.guess_type(path.name)[0] or '').startswith('image/')


def _name(source: Path, ext: str) -> str:
    if source.suffix.lower() not in FORMATS:
        return f'{source.name}.{"png" if ext == "keep" else ext}'
    return source.name if ext == 'keep' else f'{source.stem}.{ext}'


def _inode(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def upscale_file(source: Path, target: Path, upscaler: Upscaler) -> None:
    """Read, enlarge and write one image, with a bar over its tiles if that takes long.

    Raises:
        ImageError: Anything that stands in the way of this image, not necessarily of others.
    """
    image = read_image(source)
    height, width = image.rgb.shape[:2]
    check_size(target, height * upscaler.scale, width * upscaler.scale)
    with tqdm(desc=source.name, unit='tile', leave=False, delay=1, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        with image_failures(source, image, upscaler.tile):
            notes = write_image(upscaler(image, progress), target)
    for note in notes:
        tqdm.write(f'note: {target}: {note}', file=sys.stderr)
    tqdm.write(f'{source} ({width}x{height}) -> {target} ({width * upscaler.scale}x{height * upscaler.scale})')


@contextmanager
def image_failures(source: Path, image: Image, tile: int) -> Iterator[None]:
    """Make the failures of this image, read from `source` and run by tiles of `tile`, ImageErrors that name it."""
    try:
        yield
    except FloatingPointError as error:
        raise ImageError(f'{source}: {error}') from error
    except (RuntimeError, MemoryError, cv2.error) as error:
        if not _is_out_of_memory(error):
            raise
        height, width = image.rgb.shape[:2]
        hint = f'a --tile below {tile}' if tile else '--tile 64'
        raise ImageError(f'{source}: out of memory at {width}x{height} pixels; try {hint}') from error


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    signs = ('out of memory', 'allocate memory', 'not enough memory', 'Insufficient memory', 'ALLOC_FAILED')
    return any(words in str(error) for words in signs)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 1 if an image failed, 2 if nothing was tried, 130 if interrupted."""
    args = _parser().parse_args(argv)
    keep_freed_memory()
    try:
        targets = plan(args.input, args.output, args.ext)
        args.weights = choose_weights(args.weights, args.scale)
        upscaler = load_upscaler(args)
        for folder in {target.parent for target in targets.values()}:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise UsageError(f'{folder}: this folder cannot be written to')
    except (UsageError, CheckpointError, BackendError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'error: {error.filename or args.output}: {error.strerror}', file=sys.stderr)
        return 2

    failed = 0
    try:
        for source, target in tqdm(targets.items(), unit='image', disable=None if len(targets) > 1 else True):
            try:
                upscale_file(source, target, upscaler)
            except ImageError as error:
                failed += 1
                tqdm.write(f'error: {error}', file=sys.stderr)
    except KeyboardInterrupt:
        print('interrupted; what was written is whole', file=sys.stderr)
        return 130
    if failed:
        print(f'{failed} of {len(targets)} images failed', file=sys.stderr)
    return 1 if failed else 0


def add_running_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a network is run: `--tile`, `--tile-overlap`, `--half` and `--device`."""
    add = parser.add_argument
    add(
        '--tile',
        type=int,
        default=64,
        help='size of the tiles that the network sees, in input pixels, 0 for the whole image at once (takes memory '
        'that grows with it). Default: 64, as in the published figures',
    )
    add(
        '--tile-overlap',
        type=int,
        default=24,
        help='overlap of the tiles, in which one fades into the next (default: 24)',
    )
    add(
        '--half',
        action='store_true',
        help='compute in float16 on CUDA, in bfloat16 on a CPU (8 significant bits, seldom faster)',
    )
    add('--device', default='auto', choices=['auto', 'cpu', 'cuda'], help='default: auto, CUDA if there is any')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m asid_plugin.upscale',
        description=(
            'Enlarge images with ASID. Reads and writes PNG, JPEG, WebP, TIFF and BMP; grey stays grey, 16 bits stay 16'
            ' (PNG, TIFF), alpha is kept (PNG, WebP, TIFF; elsewhere composited over white), photographs are turned '
            'upright. Exit status: 0 all written, 1 some images failed (the others are written), 2 nothing was tried.'
        ),
    )
    add = parser.add_argument
    add(
        'input',
        nargs='+',
        type=Path,
        metavar='INPUT',
        help='an image, or a folder: all images in it, not those in folders inside',
    )
    add(
        '-o',
        '--output',
        type=Path,
        required=True,
        metavar='OUT',
        help='a file, if INPUT is one file and OUT ends like an image; else a folder, made if need be, where the names '
        'stay and --ext says the format. Replaces an OUT that is there, never an input',
    )
    add(
        '--ext',
        default='png',
        choices=[*(suffix[1:] for suffix in FORMATS), 'keep'],
        help="format in a folder: png (the default; loses nothing), another, or keep for each input's own",
    )
    add(
        '--weights',
        type=Path,
        metavar='FILE',
        help="a checkpoint of ASID, .pth, .ckpt or .safetensors (default: the package's own of the scale, packaged:xK)",
    )
    add(
        '--backend',
        default='torch',
        choices=BACKENDS,
        help='what runs the network: torch (the default) or onnxruntime, with an .onnx file of asid_plugin.export',
    )
    add(
        '--scale',
        type=int,
        help=f"which of the package's weights (default: {DEFAULT_SCALE}); with --weights a check: stop unless the "
        "checkpoint's scale is this",
    )
    add_running_options(parser)
    return parser


if __name__ == '__main__':
    sys.exit(main())
