"""Check the arguments of `torch.compile`, for option files and for configs of MMEngine."""

from collections.abc import Iterator, Mapping

import torch

from .asid_keys import ASIDGeneralOptions, ASIDTrainOptions
from .building import refused
from .problems import Options, Problem, mapping


def check_compile(opt: Options) -> Iterator[Problem]:
    """Check the arguments of `torch.compile` without compiling."""
    arguments = ASIDGeneralOptions(opt).compile
    if isinstance(arguments, Mapping):
        parts = ASIDTrainOptions(mapping(opt, 'train')).accumulate if opt['is_train'] else 1
        yield from check_arguments(arguments, 'train:accumulate', parts)


def check_arguments(arguments: Options, key: str, parts: int) -> Iterator[Problem]:
    """Check arguments of `torch.compile` under the key `compile`.

    Args:
        arguments: Arguments by name.
        key: Key of the number of parts in which the gradients of a step are computed.
        parts: The number of parts.
    """
    try:
        torch.compile(torch.nn.Identity(), **arguments)
    except Exception as error:  # it and its backends raise different errors
        yield refused(('compile',), 'torch.compile', error)
        return
    if parts > 1 and (graphs := cuda_graphs(arguments)):
        message = (
            f'{graphs} does not work with {key}, {parts}: a CUDA graph overwrites the gradients of the previous part; '
            f'use {key.rpartition(":")[2]}: 1, or mode: max-autotune-no-cudagraphs'
        )
        yield Problem(('compile',), message)


def cuda_graphs(arguments: Options) -> str | None:
    """The argument of `torch.compile` that enables CUDA graphs, if any."""
    if arguments.get('backend') == 'cudagraphs':
        return 'backend: cudagraphs'
    if arguments.get('backend', 'inductor') != 'inductor':
        return None
    from torch._inductor import list_mode_options

    mode, key = arguments.get('mode'), 'triton.cudagraphs'
    if mapping(arguments, 'options').get(key):
        return f'options: {key}'
    return f'mode: {mode}' if mode is not None and list_mode_options(mode).get(key) else None
