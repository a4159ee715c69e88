"""Compare states of optimizers from a file with the optimizers."""

import functools
import inspect
import math
import reprlib
from numbers import Number
from typing import Any

import torch
from torch import Tensor

LIKE_PARAMETER = ('exp_avg', 'exp_avg_sq', 'max_exp_avg_sq', 'momentum_buffer', 'square_avg', 'grad_avg', 'sum')
"""Entries of the state of an optimizer with the shape of the parameter."""

PER_DIMENSION = ('GG', 'Q')
"""Entries of SOAP's state: a square matrix for each dimension of the parameter, or an empty list."""


def is_count(value: object) -> bool:
    """Whether a value is a whole number from 0 to 2^53, as iterations and epochs are."""
    return type(value) is int and 0 <= value <= 2**53


def is_alike(value: object, other: object) -> bool:
    """Whether a value from a file is of the same kind as another: a number, text, or a container of these.

    If the other is None, numbers and text are valid; if the other is a flag, None is valid.
    """
    for kind in (dict, list | tuple):
        if isinstance(value, kind) or isinstance(other, kind):
            same = isinstance(value, kind) and isinstance(other, kind)
            return same and _kinds(value) <= {*_kinds(other), float}
    if value is None:
        return isinstance(other, bool | None)
    return _kind(value) in (float, str) and (other is None or _kind(value) is _kind(other))


def _kinds(container: Any) -> set[type]:
    return {_kind(value) for value in (container.values() if isinstance(container, dict) else container)}


def _kind(value: object) -> type:
    if isinstance(value, float | int) or (isinstance(value, Tensor) and value.numel() == 1):
        return float
    return type(value) if isinstance(value, str | None) else object


def check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Check that the loaded state of an optimizer fits its parameters; torch does not check it.

    Raises:
        ValueError: It does not; the message names the entry.
    """
    after_a_step = functools.cache(functools.partial(_after_a_step, optimizer))
    for group in optimizer.param_groups:
        for name, default in optimizer.defaults.items():
            is_there = name == 'lr' or name in group  # older torch has fewer
            if is_there and not is_alike(group.get(name), default):
                raise ValueError(f'{name} of an optimizer is {reprlib.repr(group.get(name))}')
        if not is_count(group.get('step', 0)):  # SOAP counts in its groups
            raise ValueError(f'step of an optimizer is {reprlib.repr(group["step"])}')
        for parameter in group['params']:
            state = optimizer.state.get(parameter, {})
            for name, fresh in after_a_step(parameter.ndim).items() if state else ():
                if name not in state:
                    raise ValueError(f'{name} of an optimizer is missing')
                if isinstance(fresh, Tensor) and fresh.is_floating_point() and _is_other(state[name]):
                    raise ValueError(f'{name} of an optimizer has the dtype {state[name].dtype}, not floating point')
                if isinstance(fresh, Tensor) and not fresh.ndim and not _is_amount(state[name]):
                    raise ValueError(
                        f'{name} of an optimizer is {reprlib.repr(state[name])}, not a non-negative number'
                    )
            for name, value in state.items():
                same = isinstance(value, Tensor) and value.shape == parameter.shape
                if name == 'momentum_buffer' and value is None:  # as older torch saves it of SGD without momentum
                    continue
                if name in PER_DIMENSION:
                    _check_matrices(name, value, parameter)
                    continue
                if name == 'precondition_frequency' and not (is_count(value) and value):
                    raise ValueError(f'{name} of an optimizer is {reprlib.repr(value)}, not a number of iterations')
                if (name in LIKE_PARAMETER and not same) or not isinstance(value, Tensor | Number | None):
                    shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                    raise ValueError(
                        f'{name} of an optimizer has the shape {shape}, but its weights have {(*parameter.shape,)}'
                    )


def _check_matrices(name: str, value: object, parameter: Tensor) -> None:
    """See that an entry of `PER_DIMENSION` fits its parameter."""
    sides = tuple(parameter.shape)
    if not (isinstance(value, list) and len(value) == len(sides) and all(map(_is_square, value, sides))):
        raise ValueError(f'{name} of an optimizer are not matrices of {sides}')


def _is_square(matrix: object, side: int) -> bool:
    """Whether this is a matrix of this side, or the empty list in its place."""
    if isinstance(matrix, Tensor):
        return matrix.shape == (side, side) and matrix.is_floating_point()
    return isinstance(matrix, list) and not matrix


def _is_other(value: object) -> bool:
    return isinstance(value, Tensor) and not value.is_floating_point()


def _is_amount(value: object) -> bool:
    """Whether a value is one finite non-negative number, like a count of steps."""
    if isinstance(value, Tensor):
        return value.numel() == 1 and (value.is_meta or 0 <= value.item() < math.inf)
    return isinstance(value, int | float) and 0 <= value < math.inf


def _after_a_step(optimizer: torch.optim.Optimizer, ndim: int) -> dict[str, Any]:
    """The state of such an optimizer after a step, for a weight of `ndim` dimensions, at least one.

    Empty if the optimizer needs more than a gradient for a step.
    """
    weight = torch.nn.Parameter(torch.zeros((1,) * max(1, ndim), device='cpu'))
    weight.grad = torch.zeros_like(weight)
    known = inspect.signature(type(optimizer)).parameters  # torch's AdamW adds a default that it does not take
    try:
        fresh: Any = type(optimizer)([weight], **{k: v for k, v in optimizer.defaults.items() if k in known})
        fresh.step()
    except Exception:  # any optimizer may fail in another way
        return {}
    return dict(fresh.state[weight])
