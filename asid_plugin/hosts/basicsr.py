"""Correct BasicSR for today's stack, and add the classes and option checks of this package."""

import functools
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from asid_plugin import registry
from asid_plugin.compat import basicsr as corrections
from asid_plugin.compat.patching import rebind

PARTS = ('archs', 'data', 'losses', 'metrics', 'models')
"""Our packages with classes that BasicSR finds by name."""
REGISTRIES = ('ARCH_REGISTRY', 'DATASET_REGISTRY', 'LOSS_REGISTRY', 'METRIC_REGISTRY', 'MODEL_REGISTRY')


def before_import() -> None:
    """Correct the faults that keep BasicSR from being imported."""
    corrections.before_import()


def after_import(basicsr: ModuleType) -> None:
    """Correct the rest, register our classes and enable the checks of option files; a second call does nothing.

    Many projects contain an older or trimmed BasicSR, which is not changed.
    """
    if getattr(basicsr, '__version__', '').startswith('1.4.'):
        corrections.after_import()
        _connect()


@functools.cache
def _connect() -> None:
    for part in PARTS:
        import_module(f'asid_plugin.{part}')
    theirs = import_module('basicsr.utils.registry')
    for name in REGISTRIES:
        getattr(registry, name).connect(getattr(theirs, name).register)
    _check_options()


def _check_options() -> None:
    """Make BasicSR's `parse_options` return only checked options, in all modules that imported it."""
    original = sys.modules['basicsr.utils.options'].parse_options

    @functools.wraps(original)
    def parse_options(*args: Any, **kwargs: Any) -> Any:
        if find_spec('jsonschema') is None:  # the core of this package beside an existing BasicSR
            return original(*args, **kwargs)
        from asid_plugin.options.command_line import parse_checked  # only runs need its imports

        return parse_checked(original, *args, **kwargs)

    rebind(original, parse_options)
