"""Moved to `asid_plugin.cost.yardstick`."""

from asid_plugin.moved.forward import lookup

__getattr__ = lookup(__name__, 'asid_plugin.cost.yardstick')
