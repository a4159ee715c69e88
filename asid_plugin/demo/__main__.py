"""`python -m asid_plugin.demo` is now `asid demo`."""

from asid_plugin.moved.forward import run

if __name__ == '__main__':
    run('asid_plugin.demo', 'demo')
