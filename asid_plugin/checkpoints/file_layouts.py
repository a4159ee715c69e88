"""Layouts of checkpoint files with the weights of an ASID."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from asid_plugin.layouts.author_layout import to_author_layout

SUFFIXES = ('.pth', '.ckpt', '.safetensors')
"""Suffixes of written files; the first two are written by `torch.save`."""
WRAPPERS = (
    *('params', 'params_ema', 'params-ema', 'state_dict', 'model_state_dict', 'model', 'model_ema', 'ema_model'),
    *('net', 'net_ema', 'net_g', 'net_g_ema', 'generator', 'generator_ema'),
)
"""Keys that may hold the state dict of another network."""


@dataclass(frozen=True)
class FileLayout:
    """A layout of a checkpoint file with the weights of an ASID.

    Attributes:
        translate: From our names and shapes to the file's.
        prefix: Prefix of every key.
        wrapper: The key of the state dict, except in .safetensors; '' if it is flat.
    """

    translate: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict
    prefix: str = ''
    wrapper: str = ''


LAYOUTS: Mapping[str, FileLayout] = {
    'asid': FileLayout(wrapper='params'),  # as BasicSR saves it
    'authors': FileLayout(to_author_layout),
    'mmengine': FileLayout(prefix='generator.', wrapper='state_dict'),
    'spandrel': FileLayout(),
}
