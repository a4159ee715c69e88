"""spandrel, which ComfyUI, chaiNNer and traiNNer-redux load models with: told of ASID."""

import warnings
from types import ModuleType

from asid_plugin.compat.torchvision import torchvision_ops


def before_import() -> None:
    """Mend torchvision, which spandrel imports."""
    torchvision_ops()


def after_import(spandrel: ModuleType) -> None:
    """Add ASID to spandrel's registry.

    A spandrel that cannot take it works as before: somebody else's program must not fail for our sake.
    """
    try:
        import asid_plugin.spandrel  # noqa: F401  # registers itself, also where it is what imports spandrel
    except Exception as error:  # whatever a spandrel of another version may raise
        version = getattr(spandrel, '__version__', 'of unknown version')
        warnings.warn(f'asid_plugin cannot register in spandrel {version}: {error!r}', RuntimeWarning, stacklevel=2)
