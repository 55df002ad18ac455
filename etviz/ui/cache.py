"""The results used last, kept for whoever asks for the same next."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Cache(Generic[Result]):
    """At most ``most`` results by key; the one that has gone unused for longest is dropped first.

    One result is computed at a time, so that many people asking cannot crowd out everything else. A result that is
    already there is handed out at once, whatever is being computed.

    Args:
        most: at least 1.
        turn: the lock that is held while a result is computed; one of the cache's own where None.
    """

    def __init__(self, most: int, turn: "threading.Lock | threading.RLock | None" = None):
        self.most = most
        self._turn = threading.Lock() if turn is None else turn
        self._results: OrderedDict[Hashable, Result] = OrderedDict()
        self._table = threading.Lock()  # held for a moment, while the results are read or changed

    def __len__(self) -> int:
        return len(self._results)

    def get(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """The result under ``key``, computed if need be."""
        found = self.find(key)
        if found is not None:
            return found
        with self._turn:
            return self._find_or_compute(key, compute)

    def get_within(self, seconds: float, key: Hashable, compute: Callable[[], Result]) -> Result | None:
        """As `get`, but None where the computations of others take longer than ``seconds``."""
        found = self.find(key)
        if found is not None or not self._turn.acquire(timeout=seconds):
            return found
        try:
            return self._find_or_compute(key, compute)
        finally:
            self._turn.release()

    def drop(self, key: Hashable) -> None:
        """Forget the result under ``key``, if there is one."""
        with self._table:
            self._results.pop(key, None)

    def find(self, key: Hashable) -> Result | None:
        """The result under ``key``, or None where there is none yet."""
        with self._table:
            if key in self._results:
                self._results.move_to_end(key)
            return self._results.get(key)

    def _find_or_compute(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        found = self.find(key)  # somebody else may have asked for the same in the meantime
        if found is not None:
            return found
        result = compute()
        with self._table:
            self._results[key] = result
            if len(self._results) > self.most:
                self._results.popitem(last=False)
        return result
