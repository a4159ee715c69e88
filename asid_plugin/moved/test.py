"""`python -m asid_plugin.test` is now `asid test`."""

from asid_plugin.moved.forward import run

if __name__ == '__main__':
    run('asid_plugin.test', 'test')
