"""One process for each run folder: a lock that ends with the process that holds it, however that ends."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from etviz import files
from etviz.errors import UsageError
from etviz.training.resume import LAST

LOCK = ".lock"


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[Path]:
    """The folder, made where it does not exist, for this process alone. The same thread may claim it again.

    Where the file system has no locks, nothing is claimed.

    Raises:
        UsageError: another process trains in it, or it cannot be made or written to.
    """
    lock = FileLock(files.make_folder(folder).resolve() / LOCK, timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise UsageError(
            f"Another process trains in {str(folder)!r}: wait for it or stop it, or choose another run=."
        ) from error
    except (NotImplementedError, OSError):
        pass
    try:
        yield folder
    finally:
        lock.release()


def is_empty(folder: Path) -> bool:
    """Whether a claimed folder holds no run: nothing, or what one left that was killed before it had begun."""
    return {path.name for path in folder.iterdir()} <= {LOCK, LAST}


def abandon(folder: Path) -> None:
    """Remove a claimed folder that holds nothing but the lock."""
    if [path.name for path in folder.iterdir()] == [LOCK]:
        (folder / LOCK).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
