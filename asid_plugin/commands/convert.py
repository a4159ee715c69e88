"""Convert the checkpoint of an ASID, bit for bit.

Of a file with averaged weights, these are taken; entries that are not weights are left out. A .safetensors has the
network's arguments in its metadata.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add('input', type=Path, metavar='IN', help='in any of the layouts and formats; they are found out')
    add('output', type=Path, metavar='OUT', help='.pth, .ckpt or .safetensors; replaced if it is there')
    add(
        '--layout',
        choices=['asid', 'authors', 'mmengine', 'spandrel'],
        default='asid',
        help="how OUT holds the weights: asid, our names behind 'params', as BasicSR and spandrel read it (default); "
        "authors, the authors' names, flat; mmengine, our names at 'generator.' behind 'state_dict', as mmagic reads "
        'it; spandrel, our names, flat',
    )


def run(args: argparse.Namespace) -> None:
    """Convert.

    Raises:
        UsageError: OUT cannot be written.
    """
    from asid_plugin.checkpoints import convert
    from asid_plugin.errors import UsageError
    from asid_plugin.printable import printable

    try:
        convert(args.input, args.output, args.layout)
    except OSError as error:  # which may name a folder or a temporary file
        raise UsageError(f'{args.output}: {error.strerror}') from error
    print(printable(f'wrote {args.output}, {args.layout} layout'))
