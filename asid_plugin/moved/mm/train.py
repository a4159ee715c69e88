"""`python -m asid_plugin.mm.train` is now `asid mmengine train`."""

from asid_plugin.moved.forward import run

if __name__ == '__main__':
    run('asid_plugin.mm.train', 'mmengine', 'train')
