"""`python -m asid_plugin.mm.test` is now `asid mmengine test`."""

from asid_plugin.moved.forward import run

if __name__ == '__main__':
    run('asid_plugin.mm.test', 'mmengine', 'test')
