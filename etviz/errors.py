"""How a command ends early: bad input is one sentence, and a signal leaves no traceback."""

import signal
import sys


class UsageError(ValueError):
    """Bad input from outside: an option, a file, a size. Its text says what was wrong and what to do."""


def quiet_imports() -> None:
    """Let Ctrl-C end the process at once, without a traceback of a library that was being loaded.

    For `python -m etviz.X` alone, until `handle_signals`: a program that imports etviz has its own way with signals.
    """
    runs_a_module = sys.argv[:1] == ["-m"]  # Python sets it so while it looks for the module
    if runs_a_module and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def handle_signals() -> None:
    """Ctrl-C raises KeyboardInterrupt again, and SIGTERM ends the process, even the first one of a container."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def reason(error: Exception, most: int = 200) -> str:
    """What an error of another library says, as part of a sentence: on one line, printable and not too long."""
    said = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
    said = "".join(letter if letter.isprintable() else " " for letter in said)
    return said if len(said) <= most else f"{said[:most]}..."
