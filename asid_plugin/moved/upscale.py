"""`python -m asid_plugin.upscale` is now `asid upscale`; the functions moved to `asid_plugin.inference`."""

from asid_plugin.moved.forward import lookup, run

__getattr__ = lookup('asid_plugin.upscale', 'asid_plugin.inference')

if __name__ == '__main__':
    run('asid_plugin.upscale', 'upscale')
