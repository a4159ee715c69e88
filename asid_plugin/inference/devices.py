"""The device and the precision that a network computes in."""

import torch

from asid_plugin.errors import UsageError


def choose_device(device: str) -> str:
    """The device that is meant by 'auto', 'cpu' or 'cuda'; 'auto' is CUDA if there is any.

    Raises:
        UsageError: 'cuda' is asked for, and PyTorch sees none.
    """
    has_cuda = torch.cuda.is_available()
    if device == 'cuda' and not has_cuda:
        raise UsageError(f'--device cuda: PyTorch {torch.__version__} sees no CUDA device here')
    return 'cuda' if has_cuda and device != 'cpu' else 'cpu'


def choose_dtype(device: str, half: bool) -> torch.dtype:
    """float32 or, with `half`, float16 on CUDA and bfloat16 on a CPU, where float16 is slow."""
    if not half:
        return torch.float32
    return torch.float16 if device == 'cuda' else torch.bfloat16


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of PyTorch, OpenCV or Python says that there is not enough memory."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    signs = ('out of memory', 'allocate memory', 'not enough memory', 'Insufficient memory', 'ALLOC_FAILED')
    return any(words in str(error) for words in signs)
