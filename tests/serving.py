"""Questions to a served app as programs, and attackers, send them: over HTTP, and over a bare socket."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx

ADDRESSES = (
    "http://127.0.0.1:1/", "https://localhost/", "file:///etc/passwd", "//evil.example/x", "ftp://evil.example",
)  # fmt: skip
JUNK = (
    None, True, False, 0, -1, 1.5, 10**9, -(10**400), 10**400, 1e308, "", "x", "\0", "é" * 40, "z" * 5000, [], [[]], {},
    {"path": "/etc/passwd"}, {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, {"__type__": "update"},
    ["a"] * 300, [[[[[[[[1]]]]]]]], "../../etc/passwd", "%00", "' OR 1=1 --", "{{7*7}}", "AAAA", "ff00ff00ff00ff07",
    "NaN", "-Infinity", *ADDRESSES,
)  # fmt: skip
KINDS = ("trace", "export", "gallery", "quality", "attention", "memories", "compare", "runs", "training", "epochs")


class Caller:
    """Asks one app. Give it its address; `ask` is what the page does, `call` what gradio_client does."""

    def __init__(self, address: str, session: str = "tests"):
        self.address = address
        self.client = httpx.Client(base_url=address, timeout=120, trust_env=False)
        self.session = session
        self.component = self.find_component()

    def find_component(self) -> int:
        components = self.client.get("/config").json()["components"]
        return next(part["id"] for part in components if part["type"] == "html")

    def post(self, question: object, name: str = "ask", component: object = None) -> httpx.Response:
        """A question to the page's component."""
        component = self.component if component is None else component
        body = {"data": question, "component_id": component, "session_hash": self.session, "fn_name": name}
        return self.client.post("/gradio_api/component_server", json=body)

    def ask(self, question: dict, name: str = "ask") -> dict:
        answer = self.post(question, name)
        assert answer.status_code == 200, answer.text[:500]
        return answer.json()

    def call(self, endpoint: str, data: object) -> tuple[str, object]:
        """One call of an endpoint: ("complete", results), ("error", what was said) or ("refused", what was said)."""
        begun = self.client.post(f"/gradio_api/call{endpoint}", json={"data": data})
        if begun.status_code != 200:
            assert begun.status_code < 500, begun.text[:500]
            return "refused", begun.text
        lines = self.client.get(f"/gradio_api/call{endpoint}/{begun.json()['event_id']}").text.splitlines()
        events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        said = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        return events[-1], said[-1]


def connect(address: str) -> socket.socket:
    """A bare connection to an app."""
    place = urlsplit(address)
    return socket.create_connection((place.hostname, place.port), timeout=120)


def read_all(wire: socket.socket) -> tuple[int, bytes]:
    """Status and body of the answer on a connection that the server closes afterwards."""
    head, _, body = b"".join(iter(lambda: wire.recv(65536), b"")).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def get(address: str, target: str, host: str = "localhost") -> tuple[int, bytes]:
    """Status and body of GET, with the target as it stands: clients would straighten it."""
    lines = f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close", "", ""
    with connect(address) as wire:
        wire.sendall("\r\n".join(lines).encode("latin-1"))
        return read_all(wire)


def fuzz_endpoints(caller: Caller, count: int, seed: int = 0) -> dict[str, int]:
    """Call the endpoints ``count`` times by the API's own description, mostly wrongly. How often each thing came back.

    AssertionError where an answer is no result and no sentence either.
    """
    rng = random.Random(seed)
    endpoints = caller.client.get("/gradio_api/info").json()["named_endpoints"]
    seen: dict[str, int] = {}
    for _ in range(count):
        name = rng.choice(list(endpoints))
        data = [_value(rng, parameter) for parameter in endpoints[name]["parameters"]]
        if rng.random() < 0.1:
            data = rng.choice([data[:-1], [*data, 1], [], data * 3])
        kind, said = caller.call(name, data if rng.random() < 0.95 else rng.choice(JUNK))
        seen[kind] = seen.get(kind, 0) + 1
        if kind == "error":
            assert said["error"], (name, data)
            assert not any(word in said["error"] for word in ("Traceback", "0x", "site-packages", "/tmp")), (
                name,
                data,
                said,
            )
    return seen


def _value(rng: random.Random, parameter: dict) -> object:
    if rng.random() < 0.3:
        return rng.choice(JUNK)
    if parameter["parameter_name"] == "mask":
        return f"{rng.getrandbits(64):016x}"
    return parameter.get("parameter_default")


def fuzz_questions(caller: Caller, good: dict, count: int, seed: int = 0) -> dict[str, int]:
    """Ask the page's component ``count`` questions that are wrong in a place or two. How often each thing came back.

    AssertionError where an answer has a status of 500 or more.
    """
    rng = random.Random(seed)
    seen: dict[str, int] = {}
    for _ in range(count):
        question = rng.choice(JUNK) if rng.random() < 0.1 else _spoilt(rng, good)
        name = rng.choice(["ask"] * 9 + ["read_file", "__init__", "ask\0", "postprocess"])
        answer = caller.post(question, name, rng.choice(JUNK) if rng.random() < 0.05 else None)
        assert answer.status_code < 500, (question, name, answer.text[:300])
        kind = "answer" if answer.status_code == 200 and "error" not in answer.json() else "sentence"
        seen[kind] = seen.get(kind, 0) + 1
    return seen


def _spoilt(rng: random.Random, good: dict) -> dict:
    """A question with a value or two that do not belong there."""
    question = json.loads(json.dumps(good)) | {"kind": rng.choice(KINDS)}
    for _ in range(rng.choice([1, 1, 2])):
        part = rng.choice([part for part in (question, *question.values()) if isinstance(part, dict)])
        part[rng.choice([*part, "extra"])] = rng.choice(JUNK)
    return question


def resident(process: int) -> float:
    """MiB of memory that a process holds. Linux only."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 / 2**20


class Crowd:
    """People who ask at once, each on a thread, until the time is up or they have asked often enough.

    Args:
        act: what the person of that number does the n-th time: act(person, n). What it raises ends the crowd.
    """

    def __init__(self, people: int, act: Callable[[int, int], None]):
        self.act, self.counts, self.failures = act, [0] * people, []
        self.over = threading.Event()

    def run(self, seconds: float = 0, times: int = 0, watch: Callable[[], None] = lambda: None) -> int:
        """How often all of them asked; ``watch`` is called twice a second."""
        threads = [threading.Thread(target=self._live, args=(i, times)) for i in range(len(self.counts))]
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        while any(thread.is_alive() for thread in threads):
            watch()
            if time.monotonic() >= end and not times:
                self.over.set()
            time.sleep(0.5)
        if self.failures:
            raise self.failures[0]
        return sum(self.counts)

    def _live(self, person: int, times: int) -> None:
        try:
            while not self.over.is_set() and not (times and self.counts[person] >= times):
                self.act(person, self.counts[person])
                self.counts[person] += 1
        except BaseException as error:
            self.failures.append(error)
            self.over.set()


def traversals(secret: Path) -> Iterator[str]:
    """Targets that lead to a file outside of what is served, if anything does."""
    for target in (str(secret), "/etc/passwd"):
        up = "../" * 12 + target.lstrip("/")
        forms = (
            target, up, up.replace("../", "..%2f"), up.replace("../", "%2e%2e/"), up.replace("../", "..%252f"),
            up.replace("../", "..\\"), up.replace("../", "....//"), target + "%00.js",
        )  # fmt: skip
        for prefix in ("/", "/assets/", "/static/", "/svelte/"):
            yield from (prefix + form.lstrip("/") for form in forms)
        for prefix in ("file=", "file/", "proxy=file://", "file=file://", "call/../file="):
            yield from (f"/gradio_api/{prefix}{form}" for form in forms[:4])
        yield f"/?deep_link={up}"
        yield f"/config?deep_link={up}"
        yield f"/gradio_api/custom_component/{up}/client/component/index.js"
        yield f"/gradio_api/stream/a/b/0/{up}.ts"
        yield f"/health/..{target}"
