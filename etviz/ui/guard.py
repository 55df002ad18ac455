"""What the server lets in, and what it tells browsers: hosts, paths, sizes and headers, each by a small ASGI app."""

import asyncio
import contextlib
import ipaddress
import logging
import re
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from etviz.ui.limits import Limits

LOG = logging.getLogger("etviz")

# All that the page, gradio_client and MCP ask for. Gradio has more routes, which serve files, take uploads and fetch
# addresses from elsewhere: nothing here needs them.
PATHS = re.compile(
    r"/"
    r"|/(config|login|logout|theme\.css|favicon\.ico|manifest\.json|robots\.txt|health)/?"
    r"|/(assets|static|svelte)/.+"
    r"|/gradio_api/(info|openapi\.json|component_server|cancel|reset|login_check|user|token|app_id|startup-events)/?"
    r"|/gradio_api/theme\.css"
    r"|/gradio_api/queue/(join|data|status)"
    r"|/gradio_api/(call|heartbeat|mcp)(/.*)?"
)
FORMS = ("/login", "/login/")  # where a form is sent; everything else is JSON
FORM_BYTES = 10_000
DRAIN = (
    16  # times the limit: so much of a body that is too large is read and dropped, so that its sender gets an answer
)

# The page's modules are blobs, Gradio's start script is inline, and its HTML component makes functions from text.
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' blob:",
    "font-src": "'self' data:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}


class OwnHosts(TrustedHostMiddleware):
    """Refuse requests for other hosts, as they come from a page whose name was rebound to this machine's address.

    A bare address is let in: no name was rebound then. Headers that would change the host are dropped, unless a proxy
    in front forwards one of the app's own names.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 400."""
        if scope["type"] == "http":
            scope = dict(scope, headers=[pair for pair in scope["headers"] if self._is_honest(*pair)])
            if is_address(name_of(Headers(scope=scope).get("host", ""))):
                return await self.app(scope, receive, send)
        await super().__call__(scope, receive, send)

    def _is_honest(self, header: bytes, value: bytes) -> bool:
        if header == b"x-gradio-server":
            return False
        return header != b"x-forwarded-host" or self._is_own(name_of(value.decode("latin-1").split(",")[0].strip()))

    def _is_own(self, name: str) -> bool:
        return is_address(name) or any(fits(name, pattern) for pattern in self.allowed_hosts)


def own_hosts() -> list[str]:
    """The names by which this machine is reached from itself and on its own network."""
    name = socket.gethostname().lower()
    return ["localhost", "*.localhost", name, f"{name}.local"]


def name_of(host: str) -> str:
    """A host without its port; empty where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Whether a host is an IP address."""
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return False


def fits(name: str, pattern: str) -> bool:
    """Whether a host is the one named, or in the domain of "*.DOMAIN"."""
    return name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))


class KnownPaths:
    """Answer 404 to every path but those in `PATHS`. A proxy's path in front of them is taken away first.

    Args:
        root: such as "/etviz"; empty where the app has a host of its own.
    """

    def __init__(self, app: ASGIApp, root: str = ""):
        self.app, self.root = app, root.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 404."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = self._inside(scope["path"])
        if not PATHS.fullmatch(path) or "\0" in path or ".." in path.split("/"):
            return await say("There is nothing at this address.", 404)(scope, receive, send)
        await self.app(dict(scope, path=path, raw_path=path.encode()), receive, send)

    def _inside(self, path: str) -> str:
        return path[len(self.root) :] or "/" if self.root and f"{path}/".startswith(f"{self.root}/") else path


class BodyLimit:
    """Read each request's body before anything is done with it, and refuse what is too much: 413, 408 or 503.

    Args:
        limits: of one body, of all that are being read, and of the time that one may take.
    """

    def __init__(self, app: ASGIApp, limits: Limits):
        self.app, self.limits = app, limits
        self.held = 0  # bytes of all bodies in memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body, or refuse it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        is_form = Headers(scope=scope).get("content-type", "").lower().startswith("multipart/")
        if is_form and scope["path"] not in FORMS:
            return await say("No files are taken here: a picture is sent inside a question.", 415)(scope, receive, send)
        most = FORM_BYTES if scope["path"] in FORMS else self.limits.body_bytes
        body = bytearray()
        try:
            refusal = await self._read(body, most, receive) or self._refuse_values(body)
            if refusal is None:
                await self.app(scope, once(bytes(body), receive), send)
            else:
                await refusal(scope, receive, send)
        except ConnectionError:  # the sender went away in the middle: nobody is there to answer
            return
        finally:
            self.held -= len(body)

    async def _read(self, body: bytearray, most: int, receive: Receive) -> PlainTextResponse | None:
        """Fill ``body``; the refusal where it is too much. Raises `ConnectionError` where the sender goes away."""
        try:
            return await asyncio.wait_for(self._fill(body, most, receive), self.limits.body_seconds)
        except asyncio.TimeoutError:
            return say("The request took too long to arrive.", 408)

    async def _fill(self, body: bytearray, most: int, receive: Receive) -> PlainTextResponse | None:
        refusal, seen, more = None, 0, True
        while more and seen <= DRAIN * most:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            chunk, more = message.get("body", b""), message.get("more_body", False)
            seen += len(chunk)
            if refusal is None:
                refusal = self._refuse(seen, len(chunk), most)
            if refusal is None:
                body += chunk
                self.held += len(chunk)
        return refusal

    def _refuse(self, seen: int, more: int, most: int) -> PlainTextResponse | None:
        if seen > most:
            return say(f"This is too large: {most:,} bytes are the most.", 413)
        if self.held + more > self.limits.bodies_bytes:
            return say("Too much is being sent at once: try again in a moment.", 503)
        return None

    def _refuse_values(self, body: bytearray) -> PlainTextResponse | None:
        most = self.limits.body_values
        if sum(body.count(sign) for sign in b",[{") > most:
            return say(f"This holds too many values: {most:,} are the most.", 413)
        return None


def once(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the whole body, and then what still comes: that the client has gone."""
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return whole.pop() if whole else await receive()

    return next_message


class SafeHeaders:
    """Tell browsers what the page may do, on every answer.

    Args:
        embed_in: origins that may show the page in an iframe, such as "https://lectures.example.org".
    """

    def __init__(self, app: ASGIApp, embed_in: Sequence[str] = ()):
        policy = {**POLICY, "frame-ancestors": " ".join(["'self'", *embed_in])}
        self.app = app
        self.headers = {
            "content-security-policy": "; ".join(f"{name} {sources}" for name, sources in policy.items()),
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "permissions-policy": "camera=(self), microphone=(), geolocation=()",
            "cross-origin-opener-policy": "same-origin",
            **({} if embed_in else {"x-frame-options": "SAMEORIGIN"}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to its answer."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, add)


class AnswerAlways:
    """Answer 400 where a route of Gradio's fails: it was asked for what it did not foresee. The log has one line."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and answer it where that fails."""
        started = ended = False

        async def watch(message: Message) -> None:
            nonlocal started, ended
            started, ended = True, message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            LOG.warning("No answer to %.80r: %s", scope.get("path"), type(error).__name__)
            if not started:
                await say("The app did not understand this request.", 400)(scope, receive, send)
            elif not ended:
                await send({"type": "http.response.body", "body": b"", "more_body": False})


def say(sentence: str, status: int) -> PlainTextResponse:
    """A sentence as an answer."""
    return PlainTextResponse(f"{sentence}\n", status)
