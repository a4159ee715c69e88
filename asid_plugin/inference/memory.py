"""Memory of large tensors on a CPU, kept by the process instead of being returned and fetched anew for each."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`: free memory above which the heap shrinks; size from which memory is mapped apart."""
LARGEST_KEPT = 2**30
"""Bytes up to which a tensor's memory is kept."""


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones, as PyTorch does on a GPU.

    By default glibc gives a freed feature map back to the system, which maps and clears the pages of the next one,
    4 KiB at a time: up to half of the time of a forward pass. With this the process stays as large as it was at its
    peak, so a library should leave the choice to the program: only commands and `ASIDModel` call it.

    Returns:
        Whether the C library is glibc, which has this setting.
    """
    if sys.platform != 'linux':
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)  # musl has none
    return bool(mallopt and mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(M_TRIM_THRESHOLD, -1))
