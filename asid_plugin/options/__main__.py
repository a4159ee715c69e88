"""`python -m asid_plugin.options` is now `asid schema`."""

from asid_plugin.moved.forward import run

if __name__ == '__main__':
    run('asid_plugin.options', 'schema')
