"""Export an ASID to ONNX, OpenVINO, ncnn, Core ML or torch.export, or as a page for browsers.

The network takes images of any size, or of one size with --size. The file stores the scale, the arguments of the
network and the SHA-256 of the weights, except for ncnn, whose format has no metadata. A file is written only if it
agrees with PyTorch to 0.0001 (0.01 with --half) on noise, black and white, and at other sizes than the traced one. A
Core ML package runs on Apple's systems only; elsewhere the program from which it is converted is compared. With
--format web, OUT is a folder of static files for any web server: a page that enlarges pictures in the browser of the
visitor and uploads nothing.
"""

import argparse
import re
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    weights = 'a checkpoint of ASID, .pth or .safetensors, or packaged:xK (default: %(default)s)'
    add('weights', type=Path, nargs='?', default=Path('packaged:x2'), metavar='WEIGHTS', help=weights)
    out = (
        '.onnx, .pt2 (torch.export), .xml (OpenVINO) or .param (ncnn), both with a .bin beside them, .mlpackage (Core '
        'ML, a folder), or a new folder with --format web'
    )
    add('place', type=Path, nargs='?', metavar='OUT', help=out)
    add('-o', '--output', type=Path, metavar='OUT', help='the same; WEIGHTS can then be omitted')
    formats = ['onnx', 'torch-export', 'openvino', 'ncnn', 'coreml', 'web']
    add('--format', choices=formats, help='default: from the suffix of OUT')
    add(
        '--half',
        action='store_true',
        help='weights, input and output in float16 (ncnn: only weights; Core ML: weights and computation); not with '
        '--format web',
    )
    add(
        '--size',
        type=_size,
        metavar='WxH',
        help='fix the input to one image of this width and height, such as 64x64; preferred by browsers and TensorRT, '
        'required by Core ML (default: any batch and size)',
    )
    add('--opset', type=int, metavar='N', help='ONNX opset, 18 to 23 (default: 20)')
    runtime = (
        'with --format web: the unpacked npm package onnxruntime-web, or its folder dist (default: downloaded by npm)'
    )
    add('--runtime', type=Path, metavar='FOLDER', help=runtime)


def _size(text: str) -> tuple[int, int]:
    """WxH as (height, width)."""
    found = re.fullmatch(r'([0-9]+)[x×]([0-9]+)', text)
    if not found:
        raise argparse.ArgumentTypeError(f'{text!r} is not WIDTHxHEIGHT in pixels, such as 64x64')
    return int(found[2]), int(found[1])


def run(args: argparse.Namespace) -> None:
    """Export.

    Raises:
        ExportError: OUT has no suffix of the format, or the network cannot be exported.
        UsageError: OUT is missing or there twice, or an argument is not for this format.
    """
    from asid_plugin.errors import UsageError

    if (args.place is None) == (args.output is None):
        raise UsageError('name one OUT: asid export WEIGHTS OUT, or -o OUT')
    output = args.output or args.place
    if args.format == 'web':
        _export_web(args, output)
    elif args.runtime:
        raise UsageError('--runtime needs --format web')
    else:
        _export_file(args, output)


def _export_web(args: argparse.Namespace, output: Path) -> None:
    from asid_plugin.checkpoints import load_asid
    from asid_plugin.errors import UsageError
    from asid_plugin.export import export_web
    from asid_plugin.printable import printable

    for option, given in (('--half', args.half), ('--size', args.size), ('--opset', args.opset)):
        if given:
            raise UsageError(f'{option} does not apply to --format web, which computes in float32 at any size')
    net = load_asid(args.weights)
    difference = export_web(net, output, args.runtime)
    size = sum(path.stat().st_size for path in output.iterdir())
    print(
        f'wrote {printable(output)}: a page for x{net.upscale}, {size / 1e6:.1f} MB; its network is within '
        f'{difference:.0e} of PyTorch'
    )
    print(f'to try it: python -m http.server --directory {printable(output)}, and open http://localhost:8000')


def _export_file(args: argparse.Namespace, output: Path) -> None:
    from asid_plugin.checkpoints import load_asid
    from asid_plugin.export import EXPORT_FORMATS, OPSET, ExportError, export, scale_by_name
    from asid_plugin.printable import printable

    suffixes = {form.suffix: name for name, form in EXPORT_FORMATS.items()}
    file_format = args.format or suffixes.get(output.suffix)
    if not file_format or output.suffix != EXPORT_FORMATS[file_format].suffix:
        wanted = EXPORT_FORMATS[file_format].suffix if file_format else ', '.join(suffixes)
        raise ExportError(f'{output}: its name must end in {wanted}')
    net = load_asid(args.weights)
    difference = export(net, output, file_format, args.half, args.size, args.opset)
    opset = f', ONNX opset {args.opset or OPSET}' if EXPORT_FORMATS[file_format].has_opset else ''
    shape = 'any height and width' if file_format == 'ncnn' else 'any batch, height and width'
    if args.size:
        shape = f'one image of {args.size[1]}x{args.size[0]}'
    checked = 'at noise, black and white' if args.size else f'at {len(EXPORT_FORMATS[file_format].sizes(net))} sizes'
    which = 'the program before the conversion is ' if file_format == 'coreml' else ''
    print(
        f'wrote {printable(output)}: x{net.upscale}, {"float16" if args.half else "float32"}, {shape}{opset}; '
        f'{which}within {difference:.0e} of PyTorch {checked}'
    )
    if file_format == 'coreml':
        print('for iOS 15, macOS 12 and later; not run, because only these systems can run it')
    if file_format == 'ncnn' and scale_by_name(output.stem) != net.upscale:
        print(f'Upscayl reads the scale x{scale_by_name(output.stem)} from this name; put x{net.upscale} into the name')
