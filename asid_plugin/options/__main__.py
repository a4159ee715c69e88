"""Write the JSON Schema of option files, by which editors complete and check them.

python -m asid_plugin.options                                        # schema.json of this package, anew
python -m asid_plugin.options my_schema.json --import my_networks    # with networks, losses ... of your own
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from asid_plugin.files import whole_file

from .schema import SHIPPED, to_json


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(
        prog='python -m asid_plugin.options', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('file', nargs='?', type=Path, default=SHIPPED, help='to write (default: schema.json here)')
    parser.add_argument('--import', nargs='+', default=[], dest='modules', help='modules that register what is yours')
    args = parser.parse_args(argv)
    try:
        for module in args.modules:
            import_module(module)
    except ImportError as error:
        parser.error(f'--import {module}: {error}')
    try:
        with whole_file(args.file) as unfinished:
            unfinished.write_text(to_json(), encoding='utf-8')
    except OSError as error:
        parser.error(f'{args.file}: {error.strerror}')
    print(args.file)
    return 0


if __name__ == '__main__':
    sys.exit(main())
