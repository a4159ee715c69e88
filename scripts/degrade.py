"""`asid prepare degraded`."""

import sys

from asid_plugin.commands.main import main

if __name__ == '__main__':
    sys.exit(main(['prepare', 'degraded', *sys.argv[1:]]))
