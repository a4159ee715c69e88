"""`python -m asid_plugin.paper` is now `asid paper`."""

from asid_plugin.moved.forward import run

if __name__ == '__main__':
    run('asid_plugin.paper', 'paper')
