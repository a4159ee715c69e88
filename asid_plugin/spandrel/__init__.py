"""ASID as an architecture of spandrel; importing this package registers it."""

from .arch import ASIDArch, install
from .loader import guard_loader

__all__ = ['ASIDArch', 'guard_loader', 'install']

install()
guard_loader()
