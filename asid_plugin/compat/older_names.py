"""Provide names of BasicSR 1.3.4.9 that 1.4 moved, for projects written for it, such as HAT."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec

COLOURS = (
    *('rgb2ycbcr', 'bgr2ycbcr', 'ycbcr2rgb', 'ycbcr2bgr'),
    *('_convert_input_type_range', '_convert_output_type_range'),
)
"""Functions that moved from `utils.matlab_functions` to `utils.color_util`."""
LOSSES = 'basicsr.losses.losses'
"""A module that 1.4 split into `basic_loss` and `gan_loss`."""


def names_that_moved() -> None:
    """Let names be imported from their modules in 1.3.4.9, gone since 1.4.0: colour spaces, and the module of losses.

    Two have no successor: `losses.losses.GANFeatLoss`, and `utils.face_util`, now part of facexlib.
    """
    matlab, colours = (import_module(f'basicsr.utils.{name}') for name in ('matlab_functions', 'color_util'))
    for name in COLOURS:
        if not hasattr(matlab, name):
            setattr(matlab, name, getattr(colours, name))
    if LOSSES not in sys.modules and find_spec(LOSSES) is None:
        sys.modules[LOSSES] = module = module_from_spec(ModuleSpec(LOSSES, loader=None))
        parts = [import_module(f'basicsr.losses.{name}') for name in ('loss_util', 'basic_loss', 'gan_loss')]
        for part in parts:
            vars(module).update({name: value for name, value in vars(part).items() if _is_of_basicsr(value)})
        sys.modules['basicsr.losses'].losses = module  # type: ignore[attr-defined]


def _is_of_basicsr(value: object) -> bool:
    return isinstance(value, Callable) and getattr(value, '__module__', '').startswith('basicsr.')  # type: ignore[arg-type]
