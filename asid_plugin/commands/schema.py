"""Write the JSON Schema of option files, by which editors complete and check them.

asid schema                                        # schema.json of this package, anew
asid schema my_schema.json --import my_networks    # with networks, losses ... of your own
asid schema --page docs/options.md                 # the page of documentation on the keys instead
"""

import argparse
from importlib import import_module
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('file', nargs='?', type=Path, help="to write (default: the package's own schema.json)")
    parser.add_argument('--page', type=Path, metavar='FILE', help='write a page on all keys instead, in Markdown')
    parser.add_argument(
        '--import', nargs='+', default=[], dest='modules', help='modules that register classes of yours'
    )


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
        raise UsageError(f'{args.file} and --page {args.page}: write one after the other')
    file = args.page or args.file or SHIPPED
    with whole_file(file) as unfinished:
        unfinished.write_text(to_markdown() if args.page else to_json(), encoding='utf-8')
    print(printable(file))
