"""The served app against what people and networks send: sizes, hosts, paths, nonsense, signals and crowds.

The long trials are marked soak: `make soak` runs them. docs/reliability.md holds what they last measured.
"""

import asyncio
import base64
import contextlib
import http.server
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from starlette.testclient import TestClient

import etviz
from etviz.checkpoints import save_checkpoint, save_snapshot
from etviz.examples import carried_pictures
from etviz.version import __version__

pytest.importorskip("gradio", reason="the app's extra is not installed")

import app as door
from etviz.errors import UsageError
from etviz.files import private_folder
from etviz.ui.app import build
from etviz.ui.limits import LIMITS, Limits
from etviz.ui.payload import payload
from etviz.ui.server import Serving, bind, is_private, make_app, read_accounts
from etviz.ui.service import Service
from tests.browser.app import APP, running
from tests.conftest import TINY
from tests.serving import Caller, Crowd, connect, fuzz_endpoints, fuzz_questions, get, read_all, resident, traversals

MASK = "ffffff0f0ffffffe"
SECRET = "nobody-may-read-this"
SOAK_SECONDS = float(os.environ.get("ETVIZ_SOAK_SECONDS", "600"))
SOAK_PAINTERS = int(os.environ.get("ETVIZ_SOAK_PAINTERS", "32"))
GOOD = {
    "seq": 1,
    "kind": "trace",
    "model": "tiny",
    "picture": {"dataset": "scikit-image", "index": 2},
    "mask": MASK,
    "settings": {"steps": 3, "step_size": 0.1, "beta": 0.2, "rule": "fixed"},
}
DAMAGE = {
    "config.yaml": [
        "model: !!timestamp z",
        "model: 2020-13-45",
        "x: !!int z",
        "[" * 494,
        "model: {name: et}",
        "",
        "\0",
    ],
    "card.json": ['{"metrics": {"test": 1}}', '{"metrics": [1]}', "[", "[" * 9000, '{"epochs": {}}', "7", "\xff", ""],
    "history.csv": ["a\n1", "step\n1", f"step\n{'9' * 131_073}", "step,epoch,masked_mse,masked_psnr\nx,y,z", "\0"],
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return etviz.create_model("et", **TINY).eval()


def damage_runs(model, folder):
    """Runs with every kind of damage, beside a sound one and a snapshot."""
    save_checkpoint(model, folder / "sound", {"epochs": 1.0})
    save_snapshot(model, folder / "sound", 1, 0.1, 64)
    damaged = [(file, text) for file, texts in DAMAGE.items() for text in texts]
    for number, (file, text) in enumerate(damaged):
        shutil.copytree(folder / "sound", folder / f"bad-{number:02d}")
        (folder / f"bad-{number:02d}" / file).write_text(text, encoding="latin-1")
    return len(damaged)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """A checkpoint, runs of all kinds, a secret, and a folder for temporary files in which Gradio's is not ours."""
    folder = tmp_path_factory.mktemp("served")
    save_checkpoint(model, folder / "checkpoints" / "tiny", {})
    damage_runs(model, folder / "outputs")
    (folder / "secret.txt").write_text(SECRET)
    (folder / "tmp").mkdir()
    (folder / "tmp" / "gradio").write_text("somebody else's")
    return folder


def environment(folder):
    """As on a machine behind a proxy, whose shared temporary folder is somebody else's."""
    proxy = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    places = {"ETVIZ_CHECKPOINTS": str(folder / "checkpoints"), "ETVIZ_RUNS": str(folder / "outputs")}
    return {**proxy, **places, "TMPDIR": str(folder / "tmp"), "NO_PROXY": "", "no_proxy": ""}


def options(folder):
    return "--checkpoint", "tiny", "--data-root", str(folder)


@pytest.fixture(scope="module")
def served(folder):
    """The app as a user starts it: its address and its process."""
    with running(*options(folder), **environment(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def caller(served):
    return Caller(served[0])


@pytest.fixture(scope="module")
def service(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETVIZ_CHECKPOINTS", str(folder / "checkpoints"))
        patch.setenv("ETVIZ_RUNS", str(folder / "outputs"))
        yield Service("tiny", root=str(folder))


def client(service, **serving):
    """The app in this process."""
    return TestClient(make_app(build(service), service, Serving(**serving)), base_url="http://localhost")


@pytest.fixture(scope="module")
def inside(service):
    with client(service, allow_hosts=["etviz.example.org"]) as client_:
        yield client_


def left_in(folder):
    """Files in the app's temporary folders."""
    return [path for place in (folder / "tmp").glob("etviz-*") for path in place.rglob("*") if path.is_file()]


def expected(model, index, mask):
    """The masked errors and energies that a painter must get."""
    image = carried_pictures(32).images[index].float() / 255
    answer = payload(model.trace(image[None], etviz.mask_from_hex(mask)), image, etviz.mask_from_hex(mask))
    return {name: answer[name] for name in ("mask", "frames", "energy", "gradient_norm")}


# ---- how it starts -----------------------------------------------------------------------------------------------


def test_it_starts_behind_a_proxy_and_beside_somebody_elses_temporary_folder(caller, model, folder):
    answer = caller.ask(GOOD | {"settings": {}})
    assert answer["energy"] == pytest.approx(expected(model, 2, MASK)["energy"], rel=1e-6)
    kind, said = caller.call("/reconstruct", [MASK, "", "", 2, ""])
    assert (kind, set(said[0])) == ("complete", {"image", "prediction", "masked_mse", "masked_psnr"})
    assert (folder / "tmp" / "gradio").read_text() == "somebody else's"


def test_health_names_version_and_model(caller):
    assert caller.client.get("/health").json() == {"status": "ok", "version": __version__, "model": "tiny"}


@pytest.mark.parametrize("variable", ["GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_ROOT_PATH"])
def test_gradios_variables_are_heard_and_options_go_first(monkeypatch, variable):
    option, set_to, other = {
        "GRADIO_SERVER_NAME": ("host", "0.0.0.0", "127.0.0.1"),
        "GRADIO_SERVER_PORT": ("port", "7999", "7998"),
        "GRADIO_ROOT_PATH": ("root_path", "/etviz", "/other"),
    }[variable]
    monkeypatch.setenv(variable, set_to)
    assert str(getattr(door.parse([]), option)) == set_to
    assert str(getattr(door.parse([f"--{option.replace('_', '-')}", other]), option)) == other
    monkeypatch.setenv(variable, "")
    assert getattr(door.parse([]), option) in ("127.0.0.1", None, "")


@pytest.mark.parametrize(
    "words",
    [
        ["--root-path", "etviz"],
        ["--root-path", "/a b"],
        ["--root-path", "javascript:alert(1)"],
        ["--allow-host", "a b"],
        ["--allow-host", "*"],
        ["--allow-host", "http://example.org"],
        ["--embed-in", "example.org"],
        ["--embed-in", "https://example.org; script-src *"],
        ["--embed-in", "*"],
    ],
)
def test_an_option_that_cannot_be_is_refused(words, capsys):
    with pytest.raises(SystemExit) as left:
        door.parse(words)
    assert left.value.code == 2
    assert f"argument {words[0]}" in capsys.readouterr().err.splitlines()[-1]


def test_no_folder_for_temporary_files_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="set TMPDIR"), private_folder():
        pass


def test_the_folder_for_temporary_files_is_private_and_goes(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with private_folder() as name:
        assert Path(name).stat().st_mode & 0o077 == 0
    assert not list(tmp_path.iterdir())


def test_the_first_free_port_is_taken(monkeypatch):
    with bind(Serving(port=None)) as first:
        port = first.getsockname()[1]
        monkeypatch.setattr("etviz.ui.server.PORTS", range(port, port + 50))
        with bind(Serving(port=None)) as second:
            assert second.getsockname()[1] > port
        with pytest.raises(UsageError, match=f"Port {port} on 127.0.0.1 is taken"):
            bind(Serving(port=port))


@pytest.mark.parametrize(("host", "private"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_who_can_reach_a_host(host, private):
    assert is_private(host) == private


# ---- whom it answers ---------------------------------------------------------------------------------------------

OWN = ["127.0.0.1", "localhost", "LOCALHOST:7860", "[::1]:7860", "192.168.0.7:80", "a.localhost", "etviz.example.org"]
FOREIGN = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:7860", "x@localhost.evil"]


@pytest.mark.parametrize("host", [*OWN, socket.gethostname()])
def test_its_own_hosts_are_answered(inside, host):
    assert inside.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", [*FOREIGN, "", "[::1", "a b", "etviz.example.org.evil.example", "."])
def test_other_hosts_are_refused(inside, host):
    answer = inside.get("/", headers={"host": host})
    assert answer.status_code == 400
    assert "evil" not in answer.text


@pytest.mark.parametrize("header", ["x-forwarded-host", "x-gradio-server"])
@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_in_another_header_is_not_reflected(inside, header, host):
    value = f"http://{host}" if header == "x-gradio-server" else host
    answer = inside.get("/config", headers={header: value})
    assert answer.json()["root"] == "http://localhost"


def test_a_proxy_may_forward_one_of_the_apps_names(inside):
    headers = {"x-forwarded-host": "etviz.example.org", "x-forwarded-proto": "https"}
    assert inside.get("/config", headers=headers).json()["root"] == "https://etviz.example.org"


@pytest.mark.parametrize("root", ["/etviz", "https://example.org/etviz", "/a/b/"])
def test_a_proxy_may_show_it_under_a_path_taken_away_or_not(service, root):
    with client(service, root_path=root.rstrip("/")) as proxied:
        path = Serving(root_path=root).path
        pages = [proxied.get("/"), proxied.get(f"{path}/"), proxied.get(path)]
        assert [page.status_code for page in pages] == [200] * 3
        shown = "https://example.org/etviz" if "example" in root else f"http://localhost{path}"
        assert proxied.get(f"{path}/config").json()["root"] == shown
        assert proxied.get(f"{path}x/config").status_code == 404


def test_headers_tell_browsers_what_the_page_may_do(inside):
    answers = [inside.get("/"), inside.get("/none"), inside.get("/", headers={"host": "evil.example"})]
    answers.append(inside.post("/gradio_api/upload", files={"files": b"x"}))
    for answer in answers:
        headers = answer.headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'self'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "server" not in headers


def test_a_site_may_frame_the_page_on_request(service):
    with client(service, embed_in=["https://lectures.example.org"]) as framed:
        headers = framed.get("/").headers
    assert headers["content-security-policy"].endswith("frame-ancestors 'self' https://lectures.example.org")
    assert "x-frame-options" not in headers


def test_with_accounts_nobody_is_answered_without_a_password(service):
    question = {"data": GOOD, "component_id": 1, "session_hash": "a", "fn_name": "ask"}
    with client(service, auth=[("ann", "pass word:1")]) as guarded:
        closed = [
            guarded.post("/gradio_api/component_server", json=question),
            guarded.post("/gradio_api/call/trace", json={"data": [MASK]}),
            guarded.post("/gradio_api/queue/join", json={"data": [MASK], "fn_index": 0, "session_hash": "a"}),
            guarded.get("/gradio_api/info"),
            guarded.get("/config"),
        ]
        assert [answer.status_code for answer in closed] == [401] * 5
        assert MASK not in guarded.get("/").text
        assert guarded.get("/health").status_code == 200
        for password in ("", "x", "pass word"):
            assert guarded.post("/login", data={"username": "ann", "password": password}).status_code in (400, 422)
        assert guarded.post("/login", data={"username": "ann", "password": "pass word:1"}).status_code == 200
        component = next(part["id"] for part in guarded.get("/config").json()["components"] if part["type"] == "html")
        answer = guarded.post("/gradio_api/component_server", json=question | {"component_id": component})
        assert len(answer.json()["energy"]) == 4


def test_accounts_are_read_from_a_file(tmp_path):
    (tmp_path / "who").write_text("# for the course\nann:pass word:1\n\nbéa:ü\n", encoding="utf-8")
    assert read_accounts(str(tmp_path / "who")) == [("ann", "pass word:1"), ("béa", "ü")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ann\n", "Line 1"),
        (b"a:b\n:c\n", "Line 2"),
        (b"a:\n", "Line 1"),
        (b"# nobody\n", "names nobody"),
        (b"\xff\xfe", "cannot read"),
        (None, "cannot read"),
    ],
)
def test_a_file_of_accounts_that_is_none_is_a_sentence(tmp_path, content, words):
    if content is not None:
        (tmp_path / "who").write_bytes(content)
    with pytest.raises(UsageError, match=words):
        read_accounts(str(tmp_path / "who"))


# ---- what it takes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/gradio_api/component_server", "/gradio_api/queue/join", "/gradio_api/call/trace"])
@pytest.mark.parametrize("size", [LIMITS.body_bytes + 1, 16 * 2**20])
def test_a_body_that_is_too_large_is_413(caller, path, size):
    body = b'{"data": "' + b"z" * size
    answer = caller.client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.text == f"This is too large: {LIMITS.body_bytes:,} bytes are the most.\n"


@pytest.mark.parametrize("item", [b"[1],", b"0,", b"[", b'{"a":', b'"a":{},'])
@pytest.mark.parametrize("path", ["/gradio_api/component_server", "/gradio_api/queue/join", "/gradio_api/call/trace"])
def test_a_body_of_many_small_values_is_413(caller, path, item):
    body = b'{"data": [' + item * (3_000_000 // len(item))
    answer = caller.client.post(path, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.text) == (413, "This holds too many values: 10,000 are the most.\n")


def test_a_body_without_a_length_is_measured_too(caller):
    parts = (b" " * 2**20 for _ in range(5))
    assert caller.client.post("/gradio_api/component_server", content=parts).status_code == 413


def test_the_largest_body_that_is_taken_is_answered(caller):
    question = GOOD | {"extra": "z" * (LIMITS.body_bytes - 2000)}
    assert len(caller.ask(question)["energy"]) == 4


def test_the_largest_picture_arrives(caller):
    picture = b"\x89PNG" + bytes(LIMITS.file_bytes - 4)
    for extra, words in ((b"", "no PNG, JPEG or WebP"), (bytes(3), "larger than 2 MB")):
        data = base64.b64encode(picture + extra).decode()
        assert words in caller.ask({"data": data, "model": "tiny"}, "read_file")["error"]


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/component_server", "/gradio_api/queue/join"])
def test_no_files_are_taken(caller, path):
    answer = caller.client.post(path, files=[("files", (f"{i}.txt", b"x")) for i in range(1000)])
    assert answer.status_code in (404, 415)


def test_all_bodies_together_take_no_more_memory_than_they_may(service, monkeypatch):
    with client(service) as usual:
        assert usual.post("/gradio_api/call/trace", content=b" " * 2**20).status_code in (400, 422)
    monkeypatch.setattr(service, "limits", Limits(bodies_bytes=2**19))
    with client(service) as full:
        assert full.post("/gradio_api/call/trace", content=b" " * 2**20).status_code == 503
        assert full.post("/gradio_api/call/trace", json={"data": [MASK]}).status_code == 200


def test_a_body_that_trickles_is_given_up(service, monkeypatch):
    monkeypatch.setattr(service, "limits", Limits(body_seconds=0.05))
    guarded, sent = make_app(build(service), service, Serving()), []

    async def receive():
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/call/trace", "headers": [(b"host", b"localhost")]}
    asyncio.run(guarded(scope, receive, send))
    assert sent[0]["status"] == 408


def test_whoever_leaves_in_the_middle_leaves_nothing(caller, served, folder):
    head = b"POST /gradio_api/component_server HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n"
    for _ in range(20):
        with connect(served[0]) as wire:
            wire.sendall(head + b" " * 10_000)
    assert len(caller.ask(GOOD)["energy"]) == 4
    assert left_in(folder) == []


# ---- what it gives away ------------------------------------------------------------------------------------------


def test_no_path_leads_out(served, folder):
    targets = list(traversals(folder / "secret.txt"))
    assert len(targets) >= 50
    for target in targets:
        status, body = get(served[0], target)
        assert status < 500, target
        assert SECRET.encode() not in body, target
        assert b"root:" not in body, target


def test_no_file_is_copied_for_anybody(caller, folder):
    """Gradio looks for files in what an endpoint is given, and copies those that it finds."""
    path = str(folder / "secret.txt")
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    for value in (file, [file], {"x": [file]}, {**file, "url": f"file://{path}"}, {**file, "is_stream": True}):
        for place in range(5):
            data = [MASK, "", "", 0, ""]
            data[place] = value
            kind, said = caller.call("/reconstruct", data)
            assert (kind, "/gradio_api/info" in said["error"]) == ("error", True)
    assert not list((folder / "tmp").rglob("secret.txt"))


class Listener(http.server.BaseHTTPRequestHandler):
    """Counts who comes."""

    def do_GET(self):
        self.server.visits.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_it_fetches_nothing_for_anybody(served, caller):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as elsewhere:
        elsewhere.visits = []
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{elsewhere.server_port}/x.png"
        for form in ("file=", "file/", "proxy="):
            assert get(served[0], f"/gradio_api/{form}{address}")[0] == 404
        file = {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}}
        for value in (address, file, [file]):
            caller.call("/reconstruct", [MASK, value, "", 0, ""])
            caller.ask(GOOD | {"picture": {"pixels": value}})
            caller.ask({"data": value, "model": "tiny"}, "read_file")
        elsewhere.shutdown()
        assert elsewhere.visits == []


# ---- nonsense ----------------------------------------------------------------------------------------------------


def test_fuzzed_calls_get_a_result_or_a_sentence(caller):
    seen = fuzz_endpoints(caller, 150)
    assert set(seen) <= {"complete", "error", "refused"}
    assert seen["complete"] > 10
    assert seen["error"] > 30


def test_fuzzed_questions_never_break_the_server(caller):
    seen = fuzz_questions(caller, GOOD, 200)
    assert seen["answer"] > 10
    assert seen["sentence"] > 50


@pytest.mark.parametrize(
    "request_",
    [
        ("GET", "/gradio_api/call/trace/none", None),
        ("GET", "/gradio_api/call/none/none", None),
        ("POST", "/gradio_api/call/none", {"data": []}),
        ("POST", "/gradio_api/call/v2/none", {"data": []}),
        ("POST", "/gradio_api/queue/join", {"data": [], "fn_index": 10**9, "session_hash": "a"}),
        ("POST", "/gradio_api/queue/join", {"data": [], "fn_index": None, "session_hash": "a"}),
        ("POST", "/gradio_api/queue/join", {"data": [], "fn_index": 0, "trigger_id": 9, "session_hash": ["a"]}),
        ("POST", "/gradio_api/cancel", {"session_hash": "none", "fn_index": 0, "event_id": "none"}),
        ("POST", "/gradio_api/reset", {"event_id": "none"}),
        (
            "POST",
            "/gradio_api/component_server",
            {"data": 1, "component_id": 99, "session_hash": "a", "fn_name": "ask"},
        ),
        ("POST", "/gradio_api/component_server", {"data": 1, "component_id": {}, "session_hash": [], "fn_name": 1}),
        ("POST", "/gradio_api/component_server", "[" * 100_000),
        ("POST", "/login", {"username": "a"}),
        ("PUT", "/", None),
        ("DELETE", "/config", None),
    ],
)
def test_no_request_is_answered_by_500(inside, request_):
    method, path, body = request_
    content = body if isinstance(body, str) else json.dumps(body)
    assert inside.request(method, path, content=content, headers={"content-type": "application/json"}).status_code < 500


def test_damaged_runs_stand_in_the_list_beside_sound_ones(caller, folder):
    runs = {run["name"]: run for run in caller.ask({"kind": "runs"})["runs"]}
    assert "problem" not in runs["outputs/sound"]
    assert len(runs) == len(list((folder / "outputs").iterdir())) + 1
    for name in runs:
        for kind in ("training", "epochs"):
            answer = caller.ask(GOOD | {"kind": kind, "run": name})
            assert "its log says why" not in str(answer), (name, kind)


def test_a_descent_without_end_is_refused(model, tmp_path, monkeypatch):
    save_checkpoint(model, tmp_path / "outputs" / "endless", {})
    config = tmp_path / "outputs" / "endless" / "config.yaml"
    config.write_text(config.read_text().replace("steps: 4", "steps: 5000"))
    save_checkpoint(model, tmp_path / "tiny", {})
    monkeypatch.setenv("ETVIZ_RUNS", str(tmp_path / "outputs"))
    service = Service(str(tmp_path / "tiny"), root=str(tmp_path))
    for question in ({"kind": "trace", "model": "outputs/endless"}, {"kind": "epochs", "run": "outputs/endless"}):
        answer = service.politely(service.ask, GOOD | {"settings": {}} | question)
        assert "5,000 steps" in answer["error"]


# ---- how it ends -------------------------------------------------------------------------------------------------


def send_question(caller, question):
    """A question on a connection of its own, sent but not yet answered. The server has read it when this returns."""
    body = {"data": question, "component_id": caller.component, "session_hash": "a", "fn_name": "ask"}
    content = json.dumps(body).encode()
    head = f"POST /gradio_api/component_server HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}"
    wire = connect(caller.address)
    wire.sendall(f"{head}\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n".encode() + content)
    for _ in range(3):  # what came later is answered: what came before has been read
        caller.client.get("/health")
    return wire


@pytest.fixture
def heard_signals():
    """No signal is ignored, as a program that nohup starts ignores SIGHUP, and so do the programs that it starts."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGTERM)}
    yield
    for number, action in before.items():
        signal.signal(number, action or signal.SIG_DFL)  # None stands for one that is not Python's


@pytest.mark.parametrize(
    "name", ["SIGTERM", *(pytest.param(name, marks=pytest.mark.slow) for name in ("SIGHUP", "SIGINT"))]
)
def test_a_signal_lets_answers_finish_and_leaves_nothing(folder, name, heard_signals):
    """An open page, too, whose stream has no end."""
    before = set((folder / "tmp").glob("etviz-*"))  # of the app that all tests share
    with running(*options(folder), **environment(folder)) as (address, process):
        caller = Caller(address)
        settings = {"steps": 60, "rule": "backtracking"}
        with caller.client.stream("GET", "/gradio_api/heartbeat/page"):
            asked = [GOOD | {"picture": {"index": i}, "settings": settings} for i in range(6)]
            wires = [send_question(caller, question) for question in asked]
            process.send_signal(getattr(signal, name))
            answers = [read_all(wire) for wire in wires]
        assert process.wait(timeout=60) == 0
    assert [(status, len(json.loads(body)["energy"])) for status, body in answers] == [(200, 61)] * 6
    assert set((folder / "tmp").glob("etviz-*")) == before


SLOW_IMPORT = """
import time
print("importing", flush=True)
try:
    time.sleep(300)
except BaseException as error:  # as some packages do
    raise ImportError("torch") from error
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_while_it_imports_is_one_line(tmp_path, name):
    (tmp_path / "torch.py").write_text(SLOW_IMPORT)
    process = subprocess.Popen(
        [sys.executable, str(APP)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(APP.parent)])},
    )
    assert process.stdout.readline() == "importing\n"
    process.send_signal(getattr(signal, name))
    output, _ = process.communicate(timeout=60)
    assert output.split() == ["Stopped."]
    assert process.returncode == 128 + getattr(signal, name)


ALONE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]


def test_as_process_1_it_ends_by_sigterm(tmp_path):
    """As in a container: process 1 ignores signals that it does not handle."""
    if subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a process namespace of its own")
    (tmp_path / "torch.py").write_text(f"import os\nprint(os.getpid(), flush=True)\n{SLOW_IMPORT}")
    process = subprocess.Popen(
        [*ALONE, sys.executable, str(APP)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(APP.parent)])},
    )
    assert [process.stdout.readline() for _ in range(2)] == ["1\n", "importing\n"]
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert output.split() == ["Stopped."]


# ---- crowds ------------------------------------------------------------------------------------------------------


def paint(address, model, people, seconds, process):
    """People who paint at once, every answer held against the model. Their number of strokes, and memory in MiB."""
    rng = random.Random(0)
    pool = [(rng.randrange(8), f"{rng.getrandbits(64):016x}") for _ in range(12)]
    answers = {asked: expected(model, *asked) for asked in pool}
    callers = [Caller(address, f"painter-{i}") for i in range(people)]
    memory = []

    def stroke(person, n):
        index, mask = asked = pool[(person * 7 + n) % len(pool)]
        question = GOOD | {"seq": n, "picture": {"dataset": "scikit-image", "index": index}, "mask": mask}
        answer = callers[person].ask(question | {"settings": {}})
        assert answer["seq"] == n
        assert {name: answer[name] for name in answers[asked]} == answers[asked]

    count = Crowd(people, stroke).run(seconds, watch=lambda: memory.append(resident(process.pid)))
    return count, memory


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_painters_at_once_each_get_their_own(served, model):
    count, _ = paint(served[0], model, people=6, seconds=4, process=served[1])
    assert count >= 6


def visit(address, number):
    """One person: the page, an open stream, a question, a picture, and gone."""
    caller = Caller(address, f"visitor-{number}")
    with contextlib.closing(caller.client):
        assert caller.client.get("/").status_code == 200
        with caller.client.stream("GET", f"/gradio_api/heartbeat/visitor-{number}") as stream:
            next(stream.iter_lines())
            assert len(caller.ask(GOOD)["energy"]) == 4
            assert "error" in caller.ask({"data": "AAAA", "model": "tiny"}, "read_file")


def test_sessions_in_turn(served):
    for number in range(8):
        visit(served[0], number)


# ---- the long trials ---------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(folder):
    """An app of its own: its memory is this trial's."""
    with running(*options(folder), **environment(folder)) as found:
        yield found


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_ten_thousand_fuzzed_questions(fresh, folder):
    caller = Caller(fresh[0])
    calls, questions = fuzz_endpoints(caller, 5000, seed=1), fuzz_questions(caller, GOOD, 5000, seed=2)
    print(f"5,000 calls: {calls}; 5,000 questions: {questions}")
    assert caller.client.get("/health").status_code == 200
    assert left_in(folder) == []


@pytest.mark.soak
@pytest.mark.timeout(60 + 3 * SOAK_SECONDS)
def test_many_painters_for_long(fresh, model):
    count, memory = paint(fresh[0], model, SOAK_PAINTERS, SOAK_SECONDS, fresh[1])
    warm = len(memory) // 5  # of ten minutes, the first two
    halves = memory[warm : (warm + len(memory)) // 2], memory[(warm + len(memory)) // 2 :]
    before, after = (sum(half) / len(half) for half in halves)
    print(f"{SOAK_PAINTERS} painters, {SOAK_SECONDS:.0f} s: {count} answers, all equal to local ones; ", end="")
    print(f"memory {before:.0f} to {after:.0f} MiB")
    assert after < 1.05 * before


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_five_hundred_sessions_in_turn(fresh):
    memory = []
    for number in range(500):
        visit(fresh[0], number)
        memory.append(resident(fresh[1].pid))
    print(
        f"500 sessions: memory {memory[99]:.0f} MiB after 100, {memory[299]:.0f} after 300, {memory[-1]:.0f} at the end"
    )
    assert memory[-1] < 1.05 * memory[299]
