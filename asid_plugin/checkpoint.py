"""Checkpoint files of ASID: BasicSR's, MMEngine's and the authors' .pth or .ckpt, and .safetensors."""

import errno
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from asid_plugin.archs import ASID
from asid_plugin.archs.author_layout import JUNK, to_author_layout
from asid_plugin.archs.state_dict import infer_arguments, our_layout
from asid_plugin.files import whole_file
from asid_plugin.unpickling import load_pickled
from asid_plugin.weights import WeightsError, packaged_file

SUFFIXES = ('.pth', '.ckpt', '.safetensors')
"""Of the files that are written; the first two are by `torch.save`."""
WRAPPERS = ('params_ema', 'params', 'state_dict')
"""Keys that a state dict may stand behind, best first: BasicSR's two, then MMEngine's."""
ENDS = (('conv_first.weight', 'conv_up.weight'), ('input.weight', 'up.0.weight'))
"""A parameter of the first and of the last layer of our networks, in our layouts and in the released ones."""


class CheckpointError(ValueError):
    """A file that cannot be used as an ASID checkpoint; the message is one line that names it."""


@dataclass(frozen=True)
class Layout:
    """How a checkpoint file holds the weights of an ASID.

    Attributes:
        translate: From our names and shapes to the file's.
        prefix: What stands before every name.
        wrapper: The key that the state dict stands behind, except in .safetensors; '' if it is flat.
    """

    translate: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict
    prefix: str = ''
    wrapper: str = ''


LAYOUTS: Mapping[str, Layout] = {
    'asid': Layout(wrapper='params'),  # as BasicSR saves it
    'authors': Layout(to_author_layout),
    'mmengine': Layout(prefix='generator.', wrapper='state_dict'),
    'spandrel': Layout(),
}


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
    for key in wrappers:
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    named = {str(key): value for key, value in content.items()}
    state_dict = {key: value for key, value in named.items() if not key.endswith(JUNK)}
    if not state_dict or not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise CheckpointError(f'{path}: no state dict in it (top-level keys: {", ".join(named)[:80]})')
    return {re.sub(r'^(module\.|_orig_mod\.)+', '', key): value for key, value in network_part(state_dict).items()}


def network_part(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a model's state dict that is an ASID or Omni-SR, without the model's name for it.

    mmagic's models have theirs at 'generator.', and, where they average its weights, at 'generator_ema.', which is
    preferred. A state dict in which there is none is returned as it is.
    """
    stems = [(key.removesuffix(first), last) for first, last in ENDS for key in state_dict if key.endswith(first)]
    prefixes = [stem for stem, last in stems if stem[-1:] in ('', '.') and stem + last in state_dict]
    prefix = min(prefixes, key=lambda p: ('ema' not in p, len(p)), default='')
    return {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}


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


def save_state_dict(state_dict: Mapping[str, Tensor], path: str | Path, layout: str = 'asid') -> None:
    """Write weights, bit for bit; the file appears whole or not at all.

    Args:
        state_dict: Of an ASID, in our layout or the authors'.
        path: Its suffix is one of `SUFFIXES`.
        layout: One of `LAYOUTS`.

    Raises:
        OSError: The file could not be written.
    """
    path, how, ours = Path(path), LAYOUTS[layout], our_layout(state_dict)
    weights = {how.prefix + key: value for key, value in how.translate(ours).items()}
    with whole_file(path) as unfinished:
        if path.suffix.lower() == '.safetensors':
            save_safetensors(weights, unfinished, {'type': 'ASID', **infer_arguments(ours)})
            return
        weights = _detached(weights)
        try:
            torch.save({how.wrapper: weights} if how.wrapper else weights, unfinished)
        except RuntimeError as error:
            raise OSError(errno.EIO, f'cannot be written ({" ".join(str(error).split())[:100]})', str(path)) from None


def save_safetensors(state_dict: Mapping[str, Tensor], path: str | Path, network_g: Mapping[str, Any]) -> None:
    """Write the weights of any network as .safetensors.

    Args:
        state_dict: The weights.
        path: The file.
        network_g: The network's `type` and arguments, as in an option file; the file's metadata have them as JSON.

    Raises:
        OSError: The file could not be written.
    """
    content = save(_detached(state_dict), {'format': 'pt', 'network_g': json.dumps(network_g)})
    Path(path).write_bytes(content)  # the library's own file would be for its owner's eyes only


def _detached(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, contiguous, none a view of another's memory, which a file would hold twice or refuse."""
    weights = {key: value.detach().cpu() for key, value in state_dict.items()}
    return {key: value.clone(memory_format=torch.contiguous_format) for key, value in weights.items()}
