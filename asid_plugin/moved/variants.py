"""Moved to `asid_plugin.published.variants`."""

from asid_plugin.moved.forward import lookup

__getattr__ = lookup(__name__, 'asid_plugin.published.variants')
