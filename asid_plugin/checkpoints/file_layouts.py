"""The ways in which checkpoint files hold the weights of an ASID."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from asid_plugin.layouts.author_layout import to_author_layout

SUFFIXES = ('.pth', '.ckpt', '.safetensors')
"""Of the files that are written; the first two are by `torch.save`."""
WRAPPERS = (
    *('params', 'params_ema', 'params-ema', 'state_dict', 'model_state_dict', 'model', 'model_ema', 'ema_model'),
    *('net', 'net_ema', 'net_g', 'net_g_ema', 'generator', 'generator_ema'),
)
"""Keys that the state dict of a network that is none of ours may stand behind."""


@dataclass(frozen=True)
class FileLayout:
    """How a checkpoint file holds the weights of an ASID.

    Attributes:
        translate: From our names and shapes to the file's.
        prefix: What stands before every name.
        wrapper: The key that the state dict stands behind, except in .safetensors; '' if it is flat.
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
