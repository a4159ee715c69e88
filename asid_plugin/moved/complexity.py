"""`python -m asid_plugin.complexity` is now `asid complexity`; the functions moved to `asid_plugin.cost.complexity`."""

from asid_plugin.moved.forward import command, lookup, run

__getattr__ = lookup('asid_plugin.complexity', 'asid_plugin.cost.complexity')
main = command('asid_plugin.complexity', 'complexity')

if __name__ == '__main__':
    run('asid_plugin.complexity', 'complexity')
