"""Moved to `asid_plugin.images`."""

from asid_plugin.moved.forward import lookup

__getattr__ = lookup(__name__, 'asid_plugin.images', Format='asid_plugin.images:ImageFormat')
