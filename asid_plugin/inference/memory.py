"""Let the process reuse the memory of large tensors on a CPU, instead of returning it to the system."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`: free memory above which the heap shrinks; size from which memory is mapped apart."""
LARGEST_KEPT = 2**30
"""Largest tensor in bytes whose memory is reused."""


def keep_freed_memory() -> bool:
    """Let this process reuse the memory of freed tensors, like PyTorch on a GPU.

    By default glibc returns a freed feature map to the system, which maps and clears the pages of the next one, 4 KiB
    at a time: up to half of the time of a forward pass. With this setting the process stays at its peak size, so a
    library should leave the choice to the program: only commands and `ASIDModel` call it.

    Returns:
        Whether the C library is glibc, which has this setting.
    """
    if sys.platform != 'linux':
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)  # musl has none
    return bool(mallopt and mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(M_TRIM_THRESHOLD, -1))
