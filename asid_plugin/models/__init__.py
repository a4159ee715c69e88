"""The model class, registered in BasicSR's `MODEL_REGISTRY`."""

from .asid_model import ASIDModel

__all__ = ['ASIDModel']
