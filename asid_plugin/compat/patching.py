"""Tools for corrections: replace names temporarily or permanently, and use the CPU in the place of CUDA."""

import atexit
import functools
import gc
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch


def rebind(original: Callable[..., Any], replacement: Callable[..., Any]) -> None:
    """Replace `original` in all modules of BasicSR, which import it from each other by value."""
    for name, module in list(sys.modules.items()):
        if name.partition('.')[0] == 'basicsr':
            for key, value in list(vars(module).items()):
                if value is original:
                    setattr(module, key, replacement)


def classes_of(package: str, names: Iterable[str]) -> Iterator[Any]:
    """Classes of BasicSR by module and name; classes that a trimmed copy lacks are omitted.

    Args:
        package: Such as 'basicsr.data'.
        names: Such as 'paired_image_dataset.PairedImageDataset'.
    """
    for name in names:
        module, kind = name.split('.')
        if find_spec(f'{package}.{module}') is not None:
            yield getattr(import_module(f'{package}.{module}'), kind)


@contextmanager
def replaced(owner: Any, name: str, stand_in: Any) -> Iterator[None]:
    """Replace an attribute within the context."""
    original = getattr(owner, name)
    setattr(owner, name, stand_in)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def left_unsaid(text: str) -> Iterator[None]:
    """Omit lines of BasicSR's log that contain a text, within the context."""

    def other(record: logging.LogRecord) -> bool:
        return text not in record.getMessage()

    logger = logging.getLogger('basicsr')
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


@contextmanager
def cpu_as_cuda_device() -> Iterator[bool]:
    """On a machine without CUDA, present the CPU as the one CUDA device within the context.

    The check for CUDA runs here, not at the import of BasicSR, because it prevents the use of CUDA in forked processes.

    Yields:
        Whether the machine is without CUDA.
    """
    no_cuda = not torch.cuda.is_available()
    with ExitStack() as stack:
        if no_cuda:
            stack.enter_context(replaced(torch.cuda, 'device_count', lambda: 1))
            stack.enter_context(replaced(torch.cuda, 'current_device', lambda: 0))
            stack.enter_context(replaced(torch.cuda, 'set_device', lambda device: None))
            stack.enter_context(replaced(torch.storage._StorageBase, 'cuda', lambda storage, device: storage))
        yield no_cuda


def on_gloo(original: Callable[..., Any]) -> Callable[..., Any]:
    """A function that starts a process group, with gloo instead of NCCL on a machine without CUDA."""

    @functools.wraps(original)
    def start(backend: str, *args: Any, **kwargs: Any) -> None:
        with cpu_as_cuda_device() as no_cuda:
            original('gloo' if no_cuda and backend == 'nccl' else backend, *args, **kwargs)

    return start


def leave_process_group_at_exit() -> None:
    """Leave the process group when the program ends.

    Threads of gloo that are still running then abort the process now and then ("terminate called without an active
    exception", once in sixty runs here), after everything is saved; NCCL warns since torch 2.4.
    """
    atexit.register(_leave_process_group)


def leave_others_alone() -> None:
    """Note that this process ends by an error: at its end it must not wait for the others, or all would hang."""
    _FAILED.append(True)


def _leave_process_group() -> None:
    failed = _FAILED or hasattr(sys, 'last_type')  # the latter after an exception that nobody caught
    if torch.distributed.is_initialized() and not failed:
        gc.collect()  # a distributed model that lives on in a cycle, such as MMEngine's Runner is, would keep the group
        torch.distributed.destroy_process_group()


def expect_channels_last_gradients() -> None:
    """Silence DistributedDataParallel's warning that it copies the gradients of the few channels-last weights."""
    warnings.filterwarnings('ignore', 'Grad strides do not match bucket view strides')


_FAILED: list[bool] = []
