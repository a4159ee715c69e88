"""ASID, lightweight image super-resolution (AAAI 2025), for PyTorch, BasicSR, MMEngine and spandrel.

Importing the package is cheap (no torch). It only registers ASID in a host framework when that is imported
(`asid_plugin.startup`). `asid_plugin.ASID` is loaded at its first use.
"""

from asid_plugin import startup
from asid_plugin.version import __version__

__all__ = ['ASID', '__version__']

__path__.append(f'{__path__[0]}/moved')  # modules under their names in 0.1.0


def __getattr__(name: str) -> type:
    if name == 'ASID':
        from asid_plugin.archs import ASID

        return ASID
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


startup.install()
