"""Registries of the scope `asid`, children of MMEngine's."""

from asid_plugin.hosts.mmengine import registries

DATASETS = registries()['DATASETS']
HOOKS = registries()['HOOKS']
LOOPS = registries()['LOOPS']
METRICS = registries()['METRICS']
MODELS = registries()['MODELS']
TRANSFORMS = registries()['TRANSFORMS']
