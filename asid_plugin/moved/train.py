"""`python -m asid_plugin.train` is now `asid train`."""

from asid_plugin.moved.forward import run

if __name__ == '__main__':
    run('asid_plugin.train', 'train')
