"""`python -m asid_plugin.upscale` is now `asid upscale`."""

from asid_plugin.moved.forward import run

if __name__ == '__main__':
    run('asid_plugin.upscale', 'upscale')
