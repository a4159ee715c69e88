"""Checkpoint files of ASID, written and converted."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from asid_plugin.files import whole_file
from asid_plugin.layouts.state_dict import beyond_the_paper, infer_arguments, our_layout

from .file_layouts import LAYOUTS, SUFFIXES
from .reading import CheckpointError, load_asid, read_state_dict


def save_state_dict(state_dict: Mapping[str, Tensor], path: str | Path, layout: str = 'asid') -> None:
    """Write weights, bit for bit; the file appears whole or not at all.

    Args:
        state_dict: Of an ASID, in our layout or the authors'.
        path: Its suffix is one of `SUFFIXES`.
        layout: One of `LAYOUTS`.

    Raises:
        CheckpointError: The layout is the authors', whose network has no such arguments.
        OSError: The file could not be written.
    """
    path, how, ours = Path(path), LAYOUTS[layout], our_layout(state_dict)
    beyond = beyond_the_paper(infer_arguments(ours))
    if beyond and layout == 'authors':
        raise CheckpointError(f"{path}: the authors' layout cannot hold a network with {', '.join(beyond)}")
    weights = {how.prefix + key: value for key, value in how.translate(ours).items()}
    with whole_file(path) as unfinished:
        if path.suffix.lower() == '.safetensors':
            save_safetensors(weights, unfinished, {'type': 'ASID', **infer_arguments(ours)})
            return
        weights, content = _detached(weights), io.BytesIO()
        torch.save({how.wrapper: weights} if how.wrapper else weights, content)
        unfinished.write_bytes(content.getbuffer())  # torch.save itself does not report a full disk


def read_asid(path: Path) -> dict[str, Tensor]:
    """Read the weights of a complete ASID, in the layout of the file.

    Raises:
        CheckpointError: The file holds none.
    """
    load_asid(path)
    return read_state_dict(path)


def convert(
    source: Path, target: Path, layout: str, read: Callable[[Path], dict[str, Tensor]] = read_asid
) -> dict[str, Any]:
    """Read a checkpoint in any layout, and write its weights in the requested layout, bit for bit.

    Args:
        source: The file to read.
        target: The file to write, which is replaced.
        layout: One of `LAYOUTS`.
        read: Function that reads the weights of a complete ASID in one of our layouts.

    Returns:
        The network's arguments.

    Raises:
        CheckpointError: `source` is not a checkpoint of an ASID, or the suffix of `target` is invalid.
        OSError: `target` could not be written.
    """
    if target.suffix.lower() not in SUFFIXES:
        raise CheckpointError(f'{target}: its name must end in {", ".join(SUFFIXES[:-1])} or {SUFFIXES[-1]}')
    if target.exists() and source.exists() and source.samefile(target):
        raise CheckpointError(f'{target} is the input and would be overwritten; choose another OUT')
    state_dict = read(source)
    save_state_dict(state_dict, target, layout)
    return infer_arguments(state_dict)


def save_safetensors(
    state_dict: Mapping[str, Tensor],
    path: str | Path,
    network_g: Mapping[str, Any],
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the weights of any network as .safetensors.

    Args:
        state_dict: The weights.
        path: The file.
        network_g: The network's `type` and arguments, as in an option file; stored as JSON in the metadata of the file.
        metadata: Further metadata.

    Raises:
        OSError: The file could not be written.
    """
    content = save(_detached(state_dict), {**metadata, 'format': 'pt', 'network_g': json.dumps(network_g)})
    Path(path).write_bytes(content)  # a file that the library writes could be read by its owner only


def _detached(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, contiguous and without shared memory, which a file would store twice or refuse."""
    weights = {key: value.detach().cpu() for key, value in state_dict.items()}
    return {key: value.clone(memory_format=torch.contiguous_format) for key, value in weights.items()}
