"""A plain web host for a built site: it notes what it is asked for, may be wrong about media types, and can go."""

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

PREFIX = "/pages/etviz/"  # a site need not be at the root of its host


class Host(http.server.ThreadingHTTPServer):
    """Serves a folder under `PREFIX`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: Path, port: int = 0, media_type: str | None = None):
        self.asked: list[str] = []
        self.media_type = media_type
        super().__init__(("127.0.0.1", port), functools.partial(Handler, directory=str(folder)))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{PREFIX}"

    def handle_error(self, request, client_address):
        """A browser that goes away in the middle of a file is nothing to report."""


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if not self.path.startswith(PREFIX):
            return self.send_error(404)
        self.server.asked.append(urlsplit(self.path).path.removeprefix(PREFIX))
        self.path = "/" + self.path.removeprefix(PREFIX)
        return super().do_GET()

    def guess_type(self, path):
        known = super().guess_type(path)
        return known if known == "text/html" else self.server.media_type or known

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def hosting(folder: Path, port: int = 0, media_type: str | None = None) -> Iterator[Host]:
    """A host of a folder, while the context lasts; every file but a page has ``media_type`` where one is given."""
    with Host(folder, port, media_type) as host:
        thread = threading.Thread(target=host.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield host
        finally:
            host.shutdown()
            thread.join()
