"""Checkpoint files of ASID, read: BasicSR's, MMEngine's and the authors' .pth or .ckpt, and .safetensors."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from asid_plugin.archs import ASID
from asid_plugin.errors import ASIDError
from asid_plugin.layouts.author_layout import JUNK
from asid_plugin.layouts.parts import network_part
from asid_plugin.layouts.state_dict import infer_arguments

from .file_layouts import WRAPPERS
from .packaged import WeightsError, packaged_file
from .unpickling import load_pickled


class CheckpointError(ASIDError):
    """A file that cannot be used as an ASID checkpoint; the message is one line that names it."""


def read_state_dict(path: str | Path, wrappers: Sequence[str | None] = WRAPPERS) -> dict[str, Tensor]:
    """Read the weights in a checkpoint file.

    Args:
        path: .safetensors, or what `torch.save` wrote. Only tensors and plain containers are unpickled; the log that
            MMEngine saves along is left out. `packaged:x2` is the package's own weights, whose checksum is checked.
        wrappers: Keys that the state dict may stand behind; the first there is counts.

    Returns:
        The state dict on the CPU, in the layout of the file, without 'module.' and '_orig_mod.' before its keys. Of a
        model that contains one of our networks, only this; see `network_part`.

    Raises:
        CheckpointError: The file is missing, damaged, holds other objects than tensors and numbers, or no state dict.
    """
    try:
        path = packaged_file(path) or Path(path)
    except WeightsError as error:
        raise CheckpointError(str(error)) from None
    content = _read(path)
    for key in filter(None, wrappers):
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    named = {str(key): value for key, value in content.items()}
    state_dict = {key: value for key, value in named.items() if not key.endswith(JUNK)}
    if not state_dict or not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise CheckpointError(f'{path}: no state dict in it (top-level keys: {", ".join(named)[:80]})')
    return {re.sub(r'^(module\.|_orig_mod\.)+', '', key): value for key, value in network_part(state_dict).items()}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file')
    try:
        if path.suffix.lower() == '.safetensors':
            return load_file(path)
        content = load_pickled(path)
    except Exception as error:  # a damaged or foreign file makes unpickling fail in any way
        if unsafe := re.search(r'Unsupported global: GLOBAL (\S+)', str(error)):
            raise CheckpointError(
                f'{path}: refused, it holds Python objects besides tensors and numbers ({unsafe[1]})'
            ) from None
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
