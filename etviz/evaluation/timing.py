"""How long a call takes."""

import statistics
import time
from collections.abc import Callable

import torch

CALLS = 3  # timed at least


def median_seconds(function: Callable[[], object], device: torch.device, seconds: float, calls: int = CALLS) -> float:
    """Median wall time of a call, after one call to warm up.

    Args:
        function: what is timed.
        device: where it computes; each call is timed until the device has finished.
        seconds, calls: timing goes on until both so much time and so many calls are reached.
    """
    _seconds(function, device)
    times: list[float] = []
    while len(times) < calls or sum(times) < seconds:
        times.append(_seconds(function, device))
    return statistics.median(times)


def _seconds(function: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter() - start
