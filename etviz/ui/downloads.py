"""Published models that the page offers: fetched when somebody asks for one, and from the address built in alone."""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from etviz.errors import UsageError
from etviz.official import Source, install, place_for
from etviz.official.installing import is_there

LOG = logging.getLogger("etviz")
PAUSE = 10.0  # seconds after a failure before the same model is fetched again
FAILED = "The model could not be written: the app's log says why."


class Downloads:
    """Fetches one model at a time, in a thread of its own.

    Args:
        sources: what is offered, by name.
        on_done: called with the name of a checkpoint that has just been written.
    """

    def __init__(self, sources: Mapping[str, Source], on_done: Callable[[str], None]):
        self.sources = sources
        self._on_done = on_done
        self._turn = threading.Lock()  # held while the fields below are read and changed together
        self._running: str | None = None
        self._bytes: tuple[int, int | None] = (0, None)
        self._problem: dict[str, tuple[str, float]] = {}  # the last failure of each, and when

    def offers(self) -> list[dict]:
        """What is not there yet: [{source, checkpoint, title, megabytes}]."""
        return [
            {
                "source": name,
                "checkpoint": source.checkpoint,
                "title": source.title,
                "megabytes": source.megabytes,
            }
            for name, source in self.sources.items()
            if not is_there(place_for(source.checkpoint))
        ]

    def begin(self, name: object) -> None:
        """Start to fetch a model, unless it is there, under way, or has just failed.

        Raises:
            UsageError: no such model is offered, or another one is under way.
        """
        source = self._source(name)
        with self._turn:
            if self._running not in (None, source.name):
                raise UsageError("Another model is being fetched: try again once it is there.")
            if self._running or is_there(place_for(source.checkpoint)) or self._has_just_failed(source):
                return
            self._running, self._bytes = source.name, (0, None)
            self._problem.pop(source.name, None)
        threading.Thread(target=self._fetch, args=(source,), daemon=True).start()

    def status(self, name: object) -> dict:
        """How far it is: {state: none, running, done or failed; done, total: bytes, total null where it is not known;
        problem: a sentence}.

        Raises:
            UsageError: no such model is offered.
        """
        source = self._source(name)
        with self._turn:
            done, total = self._bytes
            if self._running == source.name:
                return {"state": "running", "done": done, "total": total or source.about_bytes, "problem": ""}
            problem, _ = self._problem.get(source.name, ("", 0.0))
        state = "failed" if problem else "done" if is_there(place_for(source.checkpoint)) else "none"
        return {"state": state, "done": 0, "total": None, "problem": problem}

    def _source(self, name: object) -> Source:
        if not isinstance(name, str) or name not in self.sources:
            raise UsageError("No such model is offered here: reload the page.")
        return self.sources[name]

    def _has_just_failed(self, source: Source) -> bool:
        _, when = self._problem.get(source.name, ("", -PAUSE))
        return time.monotonic() - when < PAUSE

    def _fetch(self, source: Source) -> None:
        problem = ""
        try:
            install(source, progress=self._tell)
            self._on_done(source.checkpoint)
        except UsageError as error:
            problem = str(error)
        except Exception:
            LOG.exception("A model could not be fetched:")
            problem = FAILED
        with self._turn:
            self._running = None
            if problem:
                self._problem[source.name] = (problem, time.monotonic())

    def _tell(self, done: int, total: int | None) -> None:
        self._bytes = (done, total)
