"""Convert an ASID checkpoint: `python -m asid_plugin.convert IN OUT [--layout asid|authors]`."""

import argparse
from collections.abc import Sequence

from asid_plugin.checkpoint import CheckpointError, load_asid, read_state_dict, save_state_dict


def main(argv: Sequence[str] | None = None) -> None:
    """Read IN in any layout, write OUT in the one asked for."""
    parser = argparse.ArgumentParser(prog='python -m asid_plugin.convert', description=__doc__)
    parser.add_argument('input', metavar='IN', help='.pth (BasicSR or the authors) or .safetensors')
    parser.add_argument('output', metavar='OUT', help='.pth or .safetensors')
    parser.add_argument('--layout', choices=['asid', 'authors'], default='asid', help='names of the parameters in OUT')
    args = parser.parse_args(argv)
    if not args.output.endswith(('.pth', '.safetensors')):
        parser.error(f'{args.output}: its name must end in .pth or .safetensors')
    try:
        load_asid(args.input)  # refuses what is not a whole ASID
        save_state_dict(read_state_dict(args.input), args.output, args.layout)
    except (CheckpointError, OSError) as error:
        parser.error(str(error))
    print(f'wrote {args.output}, {args.layout} layout')


if __name__ == '__main__':
    main()
