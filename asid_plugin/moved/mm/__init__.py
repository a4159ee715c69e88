"""Moved to `asid_plugin.mmengine`."""

import asid_plugin.mmengine  # noqa: F401
from asid_plugin.moved.forward import warn

warn('asid_plugin.mm', 'asid_plugin.mmengine')
