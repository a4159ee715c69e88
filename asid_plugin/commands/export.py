"""Export an ASID for images of any size, to ONNX (opset 20), OpenVINO or torch.export.

The file holds the scale, the network's arguments and the weights' SHA-256. It must agree with PyTorch, at sizes other
than the traced one, to 0.0001 (0.01 with --half), or is not written.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add('weights', type=Path, metavar='WEIGHTS', help='a checkpoint of ASID, .pth or .safetensors, or packaged:xK')
    add('output', type=Path, metavar='OUT', help='.onnx, .pt2 (torch.export) or .xml (OpenVINO; a .bin goes with it)')
    add('--format', choices=['onnx', 'torch-export', 'openvino'], help="default: by OUT's suffix")
    add('--half', action='store_true', help='weights, input and output in float16')


def run(args: argparse.Namespace) -> None:
    """Export.

    Raises:
        ExportError: OUT has no suffix of the format, or the network cannot be exported.
    """
    from asid_plugin.checkpoints import load_asid
    from asid_plugin.export import CHECKED_SIZES, EXPORT_FORMATS, OPSET, ExportError, export
    from asid_plugin.printable import printable

    suffixes = {form.suffix: name for name, form in EXPORT_FORMATS.items()}
    file_format = args.format or suffixes.get(args.output.suffix)
    if not file_format or args.output.suffix != EXPORT_FORMATS[file_format].suffix:
        wanted = EXPORT_FORMATS[file_format].suffix if file_format else ', '.join(suffixes)
        raise ExportError(f'{args.output}: its name must end in {wanted}')
    net = load_asid(args.weights)
    difference = export(net, args.output, file_format, args.half)
    print(
        f'wrote {printable(args.output)}: x{net.upscale}, {"float16" if args.half else "float32"}, any batch, height '
        'and width'
        f'{"" if file_format == "torch-export" else f", ONNX opset {OPSET}"}; '
        f'within {difference:.0e} of PyTorch at {len(CHECKED_SIZES)} sizes'
    )
