"""Checkpoint files of ASID: BasicSR's and the authors' .pth, and .safetensors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from asid_plugin.archs import ASID
from asid_plugin.archs.author_layout import JUNK, to_author_layout
from asid_plugin.archs.state_dict import infer_arguments, our_layout
from asid_plugin.files import whole_file

WRAPPERS = ('params_ema', 'params', 'state_dict')
"""Keys that a state dict may stand behind, best first: BasicSR's two, then MMEngine's."""


class CheckpointError(ValueError):
    """A file that cannot be used as an ASID checkpoint; the message is one line that names it."""


def read_state_dict(path: str | Path, wrappers: Sequence[str | None] = WRAPPERS) -> dict[str, Tensor]:
    """Read the weights in a checkpoint file.

    Args:
        path: .safetensors, or what `torch.save` wrote. Only tensors and plain containers are unpickled.
        wrappers: Keys that the state dict may stand behind; the first there is counts.

    Returns:
        The state dict on the CPU, in the layout of the file, without a leading 'module.' in its keys.

    Raises:
        CheckpointError: The file is missing, damaged, holds other objects than tensors and numbers, or no state dict.
    """
    path = Path(path)
    content = _read(path)
    for key in wrappers:
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    named = {str(key): value for key, value in content.items()}
    state_dict = {key.removeprefix('module.'): value for key, value in named.items() if not key.endswith(JUNK)}
    if not state_dict or not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise CheckpointError(f'{path}: no state dict in it (top-level keys: {", ".join(named)[:80]})')
    return state_dict


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file')
    try:
        if path.suffix == '.safetensors':
            return load_file(path)
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged or foreign file makes unpickling fail in any way
        if 'Unsupported global' in str(error):
            raise CheckpointError(f'{path}: refused, it holds Python objects besides tensors and numbers') from None
        raise CheckpointError(f'{path}: damaged or not a checkpoint ({type(error).__name__})') from None
    if not isinstance(content, Mapping):
        raise CheckpointError(f'{path}: holds a {type(content).__name__}, not a state dict')
    return dict(content)


def load_asid(path: str | Path) -> ASID:
    """Build the ASID that a checkpoint was saved from, on the CPU, float32, in eval mode.

    Args:
        path: As in `read_state_dict`, in our layout or the authors'; the arguments are found from the shapes.

    Raises:
        CheckpointError: The file is not a checkpoint of an ASID.
    """
    state_dict = read_state_dict(path)
    try:
        net = ASID(**infer_arguments(state_dict))
        net.load_state_dict(state_dict)
    except (ValueError, RuntimeError, IndexError) as error:
        raise CheckpointError(f'{path}: {" ".join(str(error).split())[:200]}') from None
    return net.float().eval()


def save_state_dict(state_dict: Mapping[str, Tensor], path: str | Path, layout: str = 'asid') -> None:
    """Write weights; the file appears whole or not at all.

    Args:
        state_dict: In our layout or the authors'.
        path: .safetensors or .pth. Ours stands behind 'params' in a .pth, as BasicSR expects; the authors' is flat.
        layout: 'asid' or 'authors'.
    """
    path = Path(path)
    ours = our_layout(state_dict)
    weights = ours if layout == 'asid' else to_author_layout(ours)
    weights = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
    with whole_file(path) as unfinished:
        if path.suffix == '.safetensors':
            save_file(weights, unfinished)
        else:
            torch.save({'params': weights} if layout == 'asid' else weights, unfinished)
