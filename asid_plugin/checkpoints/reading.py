"""Checkpoint files of ASID, read: BasicSR's, MMEngine's and the authors' .pth or .ckpt, and .safetensors."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from asid_plugin.archs import ASID
from asid_plugin.archs.windowed import WindowedSR
from asid_plugin.errors import ASIDError, one_line
from asid_plugin.layouts.author_layout import JUNK, is_author_layout
from asid_plugin.layouts.parts import AmbiguityError, choose, network_prefixes
from asid_plugin.layouts.state_dict import TO_CONVERT

from .archives import load_pickled
from .file_layouts import WRAPPERS
from .packaged import WeightsError, packaged_file
from .unpickling import UnpicklingError

Net = TypeVar('Net', bound=WindowedSR)
NEOSR = (
    "the authors' keys behind {wrapper} are neosr's ASID, whose input is [0, 1] where the paper's is normalised, so it "
    f"would make another picture; {TO_CONVERT} (the authors' own files have no {{wrapper}}; of a fork of BasicSR that "
    'trains their network, take --from authors)'
)
_WRAPPING = re.compile(r'^(module\.|_orig_mod\.)+')
_DEPTH = 4
"""Wrappers that a state dict stands behind, at most."""
_TIED = 4
"""Times that weights may stand in a file by several names, on an average."""
_FREE = 2**20
"""Bytes of weights that are not counted so."""


class CheckpointError(ASIDError):
    """A file that cannot be used as an ASID checkpoint; the message is one line that names it."""


class NoWeightsError(CheckpointError):
    """A file that reads, with no weights in it."""


def read_state_dict(path: str | Path, prefer: str | None = None) -> dict[str, Tensor]:
    """Read the weights in a checkpoint file.

    A network of ours is found by its keys, behind whatever wrappers and names of models. Of a network and its average,
    such as `params` and `params_ema`, the average is read. For other networks the wrapper must be one of `WRAPPERS`.

    Args:
        path: .safetensors, or a file of `torch.save`. Only tensors and plain containers are unpickled; the log that
            MMEngine saves along is left out. `packaged:x2` is the package's own weights, whose checksum is checked.
        prefer: A wrapper that counts where it is there, as BasicSR's `param_key_g`.

    Returns:
        The state dict on the CPU, in the layout of the file, without 'module.' and '_orig_mod.' before its keys.

    Raises:
        CheckpointError: The file is missing, damaged, holds other objects than tensors and numbers, no state dict or
            several networks.
    """
    try:
        path = packaged_file(path) or Path(path)
    except WeightsError as error:
        raise CheckpointError(str(error)) from None
    return state_dict_of(path, read_content(path), prefer)


def state_dict_of(path: str | Path, content: Mapping[Any, Any], prefer: str | None = None) -> dict[str, Tensor]:
    """The weights in the content of a file; arguments and errors as `read_state_dict`'s."""
    state_dict = any_state_dict_of(path, content, prefer)
    refuse_neosr(path, content)
    return state_dict


def any_state_dict_of(path: str | Path, content: Mapping[Any, Any], prefer: str | None = None) -> dict[str, Tensor]:
    """As `state_dict_of`, of neosr's ASID too."""
    try:
        state_dict = weights_in(content, prefer)
    except AmbiguityError as error:
        raise CheckpointError(f'{path}: {error}') from None
    if not state_dict or not all(isinstance(value, Tensor) for value in state_dict.values()):
        top = ', '.join(map(str, content))[:80]
        raise NoWeightsError(f'{path}: no state dict in it (top-level keys: {top})')
    return _unwrapped(state_dict)


def weights_in(content: Mapping[Any, Any], prefer: str | None = None) -> dict[str, Any]:
    """The weights in the content of a checkpoint; see `read_state_dict`. Values that are no tensors are not sorted out.

    Raises:
        AmbiguityError: There are several networks, and none is preferred.
    """
    levels = dict(_levels(content))
    flat = {name + key: value for name, level in levels.items() for key, value in level.items()}
    prefixes = _preferred(network_prefixes(flat), prefer)
    if prefixes:
        prefix = choose(prefixes)
        return {key.removeprefix(prefix): value for key, value in flat.items() if key.startswith(prefix)}
    of_tensors = [name for name, level in levels.items() if name and any(isinstance(v, Tensor) for v in level.values())]
    wrapped = [name for name in of_tensors if name.split('.')[-2] in (*WRAPPERS, prefer)]
    return levels[choose(_preferred(wrapped, prefer))] if wrapped else levels.get('', {})


def _preferred(names: list[str], prefer: str | None) -> list[str]:
    return [name for name in names if prefer and name.startswith(f'{prefer}.')] or names


def _levels(content: Mapping[Any, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of each mapping in mappings that are no mappings themselves, by the mapping's name, '' at the top."""
    seen, waiting = {id(content)}, [('', content, 0)]
    for name, level, depth in waiting:
        yield name, {str(key): value for key, value in level.items() if _is_entry(str(key), value)}
        for key, value in level.items() if depth < _DEPTH else ():
            averaged_by_mmengine = key == 'ema_state_dict' and 'state_dict' in level  # these are those before averaging
            if isinstance(value, Mapping) and id(value) not in seen and not averaged_by_mmengine:
                seen.add(id(value))
                waiting.append((f'{name}{key}.', value, depth + 1))


def _is_entry(key: str, value: object) -> bool:
    return not isinstance(value, Mapping) and not key.endswith(JUNK)


def refuse_neosr(path: str | Path, content: Mapping[Any, Any]) -> None:
    """Refuse the content of a file if it is neosr's ASID: the authors' keys behind a wrapper of BasicSR's.

    Raises:
        CheckpointError: It is.
    """
    for wrapper in ('params', 'params_ema', 'params-ema'):
        wrapped = content.get(wrapper)
        if isinstance(wrapped, Mapping) and is_author_layout(_unwrapped(wrapped)):
            raise CheckpointError(f'{path}: {NEOSR.format(wrapper=wrapper)}')


def _unwrapped(state_dict: Mapping[Any, Any]) -> dict[str, Any]:
    return {_WRAPPING.sub('', key): value for key, value in state_dict.items() if isinstance(key, str)}


def read_content(path: Path) -> dict[Any, Any]:
    """All that a checkpoint file holds; see `read_state_dict`.

    Raises:
        CheckpointError: The file is missing, damaged, or holds other objects than tensors and numbers in a mapping.
    """
    return as_mapping(path, load_file if path.suffix.lower() == '.safetensors' else load_pickled)


def as_mapping(path: Path, load: Any) -> dict[Any, Any]:
    """Read the mapping in a file by a function; errors as `read_content`'s."""
    try:
        if not path.is_file():
            raise CheckpointError(f'{path}: no such file')
        content = load(path)
    except CheckpointError:
        raise
    except UnpicklingError as error:
        raise CheckpointError(f'{path}: {error}') from None
    except OSError as error:
        raise CheckpointError(f'{path}: {error.strerror or "cannot be read"}') from None
    except Exception as error:  # a damaged or foreign file makes unpickling fail in any way
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
        return build(ASID, state_dict)
    except ValueError as error:
        raise CheckpointError(f'{path}: {one_line(error)}') from None


def build(arch: type[Net], state_dict: Mapping[str, Tensor]) -> Net:
    """Build the network that weights are of, on the CPU, float32, in eval mode.

    Args:
        arch: The class of the network.
        state_dict: Flat, in either layout.

    Raises:
        ValueError: The weights are of another network, or none.
    """
    arguments, weights = fitting(arch, state_dict)
    net = arch(**arguments)
    net.load_state_dict(weights)
    return net.float().eval()


def fitting(arch: type[WindowedSR], state_dict: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The arguments of the network that weights are of, and the weights in our layout.

    It is built without memory only, so that weights which say that they are of a huge one cost nothing.

    Raises:
        ValueError: The weights are of another network, or none.
    """
    _check_overlap(state_dict)
    arguments = arch.reader.infer_arguments(state_dict)
    weights = arch.reader.to_ours(state_dict)
    with torch.device('meta'):
        expected = {key: value.shape for key, value in arch(**arguments).state_dict().items()}
    for key in (*expected, *weights):
        if key not in weights or key not in expected:
            raise ValueError(f'{key[:100]} {"is missing" if key in expected else "belongs to no such network"}')
        if weights[key].shape != expected[key]:
            raise ValueError(f'{key} has the shape {(*weights[key].shape,)}, not {(*expected[key],)} as the others say')
        if not weights[key].is_floating_point():
            raise ValueError(f'{key} is of {weights[key].dtype}, which weights are not')
    return arguments, weights


def _check_overlap(state_dict: Mapping[str, Tensor]) -> None:
    """Raise a ValueError if tensors repeat numbers: a network of them would be larger than the file."""
    if not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise ValueError('not all of it are tensors')
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in state_dict.values()}
    unpacked = sum(value.nbytes for value in state_dict.values())
    if unpacked > _TIED * sum(storages.values()) + _FREE:
        raise ValueError(f'its tensors overlap: {unpacked} bytes of weights made of {sum(storages.values())}')
