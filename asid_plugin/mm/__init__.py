"""ASID for MMEngine: what `options/mmengine` names, in registries of the scope `asid`.

A config needs `custom_imports = dict(imports=['asid_plugin.mm'])`, which costs little: the modules that define the
parts are imported when MMEngine first looks for one.
"""

from importlib.util import find_spec

from asid_plugin import compat

from . import checkpoint, registry

__all__ = ['checkpoint', 'registry']

if find_spec('mmcv') is None:
    raise ImportError("mmcv is not installed: pip install 'asid-plugin[mmengine]' for mmcv-lite, or mmcv itself")
compat.mend_mmengine()
