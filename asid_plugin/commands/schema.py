"""Write the JSON Schema of option files, with which editors complete and check them.

asid schema                                        # rewrite schema.json of this package
asid schema my_schema.json --import my_networks    # with your networks, losses ...
asid schema --page docs/options.md                 # write the documentation of the keys instead
"""

import argparse
from importlib import import_module
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('file', nargs='?', type=Path, help='file to write (default: schema.json of this package)')
    parser.add_argument('--page', type=Path, metavar='FILE', help='write a Markdown page on all keys instead')
    parser.add_argument('--import', nargs='+', default=[], dest='modules', help='modules that register your classes')


def run(args: argparse.Namespace) -> None:
    """Write the file.

    Raises:
        UsageError: A module cannot be imported.
    """
    import basicsr  # noqa: F401  # whose registries are to be filled first

    from asid_plugin.errors import UsageError
    from asid_plugin.files import whole_file
    from asid_plugin.options.page import to_markdown
    from asid_plugin.options.schema import SHIPPED, to_json
    from asid_plugin.printable import printable

    for module in args.modules:
        try:
            import_module(module)
        except ImportError as error:
            raise UsageError(f'--import {module}: {error}') from error
    if args.file and args.page:
        raise UsageError(f'{args.file} and --page {args.page}: write only one at a time')
    file = args.page or args.file or SHIPPED
    with whole_file(file) as unfinished:
        unfinished.write_text(to_markdown() if args.page else to_json(), encoding='utf-8')
    print(printable(file))
