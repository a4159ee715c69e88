"""Add our networks to traiNNer-redux, under the names in its option files.

Its registries use lower-case names. A network is a function whose first argument is `scale`, from the top of the option
file.
"""

from types import ModuleType
from typing import Any

from .guard import as_before


def before_import() -> None:
    """Do nothing."""


def after_import(registries: ModuleType) -> None:
    """Register the networks; a second call does nothing.

    Args:
        registries: `traiNNer.utils.registry`.
    """
    with as_before(registries):
        kept = registries.SPANDREL_REGISTRY
        for network in (asid, asid_d8):
            if network.__name__ not in kept:
                kept.register()(network)


def asid(scale: int = 4, **arguments: Any) -> Any:
    """ASID, with the arguments of the network, but `scale` instead of `upscale`."""
    from asid_plugin.archs import ASID

    return ASID(upscale=scale, **arguments)


def asid_d8(scale: int = 4, **arguments: Any) -> Any:
    """ASID-D8, of eight blocks."""
    return asid(scale, **{'num_block': 8, **arguments})
