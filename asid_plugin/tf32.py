"""The switch for TF32, in which PyTorch computes convolutions of float32 on a GPU unless somebody turns it off."""

import functools
import warnings

import torch


def allow_tf32(allowed: bool) -> None:
    """Let a GPU compute matrix products and convolutions of float32 in TF32, of 10 bits' precision, or forbid it.

    PyTorch allows it for convolutions, which makes ASID's output wrong by 5e-3. The switch is one for the whole
    process, so the choice is the program's: this is called by commands, by their workers, and in the trainings of
    `ASIDModel` and `SRTrainLoop`, but neither by imports nor by the functions that read, build and run networks.
    """
    _ignore_tf32_deprecation()
    cudnn = torch.backends.cudnn
    torch.set_float32_matmul_precision('high' if allowed else 'highest')
    cudnn.allow_tf32 = allowed
    if hasattr(cudnn, 'fp32_precision'):  # since torch 2.9, which raises where the two ways to ask do not agree
        cudnn.fp32_precision = 'tf32' if allowed else 'ieee'


@functools.cache
def _ignore_tf32_deprecation() -> None:
    """Silence torch 2.9's advice against `allow_tf32`, which some of its own functions still read."""
    warnings.filterwarnings('ignore', 'Please use the new API settings to control TF32 behavior')
