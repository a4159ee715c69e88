"""Moved to `asid_plugin.checkpoints`."""

from asid_plugin.moved.forward import lookup

__getattr__ = lookup(
    __name__,
    'asid_plugin.checkpoints',
    ENDS='asid_plugin.layouts.parts:ENDS',
    Layout='asid_plugin.checkpoints.file_layouts:FileLayout',
    network_part='asid_plugin.layouts.parts:network_part',
)
