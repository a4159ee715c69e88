"""Moved to `asid_plugin.inference.runtimes`."""

from asid_plugin.moved.forward import lookup

__getattr__ = lookup(__name__, 'asid_plugin.inference.runtimes')
