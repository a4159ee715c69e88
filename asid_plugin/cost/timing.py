"""Measure the seconds of a function on a device; for float32 on a GPU, turn TF32 off first."""

import time
from collections.abc import Callable

import torch

PASSES = 50
"""Calls in a round on a GPU; a single call would measure the launch of its first kernels."""
MOST_SECONDS = 2.0
"""Most seconds of a round on a GPU; a slow function is called less often."""
WARM_UP = 3
"""Calls before a measurement: the first compiles and chooses algorithms, the second and third record a CUDA graph."""


def timed(function: Callable[[], object], device: torch.device | str, passes: int = 1) -> float:
    """Seconds of a call, the mean over `passes`; on a GPU between two events, after all earlier work."""
    if torch.device(device).type != 'cuda':
        begun = time.perf_counter()
        for _ in range(passes):
            function()
        return (time.perf_counter() - begun) / passes
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize(device)
    start.record()
    for _ in range(passes):
        function()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000 / passes


def passes_of(seconds: float, passes: int = PASSES, most: float = MOST_SECONDS) -> int:
    """The number of calls in a round on a GPU, if a call takes `seconds`."""
    return max(1, min(passes, round(most / max(seconds, 1e-9))))


def timed_round(function: Callable[[], object], device: torch.device | str) -> float:
    """Seconds of a call: of one on a CPU; on a GPU the mean over about `PASSES`, after a warm-up."""
    if torch.device(device).type != 'cuda':
        return timed(function, device)
    for _ in range(WARM_UP):
        function()
    return timed(function, device, passes_of(timed(function, device)))
