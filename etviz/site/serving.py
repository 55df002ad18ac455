"""Tries a site at once: a small server that only this machine reaches."""

import functools
import http.server
from pathlib import Path

from etviz.errors import UsageError

HOST = "127.0.0.1"
PORTS = range(8000, 8100)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of one folder, by the media types that browsers insist on, whatever this machine's registry says."""

    extensions_map = {  # noqa: RUF012 - as http.server has it
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".css": "text/css",
        ".js": "text/javascript",
        ".json": "application/json",
        ".webp": "image/webp",
    }

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: each visit would print ten lines."""


def open_server(folder: Path, port: int | None = None) -> http.server.ThreadingHTTPServer:
    """A server of a folder on a port of this machine, or on the first free one.

    Raises:
        UsageError: the port is taken, or all are.
    """
    handler = functools.partial(Handler, directory=str(folder))
    for number in [port] if port else PORTS:
        try:
            return http.server.ThreadingHTTPServer((HOST, number), handler)
        except OSError:
            continue
    taken = f"Port {port}" if port else f"Every port from {PORTS[0]} to {PORTS[-1]}"
    raise UsageError(f"{taken} is taken or not permitted: choose another with port=.")


def serve(folder: Path, port: int | None = None) -> None:
    """Serve a folder until Ctrl-C. Errors as `open_server`."""
    with open_server(folder, port) as server:
        server.daemon_threads = True
        print(f"etviz is at http://{HOST}:{server.server_port}/ (Ctrl-C stops it)", flush=True)
        server.serve_forever()
