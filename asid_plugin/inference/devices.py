"""Choose device and precision for a network, and report a lack of memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from asid_plugin.errors import ASIDError, UsageError


def choose_device(device: str) -> str:
    """Resolve 'auto', 'cpu' or 'cuda'; 'auto' is CUDA if available.

    Raises:
        UsageError: 'cuda' is requested, but PyTorch finds no CUDA device.
    """
    has_cuda = torch.cuda.is_available()
    if device == 'cuda' and not has_cuda:
        raise UsageError(f'--device cuda: PyTorch {torch.__version__} finds no CUDA device')
    return 'cuda' if has_cuda and device != 'cpu' else 'cpu'


def choose_dtype(device: str, half: bool) -> torch.dtype:
    """float32 or, with `half`, float16 on CUDA and bfloat16 on a CPU, where float16 is slow."""
    if not half:
        return torch.float32
    return torch.float16 if device == 'cuda' else torch.bfloat16


@contextmanager
def enough_memory(kind: type[ASIDError], place: str, details: str) -> Iterator[None]:
    """Report a lack of memory as an error of one line: "PLACE: out of memory DETAILS".

    Args:
        kind: Class of the error.
        place: The place, such as a file or the iteration of a training.
        details: The circumstances, and the remedy.
    """
    try:
        yield
    except ASIDError:
        raise
    except Exception as error:  # from PyTorch, Python or OpenCV
        if not is_out_of_memory(error):
            raise
        raise kind(f'{place}: out of memory {details}') from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of PyTorch, OpenCV or Python means out of memory."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    signs = ('out of memory', 'allocate memory', 'not enough memory', 'Insufficient memory', 'ALLOC_FAILED')
    return any(words in str(error) for words in signs)
