"""How long a call takes."""

import statistics
import time
from collections.abc import Callable

import torch

CALLS = 3  # timed at least


def median_seconds(
    function: Callable[[], object], device: torch.device, seconds: float, calls: int = CALLS, *, own: bool = False
) -> float:
    """Median time of a call, after one call to warm up.

    Args:
        function: what is timed.
        device: where it computes; each call is timed until the device has finished.
        seconds, calls: timing goes on until both so much time and so many calls are reached.
        own: on a CPU, count the process's own time, of all its threads, which other programs change little; otherwise,
            and on other devices, the clock's time.
    """
    clock = time.process_time if own and device.type == "cpu" else time.perf_counter
    _seconds(function, device, clock)
    times: list[float] = []
    while len(times) < calls or sum(times) < seconds:
        times.append(_seconds(function, device, clock))
    return statistics.median(times)


def _seconds(function: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    start = clock()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return clock() - start
