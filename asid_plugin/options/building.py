"""Arguments checked by calling the class or function that takes them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from .problems import Key, Options, Problem
from .signatures import needed


def check_built(
    key: Key, options: Options, kinds: Mapping[str, Callable[..., Any]], given: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    """Check the arguments in a section by calling the class or function that it names, for what that says of them.

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
        with torch.device('meta'), torch.random.fork_rng(devices=[]):
            kinds[name](**arguments)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        yield Problem(key, f'{name}: {(str(error) or repr(error)).splitlines()[0]}')
    except (NotImplementedError, RuntimeError):
        pass  # it needs real tensors, and says what it has to say when the run builds it
