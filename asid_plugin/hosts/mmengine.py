"""Add our networks to MMEngine, and a scope `asid` with registries.

The registries import the modules with their parts at the first look-up.
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
"""Modules of `asid_plugin.mmengine` with the parts of each registry."""


def before_import() -> None:
    """Do nothing."""


def after_import(mmengine: ModuleType) -> None:
    """Register the scope and our networks and blocks; a second call does nothing."""
    with as_before(mmengine):
        _connect()


def registries() -> dict[str, Any]:
    """The registries of our scope, children of the registries with these names in `mmengine.registry`."""
    import_module('mmengine')  # connects MMEngine if it was not imported before
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
        if isinstance(parent, theirs.Registry)  # all registries, because MMEngine warns of each missing one
    }
    ARCH_REGISTRY.connect(lambda item: theirs.MODELS.register_module(module=item))
    for kept in (ARCH_REGISTRY, BLOCK_REGISTRY):
        kept.connect(lambda item: ours['MODELS'].register_module(module=item))
    _name_package(import_module('mmengine.registry.registry'))
    return ours


def _name_package(theirs: ModuleType) -> None:
    """Provide the module `SCOPE.registry`, which MMEngine imports when a scope is used.

    It expects a scope to be the name of a package, and otherwise warns that it "failed to import `None.registry`".
    """
    original = theirs.import_module

    @functools.wraps(original)
    def import_of_scope(name: str, package: str | None = None) -> ModuleType:
        return registry if name == f'{SCOPE}.registry' else original(name, package)

    vars(theirs)['import_module'] = import_of_scope
