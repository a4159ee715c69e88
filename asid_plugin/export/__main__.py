"""`python -m asid_plugin.export` is now `asid export`."""

from asid_plugin.moved.forward import run

if __name__ == '__main__':
    run('asid_plugin.export', 'export')
