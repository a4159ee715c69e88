"""MMEngine: given our networks, and a scope `asid` with registries of its own.

The registries import the modules that define their parts when something is first looked up in them.
"""

import functools
from importlib import import_module
from types import ModuleType
from typing import Any

from asid_plugin import registry
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
    _name_package(import_module('mmengine.registry.registry'))
    return ours


def _name_package(theirs: ModuleType) -> None:
    """Give MMEngine, which imports `SCOPE.registry` whenever a scope is used, our module of that name.

    It takes a scope for the name of a package, and warns that it "failed to import `None.registry`" of any other.
    """
    original = theirs.import_module

    @functools.wraps(original)
    def import_of_scope(name: str, package: str | None = None) -> ModuleType:
        return registry if name == f'{SCOPE}.registry' else original(name, package)

    vars(theirs)['import_module'] = import_of_scope
