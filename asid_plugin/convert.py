"""Convert an ASID checkpoint: `python -m asid_plugin.convert IN OUT [--layout asid|authors|mmengine|spandrel]`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from asid_plugin.checkpoint import LAYOUTS, SUFFIXES, CheckpointError, load_asid, read_state_dict, save_state_dict


def convert(source: Path, target: Path, layout: str) -> None:
    """Read a checkpoint in any layout, and write its weights in the one asked for, bit for bit.

    Raises:
        CheckpointError: `source` is not the checkpoint of an ASID, or `target` no name for one.
        OSError: `target` could not be written.
    """
    if target.suffix.lower() not in SUFFIXES:
        raise CheckpointError(f'{target}: its name must end in {", ".join(SUFFIXES[:-1])} or {SUFFIXES[-1]}')
    if target.exists() and source.exists() and os.path.samefile(source, target):
        raise CheckpointError(f'{target} is the input and would be overwritten; choose another OUT')
    load_asid(source)  # refuses what is not a whole ASID
    save_state_dict(read_state_dict(source), target, layout)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 if nothing was written."""
    parser = argparse.ArgumentParser(
        prog='python -m asid_plugin.convert',
        description='Convert the checkpoint of an ASID, bit for bit. Of a file with averaged weights, these are taken; '
        "what is not weights is left out. A .safetensors has the network's arguments in its metadata.",
    )
    parser.add_argument('input', type=Path, metavar='IN', help='in any of the layouts and formats; they are found out')
    parser.add_argument('output', type=Path, metavar='OUT', help='.pth, .ckpt or .safetensors; replaced if it is there')
    parser.add_argument(
        '--layout',
        choices=list(LAYOUTS),
        default='asid',
        help="how OUT holds the weights: asid, our names behind 'params', as BasicSR and spandrel read it (default); "
        "authors, the authors' names, flat; mmengine, our names at 'generator.' behind 'state_dict', as mmagic reads "
        'it; spandrel, our names, flat',
    )
    args = parser.parse_args(argv)
    try:
        convert(args.input, args.output, args.layout)
    except CheckpointError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'error: {args.output}: {error.strerror}', file=sys.stderr)
        return 2
    print(f'wrote {args.output}, {args.layout} layout')
    return 0


if __name__ == '__main__':
    sys.exit(main())
