"""Check arguments by calling the class or function."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules import module as registration

from .problems import Key, Options, Problem
from .signatures import needed

MOST_TENSORS = 20_000
"""Most tensors of a network; networks of BasicSR have hundreds, rarely thousands."""
MOST_VALUES = 10**9
"""Most values in the weights of a network."""


class TooLargeError(ValueError):
    """A network that is too large for training."""


@contextmanager
def bounded() -> Iterator[None]:
    """Refuse to build a network with more than `MOST_TENSORS` tensors and modules, or `MOST_VALUES` values.

    Raises:
        TooLargeError: A network exceeds a limit; its construction stops there.
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
    """Build networks on the meta device within the limits of `bounded`, without side effects on random numbers."""
    with torch.device('meta'), torch.random.fork_rng(devices=[]), bounded():
        yield


def check_built(
    key: Key, options: Options, kinds: Mapping[str, Callable[..., Any]], given: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    """Check the arguments in a section by calling its class or function, and report the error.

    Args:
        key: Key of the section.
        options: The section; nothing is called if the type is unknown or a required argument is missing.
        kinds: The classes and functions by name; called on the meta device (shapes without memory).
        given: Arguments from the caller.
    """
    arguments = {**options, **(given or {})}
    name = arguments.pop('type', None)
    if name is None or not needed(kinds[name]) <= arguments.keys():
        return
    try:
        with without_memory():
            kinds[name](**arguments)
    except (NotImplementedError, RuntimeError) as error:
        # other classes may need real tensors, and raise their errors when the run builds them
        if kinds[name].__module__.startswith('asid_plugin.'):
            yield refused(key, name, error)
    except Exception as error:  # wrong arguments may raise any error
        yield refused(key, name, error)


def refused(key: Key, name: str, error: Exception) -> Problem:
    """The problem of this class or function with its arguments."""
    lines = str(error).strip().splitlines()
    return Problem(key, f'{name}: {lines[0] if lines else type(error).__name__}')
