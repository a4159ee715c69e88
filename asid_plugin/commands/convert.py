"""Convert the checkpoint of an ASID, bit for bit.

Averaged weights are preferred, and entries that are not weights are dropped. A .safetensors stores the arguments of the
network in its metadata.

--from neosr reads a file of neosr's `asid` or `asid_d8`; OUT gets the arguments that reproduce its output. Without the
option such a file is refused, because its keys and shapes do not determine these arguments. --from authors reads the
paper's network from a file that could also be neosr's, as forks of BasicSR write it.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add('input', type=Path, metavar='IN', help='a checkpoint in any layout and format; both are detected')
    add('output', type=Path, metavar='OUT', help='.pth, .ckpt or .safetensors; an existing file is replaced')
    add(
        '--layout',
        choices=['asid', 'authors', 'mmengine', 'spandrel'],
        default='asid',
        help="keys of OUT: asid, our keys under 'params', for BasicSR and spandrel (default); authors, the authors' "
        "keys, flat; mmengine, our keys with the prefix 'generator.' under 'state_dict', for mmagic; spandrel, our "
        'keys, flat',
    )
    add(
        '--from',
        dest='origin',
        choices=['neosr', 'authors'],
        help='the program that wrote IN, if the layout does not show it',
    )
    add(
        '--flash',
        action=argparse.BooleanOptionalAction,
        help="with --from neosr: whether IN was trained with neosr's option flash_attn; needed if the weights do not "
        'show it',
    )
    add(
        '--window-size',
        type=int,
        metavar='P',
        help='with --from neosr: its option window_size, for a network without position biases (default: 8)',
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
        raise UsageError('--flash, --no-flash and --window-size need --from neosr')
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
