"""Convert the checkpoint of an ASID, bit for bit.

Of a file with averaged weights, these are taken; entries that are not weights are left out. A .safetensors has the
network's arguments in its metadata.

With --from neosr IN is taken for neosr's `asid` or `asid_d8`, and OUT is a network with the arguments that make the
same pictures. Such files are not read without it, since neither keys nor shapes tell all of these arguments.
With --from authors it is the paper's network in a file that could be neosr's, as forks of BasicSR save it.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


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
    add(
        '--from',
        dest='origin',
        choices=['neosr', 'authors'],
        help='the program that IN is of, where the layout does not say it',
    )
    add(
        '--flash',
        action=argparse.BooleanOptionalAction,
        help="with --from neosr: IN was trained with neosr's option flash_attn, or without; needed where the weights "
        'do not show it',
    )
    add(
        '--window-size',
        type=int,
        metavar='P',
        help="with --from neosr: its option window_size, of a network without position biases (neosr's default, 8)",
    )


def run(args: argparse.Namespace) -> None:
    """Convert.

    Raises:
        UsageError: OUT cannot be written, or options are missing or do not go together.
    """
    from asid_plugin.checkpoints import convert, read_authors, read_neosr
    from asid_plugin.checkpoints.writing import read_asid
    from asid_plugin.errors import UsageError
    from asid_plugin.layouts.state_dict import beyond_the_paper
    from asid_plugin.printable import printable

    if args.origin != 'neosr' and (args.flash is not None or args.window_size is not None):
        raise UsageError('--flash, --no-flash and --window-size go with --from neosr')
    window = {} if args.window_size is None else {'window_size': args.window_size}
    readers: dict[str | None, Callable[[Path], Any]] = {
        'neosr': partial(read_neosr, flash=args.flash, **window),
        'authors': read_authors,
        None: read_asid,
    }
    try:
        arguments = convert(args.input, args.output, args.layout, readers[args.origin])
    except OSError as error:  # which may name a folder or a temporary file
        raise UsageError(f'{args.output}: {error.strerror}') from error
    print(printable(', '.join([f'wrote {args.output}', f'{args.layout} layout', *beyond_the_paper(arguments)])))
