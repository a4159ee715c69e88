"""`python -m asid_plugin.evaluate` is now `asid evaluate`."""

from asid_plugin.moved.forward import run

if __name__ == '__main__':
    run('asid_plugin.evaluate', 'evaluate')
