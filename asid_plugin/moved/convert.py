"""`python -m asid_plugin.convert` is now `asid convert`; the functions moved to `asid_plugin.checkpoints`."""

from asid_plugin.moved.forward import command, lookup, run

__getattr__ = lookup('asid_plugin.convert', 'asid_plugin.checkpoints')
main = command('asid_plugin.convert', 'convert')

if __name__ == '__main__':
    run('asid_plugin.convert', 'convert')
