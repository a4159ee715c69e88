"""Registries of the scope `asid`, children of MMEngine's; each imports what it holds when it is first looked into."""

from mmengine import registry as mmengine
from mmengine.registry import Registry

_LOCATIONS = {
    'DATASETS': ['dataset'],
    'HOOKS': ['hooks'],
    'LOOPS': ['loops'],
    'METRICS': ['metrics'],
    'MODELS': ['data_preprocessor', 'model'],
    'TRANSFORMS': ['transforms'],
}
# MMEngine warns of every registry that a scope lacks, so it gets them all
_CHILDREN = {
    name: Registry(
        parent.name,
        parent=parent,
        scope='asid',
        locations=[f'asid_plugin.mm.{module}' for module in _LOCATIONS.get(name, ())],
    )
    for name, parent in vars(mmengine).items()
    if isinstance(parent, Registry)
}

DATASETS, HOOKS, LOOPS, METRICS, MODELS, TRANSFORMS = (_CHILDREN[name] for name in _LOCATIONS)
