"""`python -m asid_plugin COMMAND ...` is `asid COMMAND ...`, for launchers that start modules, such as torchrun."""

import sys

from asid_plugin.commands.main import main

if __name__ == '__main__':
    sys.exit(main())
