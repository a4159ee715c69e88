"""Arguments checked by calling the class or function that takes them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules import module as registration

from .problems import Key, Options, Problem
from .signatures import needed

MOST_TENSORS = 20_000
"""Of a network; those of BasicSR have some hundreds, seldom thousands."""
MOST_VALUES = 10**9
"""Of a network's weights."""


class TooLargeError(ValueError):
    """A network that nobody could train."""


@contextmanager
def bounded() -> Iterator[None]:
    """Let no network be built that has more than `MOST_TENSORS` tensors and modules, or `MOST_VALUES` values.

    Raises:
        TooLargeError: One has grown beyond that, and is not built to its end.
    """
    tensors = values = 0

    def count(_module: torch.nn.Module, _name: str, added: Any) -> None:
        nonlocal tensors, values
        tensors += 1
        values += added.numel() if isinstance(added, Tensor) else 0
        if tensors > MOST_TENSORS:
            raise TooLargeError(f'a network of more than {MOST_TENSORS} modules and tensors; that is too large')
        if values > MOST_VALUES:
            raise TooLargeError(f'a network of more than {MOST_VALUES} values; that is too large')

    hooks = [
        registration.register_module_buffer_registration_hook(count),
        registration.register_module_module_registration_hook(count),
        registration.register_module_parameter_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def without_memory() -> Iterator[None]:
    """Build networks on the meta device, as `bounded` allows, and leave the random numbers as they were."""
    with torch.device('meta'), torch.random.fork_rng(devices=[]), bounded():
        yield


def check_built(
    key: Key, options: Options, kinds: Mapping[str, Callable[..., Any]], given: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    """Check the arguments in a section by calling the class or function that it names, for its error.

    Args:
        key: Where the section stands.
        options: The section; with a type that is unknown, or without an argument that is needed, nothing is called.
        kinds: The classes and functions by name; called on the meta device (shapes without memory).
        given: Arguments that the caller gives.
    """
    arguments = {**options, **(given or {})}
    name = arguments.pop('type', None)
    if name is None or not needed(kinds[name]) <= arguments.keys():
        return
    try:
        with without_memory():
            kinds[name](**arguments)
    except (NotImplementedError, RuntimeError) as error:
        # of others it may be that they need real tensors, and then they say so when the run builds them
        if kinds[name].__module__.startswith('asid_plugin.'):
            yield refused(key, name, error)
    except Exception as error:  # whatever arguments that do not fit may bring about
        yield refused(key, name, error)


def refused(key: Key, name: str, error: Exception) -> Problem:
    """The problem that a class or function of this name has with its arguments."""
    lines = str(error).strip().splitlines()
    return Problem(key, f'{name}: {lines[0] if lines else type(error).__name__}')
