"""ASID and its blocks, registered in BasicSR's `ARCH_REGISTRY` and MMEngine's `MODELS`."""

from .asid_arch import ASID
from .attention import CAM, SAM
from .idb import IDB
from .local import ESA, GFFN, LM

__all__ = ['ASID', 'CAM', 'ESA', 'GFFN', 'IDB', 'LM', 'SAM']
