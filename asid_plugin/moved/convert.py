"""`python -m asid_plugin.convert` is now `asid convert`."""

from asid_plugin.moved.forward import run

if __name__ == '__main__':
    run('asid_plugin.convert', 'convert')
