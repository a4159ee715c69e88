"""ASID as an architecture of spandrel; importing this package registers it."""

from .arch import ASIDArch, install

__all__ = ['ASIDArch', 'install']

install()
