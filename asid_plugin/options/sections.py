"""All sections of option files with declared keys."""

from .asid_keys import ASID_SECTIONS, DetailOptions
from .basicsr_keys import BASICSR_SECTIONS
from .declaration import Section
from .degraded_keys import DegradedImageOptions
from .real_world_keys import REAL_WORLD_SECTIONS

ADDED: tuple[type[Section], ...] = (*ASID_SECTIONS, *REAL_WORLD_SECTIONS, DegradedImageOptions, DetailOptions)
"""Sections of some models or data sets only."""
SECTIONS: tuple[type[Section], ...] = (*BASICSR_SECTIONS, *ADDED)
