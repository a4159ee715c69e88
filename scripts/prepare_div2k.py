"""`asid prepare div2k`."""

import sys

from asid_plugin.commands.main import main

if __name__ == '__main__':
    sys.exit(main(['prepare', 'div2k', *sys.argv[1:]]))
