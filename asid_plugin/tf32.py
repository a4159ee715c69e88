"""The switch for TF32, PyTorch's default for float32 convolutions on a GPU."""

import functools
import warnings

import torch


def allow_tf32(allowed: bool) -> None:
    """Allow or forbid TF32, with a precision of 10 bits, for float32 matrix products and convolutions on a GPU.

    PyTorch allows it for convolutions, with errors of 5e-3 in the output of ASID. The switch applies to the whole
    process, so the program must choose: commands, their workers, and the trainings of `ASIDModel` and `SRTrainLoop`
    call this function, but imports and functions that read, build and run networks do not.
    """
    _ignore_tf32_deprecation()
    cudnn = torch.backends.cudnn
    torch.set_float32_matmul_precision('high' if allowed else 'highest')
    cudnn.allow_tf32 = allowed
    if hasattr(cudnn, 'fp32_precision'):  # since torch 2.9, which raises if the two settings disagree
        cudnn.fp32_precision = 'tf32' if allowed else 'ieee'


@functools.cache
def _ignore_tf32_deprecation() -> None:
    """Suppress torch 2.9's warning about `allow_tf32`, which some of its functions still read."""
    warnings.filterwarnings('ignore', 'Please use the new API settings to control TF32 behavior')
