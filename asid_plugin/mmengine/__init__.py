"""ASID for MMEngine: the parts used by `options/mmengine`, in registries of the scope `asid`.

A config needs `custom_imports = dict(imports=['asid_plugin.mmengine'])`. It is cheap: the modules of the parts are
imported when MMEngine first looks for one.
"""

from importlib import import_module
from importlib.util import find_spec

from asid_plugin.compat.mmengine import correct_mmengine
from asid_plugin.compat.torchvision import torchvision_ops
from asid_plugin.extras import how_to_install

if find_spec('mmcv') is None:
    message = f'mmcv is not installed: install mmcv, or mmcv-lite by {how_to_install("mmengine")}'
    raise ModuleNotFoundError(message, name='mmcv')
torchvision_ops()  # MMEngine's runner imports torchvision
correct_mmengine()
import_module('asid_plugin.mmengine.load_from')  # registers the file types of `load_from`
