"""traiNNer-redux: given our networks, under the names that its option files use.

Its registries lower names; a network is a function whose first argument is `scale`, which it gives from the top of the
option file.
"""

from types import ModuleType
from typing import Any

from .guard import as_before


def before_import() -> None:
    """Nothing has to be done before."""


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
    """ASID; its arguments are the network's, with `scale` in the place of `upscale`."""
    from asid_plugin.archs import ASID

    return ASID(upscale=scale, **arguments)


def asid_d8(scale: int = 4, **arguments: Any) -> Any:
    """ASID-D8, of eight blocks."""
    return asid(scale, **{'num_block': 8, **arguments})
