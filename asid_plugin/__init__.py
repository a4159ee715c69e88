"""ASID, lightweight image super-resolution (AAAI 2025), for BasicSR and MMEngine.

Importing the package costs next to nothing (no torch): it only makes sure that BasicSR, when somebody imports it, runs
on today's stack and knows ASID (`asid_plugin.startup`). `asid_plugin.ASID` is loaded when it is first used.
"""

from asid_plugin import startup

__version__ = '0.1.0'
__all__ = ['ASID', '__version__']


def __getattr__(name: str) -> type:
    if name == 'ASID':
        from asid_plugin.archs import ASID

        return ASID
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


startup.install()
