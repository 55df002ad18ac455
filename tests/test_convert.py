"""Published weights become checkpoints: the same numbers as the published code, and nothing but the published bytes."""

import http.server
import json
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

import etviz
from etviz import convert
from etviz.checkpoints import checkpoint_table, list_checkpoints, load_card, load_config
from etviz.errors import UsageError
from etviz.models import MODELS
from etviz.official import SOURCES, blob_id
from etviz.official.sources import CIFAR10, IMAGENET
from etviz.patches import unpatchify
from tests.official_archives import (
    jax_arrays,
    jax_forward,
    npz_bytes,
    pth_bytes,
    torch_arrays,
    torch_forward,
)


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    """A folder of checkpoints of its own."""
    folder = tmp_path / "checkpoints"
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(folder))
    return folder


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the path: the file, a redirect to it, a cut one, an endless one, or 404."""

    def do_GET(self):
        data, path = self.server.data, self.path
        self.server.asked.append(path)
        if path in ("/file", "/cut"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data if path == "/file" else data[: len(data) // 2])
        elif path == "/chunks":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)
        elif path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", {"/moved": "/file", "/moved-to-disk": "file:///etc/hostname"}[path])
            self.end_headers()
        elif path == "/huge":
            self.send_response(200)
            self.send_header("Content-Length", str(10**12))
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


@contextmanager
def serving(data: bytes):
    """A server on this machine; gives it, with its address and what was asked."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.data, server.asked = data, []
        server.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.fixture
def picture():
    return torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(3))


def half_hidden(patches):
    return torch.rand(1, patches, generator=torch.Generator().manual_seed(4)) < 0.5


def assert_equal(model, expected, picture, mask):
    """All thirteen states, in float32: pictures to 1e-4 where neither is clipped, energies to 1e-5 of themselves."""
    trace = model.trace(picture[None], mask)
    frames, energies = expected
    assert trace.frames.shape[1] == len(energies) == 13
    assert np.abs(trace.frames[0].numpy() - frames.clip(0, 1)).max() < 1e-4
    with torch.no_grad():
        normalised = model.decode(trace.tokens)[0]
    unclipped = model.to_images(normalised)  # clipped as the frames are; the numbers behind them are compared below
    assert torch.equal(unclipped, trace.frames[0])
    wide = (frames - model.mean.numpy()) / model.std.numpy()
    assert np.abs(etviz_patches(normalised, model) - wide).max() < 1e-4
    assert np.abs(trace.energy[0].numpy() / energies - 1).max() < 1e-5


def etviz_patches(patches, model):
    return unpatchify(patches, model.patch_size).numpy()


@pytest.mark.parametrize("sizes", [{}, {"patch": 16, "width": 48, "memories": 40}, {"heads": 3, "head_dim": 5}])
def test_a_jax_archive_gives_the_official_numbers(checkpoints, tmp_path, picture, sizes, capsys):
    arrays = jax_arrays(**sizes)
    (tmp_path / "theirs.npz").write_bytes(npz_bytes(arrays))
    convert.main([str(tmp_path / "theirs.npz"), "mine"])
    assert capsys.readouterr().out.strip() == str(checkpoints / "mine")
    model = etviz.load_model("mine")
    mask = half_hidden(model.num_patches)
    assert_equal(model, jax_forward(arrays, picture.double().numpy(), mask[0].numpy()), picture, mask)


@pytest.mark.parametrize("sizes", [{}, {"width": 40, "patch": 8, "memories": 50}])
def test_a_torch_archive_gives_the_official_numbers(checkpoints, tmp_path, picture, sizes):
    state = torch_arrays(**sizes)
    (tmp_path / "theirs.pth").write_bytes(pth_bytes(state))
    convert.main([str(tmp_path / "theirs.pth"), "mine"])
    model = etviz.load_model("mine")
    mask = half_hidden(model.num_patches)
    assert_equal(model, torch_forward(state, picture.double().numpy(), mask[0].numpy()), picture, mask)


def test_several_blocks_and_a_parallel_run_are_read(checkpoints, tmp_path, picture):
    state = torch_arrays(depth=2)
    named = {f"module.{name}": value for name, value in state.items()}
    (tmp_path / "theirs.pth").write_bytes(pth_bytes(named))
    convert.main([str(tmp_path / "theirs.pth"), "mine", "steps=3", "step_size=0.5", "beta=0.25"])
    model = etviz.load_model("mine")
    mask = half_hidden(64)
    frames, _ = torch_forward(state, picture.double().numpy(), mask[0].numpy(), steps=3, alpha=0.5, beta=0.25)
    found = model.trace(picture[None], mask).frames[0].numpy()
    assert found.shape[0] == 7
    assert np.abs(found - frames.clip(0, 1)).max() < 1e-4


def test_the_decoders_eps_changes_nothing_unless_it_is_asked_for():
    plain, same, other = (
        MODELS["et"](embed_dim=32, **more) for more in ({}, {"decoder_eps": 1e-5}, {"decoder_eps": 32.0})
    )
    for model in (same, other):
        model.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 32, 32)
    mask = half_hidden(64)
    assert torch.equal(plain.reconstruct(image, mask), same.reconstruct(image, mask))
    assert not torch.equal(plain.reconstruct(image, mask), other.reconstruct(image, mask))


# ---- fetching ----------------------------------------------------------------------------------------------------


def fetch(server, path="/file", source="imagenet", **changes):
    options = {"address": server.address + path, "blob": blob_id(server.data)} | changes
    convert.main([source, *(f"{key}={value}" for key, value in options.items())])


@pytest.mark.parametrize("path", ["/file", "/moved", "/chunks"])
def test_published_weights_are_fetched_once(checkpoints, path, capsys):
    with serving(npz_bytes(jax_arrays())) as server:
        fetch(server, path)
        asked = len(server.asked)
        fetch(server, path)  # it is there
        assert len(server.asked) == asked
    assert capsys.readouterr().out.split() == 2 * [str(checkpoints / "et-imagenet")]
    assert list_checkpoints() == ["et-imagenet"]
    card = load_card("et-imagenet")
    assert "Apache-2.0" in card["licence"]
    assert "arXiv:2302.07253" in card["citation"]
    assert card["source"][0] == "https://github.com/bhoov/energy-transformer-jax"
    assert len(card["blob"]) == 40
    assert load_config("et-imagenet")["dataset"] == {"name": "imagenet"}
    assert "et-imagenet" not in checkpoint_table()  # of what etviz has trained and tested itself


def test_the_torch_weights_are_fetched_too(checkpoints):
    with serving(pth_bytes(torch_arrays())) as server:
        fetch(server, source="cifar10-official")
    model = etviz.load_model("et-cifar10-official")
    assert (model.descent.step_size, model.descent.beta, model.config["decoder_eps"]) == (5.0, 16.0, 32.0)
    assert load_card("et-cifar10-official")["licence"] == "MIT"


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        ("/file", {"blob": "0" * 40}, "gave another file"),
        ("/cut", {}, "broke off after"),
        ("/none", {}, "answered 404"),
        ("/huge", {}, "too much"),
        ("/moved-to-disk", {}, "file:///"),
    ],
)
def test_anything_else_is_refused_in_a_sentence_and_leaves_nothing(checkpoints, path, change, words):
    with serving(npz_bytes(jax_arrays())) as server, pytest.raises(UsageError) as refused:
        fetch(server, path, **change)
    sentence = str(refused.value)
    assert words in sentence
    assert server.address + path in sentence
    assert "\n" not in sentence
    assert not any(checkpoints.iterdir())


def test_without_a_network_the_sentence_gives_the_address(checkpoints, monkeypatch):
    with serving(b"") as server:
        gone = f"{server.address}/file"
    with pytest.raises(UsageError, match="cannot be reached") as refused:
        convert.main(["imagenet", f"address={gone}"])
    assert gone in str(refused.value)


def test_a_second_repository_stands_in(checkpoints, monkeypatch):
    data = npz_bytes(jax_arrays())
    with serving(data) as server:
        both = (f"{server.address}/none", f"{server.address}/file")
        monkeypatch.setitem(SOURCES, "imagenet", replace(IMAGENET, addresses=both, blob=blob_id(data)))
        convert.main(["imagenet"])
    assert list_checkpoints() == ["et-imagenet"]


def test_the_published_ids_are_what_git_gives():
    """As `git hash-object` computes it for these bytes."""
    assert blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert all(len(source.blob) == 40 for source in SOURCES.values())
    assert (IMAGENET.megabytes, CIFAR10.megabytes) == (20, 15)


# ---- files at hand -----------------------------------------------------------------------------------------------


def without(arrays, name):
    return {key: value for key, value in arrays.items() if key != name}


class Trap:
    """Unpickled, it would run a command."""

    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.npz", b""),
        ("a.npz", b"hello"),
        ("a.npz", npz_bytes(without(jax_arrays(), "Xi"))),
        ("a.npz", npz_bytes(jax_arrays() | {"more": np.zeros(1)})),
        ("a.npz", npz_bytes(jax_arrays() | {"Xi": np.full((32, 96), np.nan)})),
        ("a.npz", npz_bytes(jax_arrays() | {"Wk": np.zeros((2, 16, 31), np.float32)})),
        ("a.npz", npz_bytes(jax_arrays() | {"POS_embed": np.zeros((18, 32), np.float32)})),
        ("a.npz", npz_bytes(jax_arrays() | {"Xi": np.array([None])})),
        ("a.pth", b"\x80\x04\x95"),
        ("a.pth", pth_bytes(without(torch_arrays(), "cls"))),
        ("a.pth", pth_bytes([1, 2])),
        ("a.pth", pth_bytes({"cls": Trap()})),
        ("a.bin", pth_bytes(torch_arrays())),
    ],
)
def test_other_files_are_refused_in_a_sentence(checkpoints, tmp_path, name, data, capsys):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as refused:
        convert.main([str(tmp_path / name), "mine"])
    assert "\n" not in str(refused.value)
    assert "executed" not in capsys.readouterr().out
    assert not checkpoints.exists() or not any(checkpoints.iterdir())


def test_a_name_that_is_taken_or_leads_elsewhere_is_refused(checkpoints, tmp_path):
    (tmp_path / "a.npz").write_bytes(npz_bytes(jax_arrays()))
    convert.main([str(tmp_path / "a.npz"), "mine", "licence=MIT"])
    assert json.loads((checkpoints / "mine" / "card.json").read_text())["licence"] == "MIT"
    with pytest.raises(UsageError, match="already there"):
        convert.main([str(tmp_path / "a.npz"), "mine"])
    with pytest.raises(UsageError, match="no name"):
        convert.main([str(tmp_path / "a.npz"), "../mine"])


@pytest.mark.parametrize(
    "arguments", [[], ["imagnet"], ["imagenet", "beta=1"], ["a.npz", "b", "address=x"], ["no-such-file.npz", "b"]]
)
def test_what_cannot_be_meant_is_one_sentence(checkpoints, arguments):
    with pytest.raises(UsageError):
        convert.main(arguments)
