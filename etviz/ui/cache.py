"""Results that take long, kept for whoever asks for the same next."""

import threading
from collections.abc import Callable, Hashable
from typing import Any


class Cache:
    """The newest ``most`` results by key. One is computed at a time, so that many askers cannot crowd out the rest."""

    def __init__(self, most: int):
        self.most = most
        self._results: dict[Hashable, Any] = {}
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return len(self._results)

    def get(self, key: Hashable, compute: Callable[[], Any], patience: float) -> Any:
        """The result under ``key``, computed if need be; None where others' took ``patience`` seconds and longer."""
        found = self._results.get(key)
        if found is not None or not self._turn.acquire(timeout=patience):
            return found
        try:
            if key not in self._results:  # somebody else may have asked for the same
                self._results[key] = compute()
            if len(self._results) > self.most:
                del self._results[next(iter(self._results))]  # the oldest
            return self._results[key]
        finally:
            self._turn.release()
