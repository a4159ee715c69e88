"""Moved to `asid_plugin.mmengine.metrics`."""

from asid_plugin.moved.forward import lookup

__getattr__ = lookup(__name__, 'asid_plugin.mmengine.metrics')
