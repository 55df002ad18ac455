"""The page gets a published model when it is asked to: from the built-in address alone, one at a time, in sentences."""

import time
from dataclasses import replace

import pytest
import torch

import etviz
from etviz.checkpoints import save_checkpoint
from etviz.official import SOURCES, blob_id
from etviz.ui.downloads import Downloads
from etviz.ui.service import Service
from tests.official_archives import jax_arrays, npz_bytes
from tests.test_convert import serving

ARCHIVE = npz_bytes(jax_arrays(size=64, patch=16))


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A service with one small model, which offers an archive of a server on this machine in the place of GitHub's."""
    torch.manual_seed(0)
    small = etviz.create_model("et", embed_dim=32, num_heads=2, head_dim=16, step_size=0.1).eval()
    save_checkpoint(small, tmp_path / "small", {})
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))
    with serving(ARCHIVE) as server:
        service = Service("small", "cifar10", str(tmp_path))
        source = replace(SOURCES["imagenet"], addresses=(f"{server.address}/file",), blob=blob_id(ARCHIVE))
        service.downloads = Downloads({"imagenet": source}, service.add_model)
        service.server = server
        yield service


def ask(service, **question):
    return service.politely(service.ask, {"kind": "download", "source": "imagenet"} | question)


def wait(service):
    for _ in range(200):
        status = ask(service)
        if status.get("state") != "running":
            return status
        time.sleep(0.05)
    raise AssertionError("it takes too long")


def test_nothing_is_fetched_before_it_is_asked_for(service):
    start = service.start()
    assert start["offers"] == [
        {"source": "imagenet", "checkpoint": "et-imagenet", "title": "the paper's ImageNet model", "megabytes": 20}
    ]
    assert ask(service)["state"] == "none"
    assert service.server.asked == []


def test_the_model_joins_the_menu_of_the_running_app(service):
    assert ask(service, begin=True)["state"] in ("running", "done")
    status = wait(service)
    assert status["state"] == "done"
    assert (status["model"]["name"], status["model"]["patches"], status["model"]["size"]) == ("et-imagenet", 16, 64)
    assert "scikit-image" in [gallery["name"] for gallery in status["datasets"]]
    picture = {"dataset": "scikit-image", "index": 0}
    answer = service.ask({"model": "et-imagenet", "picture": picture, "mask": "ff00"})
    assert (answer["size"], len(answer["energy"])) == (64, 13)
    assert service.start()["offers"] == []
    assert ask(service, begin=True)["state"] == "done"
    assert service.server.asked == ["/file"]


def test_no_address_comes_from_outside(service):
    ask(service, begin=True, address="http://127.0.0.1:1/else", addresses=["http://127.0.0.1:1/else"], blob="0" * 40)
    assert wait(service)["state"] == "done"
    assert service.server.asked == ["/file"]
    for source in ("http://127.0.0.1:1/else", "../imagenet", "cifar10-official", None, 5, ["imagenet"]):
        assert list(ask(service, source=source, begin=True)) == ["error"]


def test_a_failure_is_a_sentence_and_is_not_repeated_at_once(service):
    wrong = replace(service.downloads.sources["imagenet"], blob="0" * 40)
    service.downloads = Downloads({"imagenet": wrong}, service.add_model)
    ask(service, begin=True)
    status = wait(service)
    assert status["state"] == "failed"
    assert "gave another file" in status["problem"]
    assert ask(service, begin=True)["problem"] == status["problem"]
    assert service.server.asked == ["/file"]
    assert "et-imagenet" not in service.checkpoints


def test_many_may_ask_and_it_is_fetched_once(service):
    for _ in range(10):
        ask(service, begin=True)
    assert wait(service)["state"] == "done"
    assert service.server.asked == ["/file"]
