"""`asid curve`."""

import sys

from asid_plugin.commands.main import main

if __name__ == '__main__':
    sys.exit(main(['curve', *sys.argv[1:]]))
