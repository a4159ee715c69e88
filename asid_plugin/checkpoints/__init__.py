"""Read, write and convert checkpoint files in any layout; the packaged weights."""

from .file_layouts import LAYOUTS, SUFFIXES, WRAPPERS
from .neosr import read_authors, read_neosr
from .packaged import WeightsError, is_packaged, packaged_file, packaged_name, packaged_names, packaged_scales
from .reading import CheckpointError, build, load_asid, read_state_dict
from .writing import convert, save_safetensors, save_state_dict

__all__ = [
    'LAYOUTS',
    'SUFFIXES',
    'WRAPPERS',
    'CheckpointError',
    'WeightsError',
    'build',
    'convert',
    'is_packaged',
    'load_asid',
    'packaged_file',
    'packaged_name',
    'packaged_names',
    'packaged_scales',
    'read_authors',
    'read_neosr',
    'read_state_dict',
    'save_safetensors',
    'save_state_dict',
]
