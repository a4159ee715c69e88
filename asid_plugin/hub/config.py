"""Read config.json, the arguments of a network from an untrusted source."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asid_plugin.archs.windowed import WindowedSR

from .errors import HubError

NAME = 'config.json'
MOST_BYTES = 2**16


def read_config(path: Path) -> dict[str, Any]:
    """The entries of a config.json.

    Raises:
        HubError: It is too large, or not a JSON object.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise HubError(f'{path}: {path.stat().st_size} bytes; at most {MOST_BYTES} are read')
        config = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise HubError(f'{path}: {error.strerror}') from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, HubError):
            raise
        raise HubError(f'{path}: not JSON ({type(error).__name__})') from None
    if not isinstance(config, dict):
        raise HubError(f'{path}: holds a {type(config).__name__}, not the arguments of a network')
    return config


def with_config(
    arch: type[WindowedSR], inferred: Mapping[str, Any], config: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> dict[str, Any]:
    """The arguments of a network: from its weights, and from config.json if the weights leave a choice.

    Other entries of config.json are ignored, as by the hub's tools.

    Args:
        arch: The class of the network.
        inferred: Arguments that fit the weights.
        config: The entries of config.json.
        weights: In our layout.

    Raises:
        ValueError: An entry has the wrong type, or contradicts the weights.
    """
    defaults = {parameter.name: parameter.default for parameter in inspect.signature(arch).parameters.values()}
    given = {key: value for key, value in config.items() if key in defaults}
    for key, value in given.items():
        _check_type(key, value, defaults[key])
    merged = {**inferred, **given}
    differing = {key: (value, inferred[key]) for key, value in merged.items() if inferred.get(key, value) != value}
    # depth first, because only depth makes building slow
    if differing and ('num_block' in differing or not _fits(arch, merged, weights)):
        says = '; '.join(f'{key} is {str(there)[:40]}, not {here}' for key, (there, here) in differing.items())
        raise ValueError(f'{NAME} contradicts the weights: {says}')
    return merged


def _check_type(key: str, value: object, default: object) -> None:
    if type(default) is float and type(value) is int:
        return
    if type(value) is not type(default):
        raise ValueError(f'{NAME}: {key} is {str(value)[:40]!r}; it should be of the type of {default!r}')


def _fits(arch: type[WindowedSR], arguments: Mapping[str, Any], weights: Mapping[str, Tensor]) -> bool:
    """Whether a network with these arguments has these weights; it is built on the meta device."""
    try:
        with torch.device('meta'):
            expected = arch(**arguments).state_dict()
    except (OverflowError, RuntimeError, TypeError, ValueError):
        return False
    return {key: value.shape for key, value in expected.items()} == {key: value.shape for key, value in weights.items()}
