"""MMEngine: given our networks, and a scope `asid` with registries of its own.

The registries import the modules that define their parts when something is first looked up in them.
"""

import functools
from importlib import import_module
from types import ModuleType
from typing import Any

from asid_plugin.registry import ARCH_REGISTRY, BLOCK_REGISTRY

from .guard import as_before

SCOPE = 'asid'
LOCATIONS = {
    'DATASETS': ['dataset'],
    'HOOKS': ['hooks'],
    'LOOPS': ['loops'],
    'METRICS': ['metrics'],
    'MODELS': ['data_preprocessor', 'model'],
    'TRANSFORMS': ['transforms'],
}
"""Modules of `asid_plugin.mmengine` that define the parts in each registry."""


def before_import() -> None:
    """Nothing has to be done before."""


def after_import(mmengine: ModuleType) -> None:
    """Make the scope known and hand over our networks and blocks; a second call does nothing."""
    with as_before(mmengine):
        _connect()


def registries() -> dict[str, Any]:
    """The registries of our scope by their names in `mmengine.registry`, whose children they are."""
    import_module('mmengine')  # which connects, if it was not imported before
    return _connect()


@functools.cache
def _connect() -> dict[str, Any]:
    theirs = import_module('mmengine.registry')
    ours = {
        name: theirs.Registry(
            parent.name,
            parent=parent,
            scope=SCOPE,
            locations=[f'asid_plugin.mmengine.{module}' for module in LOCATIONS.get(name, ())],
        )
        for name, parent in vars(theirs).items()
        if isinstance(parent, theirs.Registry)  # all, because MMEngine warns of each that a scope lacks
    }
    ARCH_REGISTRY.connect(lambda item: theirs.MODELS.register_module(module=item))
    for kept in (ARCH_REGISTRY, BLOCK_REGISTRY):
        kept.connect(lambda item: ours['MODELS'].register_module(module=item))
    return ours
