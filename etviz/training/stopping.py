"""Stopping a training from outside: a signal ends it after the step that is under way, and everything is saved."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import torch

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, so that a step is never cut in half; a second Ctrl-C interrupts at once.

    SIGTERM, which schedulers and containers send, and SIGHUP, when a terminal closes, set it too, however often they
    come.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
        yield event
        return

    def on_signal(signum, frame):
        if signum == signal.SIGINT and event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, on_signal) for number in SIGNALS if not _is_nohup(number)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _is_nohup(number: int) -> bool:
    """Whether this is a SIGHUP that nohup has said to ignore."""
    return signal.Signals(number).name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN


def asked_to_stop(interrupted: threading.Event, fabric, log: bool) -> bool:
    """Whether a signal reached any process. Several must stop after the same step: they ask one another at each log."""
    if fabric.world_size == 1:
        return interrupted.is_set()
    if not log:
        return False
    asked = torch.tensor(float(interrupted.is_set()), device=fabric.device)
    return fabric.all_reduce(asked, reduce_op="sum").item() > 0
