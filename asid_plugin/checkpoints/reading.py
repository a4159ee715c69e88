"""Read checkpoint files of ASID: BasicSR's, MMEngine's and the authors' .pth or .ckpt, and .safetensors."""

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
    "the authors' keys under {wrapper} mean neosr's ASID, whose input range is [0, 1], not the paper's [-1, 1]; "
    f"{TO_CONVERT} (with --from authors if a fork of BasicSR trained the authors' network)"
)
_WRAPPING = re.compile(r'^(module\.|_orig_mod\.)+')
_DEPTH = 4
"""Most wrappers around a state dict."""
_TIED = 4
"""Largest average number of names for the same weights in a file."""
_FREE = 2**20
"""Bytes of weights that are exempt from this limit."""


class CheckpointError(ASIDError):
    """A file that cannot be used as an ASID checkpoint; the message is one line that names it."""


class NoWeightsError(CheckpointError):
    """A readable file without weights."""


def read_state_dict(path: str | Path, prefer: str | None = None) -> dict[str, Tensor]:
    """Read the weights in a checkpoint file.

    Networks of this package are found by their keys, under any wrappers and names of models. If a file has a network
    and its average, such as `params` and `params_ema`, the average is read. For other networks the wrapper must be one
    of `WRAPPERS`.

    Args:
        path: .safetensors, or a file of `torch.save`. Only tensors and plain containers are unpickled; the log in files
            of MMEngine is skipped. `packaged:x2` stands for packaged weights, whose checksum is verified.
        prefer: A wrapper to prefer if the file has it, like BasicSR's `param_key_g`.

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
    """The weights in the content of a file; arguments and errors as in `read_state_dict`."""
    state_dict = any_state_dict_of(path, content, prefer)
    refuse_neosr(path, content)
    return state_dict


def any_state_dict_of(path: str | Path, content: Mapping[Any, Any], prefer: str | None = None) -> dict[str, Tensor]:
    """As `state_dict_of`, but also for neosr's ASID."""
    try:
        state_dict = weights_in(content, prefer)
    except AmbiguityError as error:
        raise CheckpointError(f'{path}: {error}') from None
    if not state_dict or not all(isinstance(value, Tensor) for value in state_dict.values()):
        top = ', '.join(map(str, content))[:80]
        raise NoWeightsError(f'{path}: no state dict in it (top-level keys: {top})')
    return _unwrapped(state_dict)


def weights_in(content: Mapping[Any, Any], prefer: str | None = None) -> dict[str, Any]:
    """The weights in the content of a checkpoint; see `read_state_dict`. Values that are not tensors are not filtered.

    Raises:
        AmbiguityError: The file holds several networks, and none is preferred.
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
    """The entries of nested mappings that are not mappings, by the name of the mapping, '' at the top."""
    seen, waiting = {id(content)}, [('', content, 0)]
    for name, level, depth in waiting:
        yield name, {str(key): value for key, value in level.items() if _is_entry(str(key), value)}
        for key, value in level.items() if depth < _DEPTH else ():
            averaged_by_mmengine = key == 'ema_state_dict' and 'state_dict' in level  # the weights before averaging
            if isinstance(value, Mapping) and id(value) not in seen and not averaged_by_mmengine:
                seen.add(id(value))
                waiting.append((f'{name}{key}.', value, depth + 1))


def _is_entry(key: str, value: object) -> bool:
    return not isinstance(value, Mapping) and not key.endswith(JUNK)


def refuse_neosr(path: str | Path, content: Mapping[Any, Any]) -> None:
    """Refuse the content of a file if it is neosr's ASID: the authors' keys under a wrapper of BasicSR.

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
    """The whole content of a checkpoint file; see `read_state_dict`.

    Raises:
        CheckpointError: The file is missing, damaged, or holds other objects than tensors and numbers in a mapping.
    """
    return as_mapping(path, load_file if path.suffix.lower() == '.safetensors' else load_pickled)


def as_mapping(path: Path, load: Any) -> dict[Any, Any]:
    """Read the mapping in a file by a function; raises like `read_content`."""
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
    """Build the ASID of a checkpoint, on the CPU, float32, in eval mode.

    Args:
        path: As in `read_state_dict`, in our layout or the authors'; the arguments are inferred from the shapes.

    Raises:
        CheckpointError: The file is not a checkpoint of an ASID.
    """
    state_dict = read_state_dict(path)
    try:
        return build(ASID, state_dict)
    except ValueError as error:
        raise CheckpointError(f'{path}: {one_line(error)}') from None


def build(arch: type[Net], state_dict: Mapping[str, Tensor]) -> Net:
    """Build the network for some weights, on the CPU, float32, in eval mode.

    Args:
        arch: The class of the network.
        state_dict: Flat, in either layout.

    Raises:
        ValueError: The weights do not belong to such a network.
    """
    arguments, weights = fitting(arch, state_dict)
    net = arch(**arguments)
    net.load_state_dict(weights)
    return net.float().eval()


def fitting(arch: type[WindowedSR], state_dict: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Infer the arguments of the network for some weights, and translate the weights to our layout.

    The network is built on the meta device, so that weights that imply a huge network cost no memory.

    Raises:
        ValueError: The weights do not belong to such a network.
    """
    _check_overlap(state_dict)
    arguments = arch.reader.infer_arguments(state_dict)
    weights = arch.reader.to_ours(state_dict)
    with torch.device('meta'):
        expected = {key: value.shape for key, value in arch(**arguments).state_dict().items()}
    for key in (*expected, *weights):
        if key not in weights or key not in expected:
            raise ValueError(f'{key[:100]} {"is missing" if key in expected else "is unexpected"}')
        if weights[key].shape != expected[key]:
            raise ValueError(
                f'{key} has the shape {(*weights[key].shape,)}; the other weights imply {(*expected[key],)}'
            )
        if not weights[key].is_floating_point():
            raise ValueError(f'{key} has the dtype {weights[key].dtype}; it should be floating point')
    return arguments, weights


def _check_overlap(state_dict: Mapping[str, Tensor]) -> None:
    """Raise a ValueError if tensors share memory: their network would be larger than the file."""
    if not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise ValueError('some of its values are not tensors')
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in state_dict.values()}
    unpacked = sum(value.nbytes for value in state_dict.values())
    if unpacked > _TIED * sum(storages.values()) + _FREE:
        raise ValueError(
            f'its tensors overlap: {unpacked} bytes of weights in {sum(storages.values())} bytes of storage'
        )
