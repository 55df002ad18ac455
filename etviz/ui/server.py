"""Serve the page: one socket, uvicorn, the guards in front of Gradio, and an end that lets answers finish."""

import contextlib
import logging
import secrets
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio.networking import setup_tunnel
from gradio.themes import Base
from starlette.middleware import Middleware

from etviz.errors import UsageError
from etviz.ui.app import build
from etviz.ui.guard import AnswerAlways, BodyLimit, KnownPaths, OwnHosts, SafeHeaders, is_address, own_hosts
from etviz.ui.readings.quality import warm_up
from etviz.ui.service import Service
from etviz.version import __version__

PORTS = range(7860, 7960)
SYSTEM_FONTS = ["system-ui", "sans-serif"]  # by name, since Gradio's default would be fetched from elsewhere
SYSTEM_MONO = ["ui-monospace", "monospace"]
PAGE, PAGE_DARK = "#faf9f6", "#141518"  # --page in page.css


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How the page is served."""

    host: str = "127.0.0.1"
    port: int | None = None  # the first free one of `PORTS` where None
    root_path: str = ""  # where a proxy shows the app: "/etviz", or "https://example.org/etviz"
    allow_hosts: Sequence[str] = ()  # names by which the app is reached besides this machine's own
    embed_in: Sequence[str] = ()  # origins that may show the page in an iframe
    auth: Sequence[tuple[str, str]] = ()  # names and passwords; everybody may come in where there are none
    share: bool = False  # also by a public gradio.live link
    mcp: bool = False  # the endpoints as MCP tools too

    @property
    def path(self) -> str:
        """Where a proxy shows the app on its host: "/etviz", or "" where it shows nothing else."""
        return urlsplit(self.root_path).path.rstrip("/")

    def hosts(self) -> list[str]:
        """All names by which the app may be reached, besides bare addresses."""
        public = urlsplit(self.root_path).hostname
        return [*own_hosts(), *self.allow_hosts, *([public] if public else []), *(["*.gradio.live"] * self.share)]


def serve(service: Service, serving: Serving) -> None:
    """Serve the page until Ctrl-C, SIGTERM or SIGHUP; questions that are being answered then still get their answers.

    Raises:
        UsageError: no port is free.
    """
    with bind(serving) as listener:
        blocks = build(service)
        server = Server(make_app(blocks, service, serving), service.limits.connections, service.limits.closing_seconds)
        host, port = listener.getsockname()[:2]
        local = f"http://{_in_url('localhost' if host in ('0.0.0.0', '::') else host)}:{port}/"
        if blocks.mcp_server_obj:
            blocks.mcp_server_obj._local_url = local
        url = open_tunnel(host, port) if serving.share else local
        server.on_start = lambda: announce(url, serving.mcp)
        take_signals(server)
        server.run([listener])


def make_app(blocks: gr.Blocks, service: Service, serving: Serving) -> FastAPI:
    """The page behind its guards, and /health. Requests go through the guards from the last one added to the first."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    def health() -> dict:
        return {"status": "ok", "version": __version__, "model": service.first}

    theme = Base(font=SYSTEM_FONTS, font_mono=SYSTEM_MONO).set(
        body_background_fill=PAGE, body_background_fill_dark=PAGE_DARK
    )
    gr.mount_gradio_app(
        app,
        blocks,
        "/",
        theme=theme,
        auth=list(serving.auth) or None,
        root_path=serving.root_path or None,
        mcp_server=serving.mcp,
        show_error=False,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        app_kwargs={"middleware": [Middleware(AnswerAlways)], "openapi_url": None},
    )
    app.add_middleware(BodyLimit, limits=service.limits)
    app.add_middleware(KnownPaths, root=serving.path)
    app.add_middleware(OwnHosts, allowed_hosts=serving.hosts(), www_redirect=False)
    app.add_middleware(SafeHeaders, embed_in=serving.embed_in)
    return app


class Server(uvicorn.Server):
    """uvicorn, which says when it has started, and ends Gradio's endless streams before it waits for answers."""

    def __init__(self, app: FastAPI, connections: int, closing_seconds: int):
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            ws="none",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=connections,
            timeout_graceful_shutdown=closing_seconds,
        )
        super().__init__(config)
        self.app = app

    def on_start(self) -> None:
        """Called once, when requests are answered."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn has it."""
        await super().startup(sockets)
        if self.started:
            threading.Thread(target=warm_up, daemon=True).start()
            self.on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn has it."""
        for route in self.app.routes:
            stop = getattr(getattr(route, "app", None), "stop_event", None)
            if stop is not None:  # Gradio's: each open page holds a stream that ends with it
                stop.set()
        await super().shutdown(sockets)


def bind(serving: Serving) -> socket.socket:
    """A listening socket on the port asked for, or on the first free one. Raises `UsageError` where none is."""
    family = socket.getaddrinfo(serving.host, None, type=socket.SOCK_STREAM)[0][0]
    for port in [serving.port] if serving.port else PORTS:
        with contextlib.suppress(OSError):
            return socket.create_server((serving.host, port), family=family, backlog=256)
    ports = f"Port {serving.port}" if serving.port else f"Every port from {PORTS[0]} to {PORTS[-1]}"
    raise UsageError(f"{ports} on {serving.host} is taken or not permitted: choose another with --port.")


def open_tunnel(host: str, port: int) -> str:
    """A public address by Gradio's service. Raises `UsageError` where there is none to be had."""
    try:
        return setup_tunnel(host, port, secrets.token_urlsafe(32), None, None)
    except Exception as error:  # Gradio raises many kinds: no network, no program, a wrong checksum
        logging.getLogger("etviz").debug("no tunnel", exc_info=True)
        raise UsageError("--share found no way to gradio.live: look at the network, or start without it.") from error


def announce(url: str, mcp: bool) -> None:
    """Say where the page is."""
    print(f"etviz is at {url} (Ctrl-C stops it)", flush=True)
    if mcp:
        print(f"MCP clients connect to {url.rstrip('/')}/gradio_api/mcp/", flush=True)


def take_signals(server: Server) -> None:
    """From now on, signals end the server in good order, also as process 1 of a container.

    uvicorn takes Ctrl-C and SIGTERM itself, and sends them once more when it has ended: nothing is left to do then.
    """
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda number, frame: None)
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # nohup ignores it
        signal.signal(hangup, server.handle_exit)


def is_private(host: str) -> bool:
    """Whether only this machine reaches a host: "localhost", or an address such as 127.0.0.1."""
    address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0]
    return str(address).startswith("127.") or address == "::1"


def read_accounts(path: str) -> list[tuple[str, str]]:
    """The names and passwords in a file, one "name:password" a line; a line that begins with # is left out.

    Raises:
        UsageError: the file cannot be read, or a line is not of that form.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"--auth cannot read {path!r}: it must be a text file, one name:password a line.") from error
    accounts = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.strip().partition(":")
        if not (name and colon and password):
            raise UsageError(f"Line {number} of {path!r} is not name:password.")
        accounts.append((name, password))
    if not accounts:
        raise UsageError(f"{path!r} names nobody: write one name:password a line.")
    return accounts


def _in_url(host: str) -> str:
    return f"[{host}]" if is_address(host) and ":" in host else host
