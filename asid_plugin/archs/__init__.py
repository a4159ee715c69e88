"""ASID and its blocks, and Omni-SR; registered in `asid_plugin.registry`."""

from .asid_arch import ASID
from .attention import CAM, SAM
from .idb import IDB
from .local import ESA, GFFN, LM
from .omnisr_arch import OmniSR

__all__ = ['ASID', 'CAM', 'ESA', 'GFFN', 'IDB', 'LM', 'SAM', 'OmniSR']
