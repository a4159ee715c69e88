"""Add ASID to spandrel, with which ComfyUI, chaiNNer and traiNNer-redux load models."""

from types import ModuleType

from asid_plugin.compat.torchvision import torchvision_ops

from .guard import as_before


def before_import() -> None:
    """Correct torchvision, which spandrel imports."""
    torchvision_ops()


def after_import(spandrel: ModuleType) -> None:
    """Add ASID to spandrel's registry."""
    with as_before(spandrel):
        import asid_plugin.spandrel  # noqa: F401  # registers itself, even if its import caused this one
