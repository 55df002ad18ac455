"""The energy view's readings against descents done one by one, and what they leave to others while they compute."""

import base64
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import etviz
from etviz import UsageError
from etviz.checkpoints import save_checkpoint
from tests.conftest import TINY, TINY_ASYM

pytest.importorskip("skimage", reason="the app's extra is not installed")

from etviz.examples import CARRIED_GALLERY, Pictures
from etviz.ui.cache import Cache
from etviz.ui.limits import Limits
from etviz.ui.service import Service

MASK = "ffffff0f0ffffffe"
PARTS = {
    "energy": lambda trace: trace.energy,
    "attention_energy": lambda trace: trace.attention_energy.sum(-1),
    "hopfield_energy": lambda trace: trace.hopfield_energy.sum(-1),
}


PATIENT = Limits(band_seconds=3600, band_patience=3600)  # so that bands are whole on the slowest machine


def serve(model, folder):
    save_checkpoint(model.eval(), folder / "tiny", {})
    return Service(str(folder / "tiny"), root=str(folder), limits=PATIENT)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return etviz.create_model("et", **TINY).eval()


@pytest.fixture(scope="module")
def service(model, tmp_path_factory):
    """With no dataset at hand, so on scikit-image's eight pictures."""
    return serve(model, tmp_path_factory.mktemp("runs"))


def question(kind, **changes):
    return {"kind": kind, "model": "tiny", "picture": {"index": 1}, "mask": MASK, **changes}


def gallery(service):
    return service.pictures(CARRIED_GALLERY, 32).images.float() / 255


# ---- tokens ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["et", "et_asym"])
def test_each_tokens_energy_is_that_of_the_trace(name, tmp_path):
    torch.manual_seed(0)
    model = etviz.create_model(name, **(TINY if name == "et" else TINY_ASYM))
    service = serve(model, tmp_path)
    answer = service.ask(question("token_energies", settings={"steps": 3, "beta": 0.5}))
    trace = model.trace(gallery(service)[1:2], etviz.mask_from_hex(MASK), steps=3, beta=0.5)
    for key in ("attention", "hopfield"):
        shown = np.frombuffer(base64.b64decode(answer[key]), dtype="<f4").reshape(4, 65)
        by_token = getattr(trace, f"{key}_energy")[0]
        for column, patch in enumerate(range(-1, 64)):
            token = trace.patch_index[0].tolist().index(patch)
            assert np.allclose(shown[:, column], by_token[:, token], rtol=1e-5)


# ---- band --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({}, {}),
        ({"steps": 3, "step_size": 0.02, "beta": 0.5}, {"steps": 3, "step_size": 0.02, "beta": 0.5}),
        ({"step_size": 50, "rule": "backtracking"}, {"step_size": 50.0, "rule": "backtracking"}),
    ],
)
def test_the_band_is_numpys_quantiles_over_the_gallery(service, model, settings, arguments):
    answer = service.ask(question("energy_band", settings=settings))
    mask = etviz.mask_from_hex(MASK)
    traces = [model.trace(image[None], mask, **arguments) for image in gallery(service)]
    assert (answer["count"], answer["source"]) == (8, "scikit-image picture")
    for key, part in PARTS.items():
        energies = torch.cat([part(trace) for trace in traces]).double().numpy()
        for name, numbers in (("values", energies), ("changes", energies - energies[:, :1])):
            expected = np.quantile(numbers, [0.1, 0.5, 0.9], axis=0)
            assert np.allclose(answer[name][key], expected, rtol=1e-4, atol=1e-4 * np.abs(energies).max())


def test_the_band_of_a_descent_that_settled_has_as_many_steps(service, model):
    settings = {"settle": True, "step_size": 0.5, "rule": "sphere"}
    steps = len(service.ask(question("trace", settings=settings))["energy"]) - 1
    band = service.ask(question("energy_band", settings=settings))
    mask = etviz.mask_from_hex(MASK)
    traces = [model.trace(i[None], mask, steps=steps, step_size=0.5, rule="sphere") for i in gallery(service)]
    expected = np.median(torch.cat([trace.energy for trace in traces]), axis=0)
    assert np.allclose(band["values"]["energy"][1], expected, rtol=1e-4)


def test_several_energies_cannot_settle_together(tmp_path):
    service = serve(etviz.create_model("et", **TINY, depth=2), tmp_path)
    assert len(service.ask(question("energy_band"))["values"]["energy"][0]) == 9
    with pytest.raises(UsageError, match="choose a number of steps"):
        service.ask(question("energy_band", settings={"settle": True}))


def test_a_large_gallery_gives_64_pictures_of_all_kinds(service, monkeypatch):
    images = torch.randint(0, 256, (500, 3, 32, 32), dtype=torch.uint8)
    pictures = Pictures(images, [f"kind {min(i, 99)}" for i in range(500)], "test image")
    monkeypatch.setattr(service, "pictures", lambda dataset, size: pictures)
    answer = service.ask(question("energy_band", mask="ff" * 8, settings={"steps": 1}))
    assert answer["count"] == 64


def test_a_band_stops_when_its_time_is_up_and_says_how_many(service, model, monkeypatch):
    monkeypatch.setattr(service, "limits", Limits(band_seconds=0.0))
    answer = service.ask(question("energy_band", mask="0f" * 8))
    first = service.pictures(CARRIED_GALLERY, 32).arranged()[0]
    trace = model.trace(gallery(service)[first][None], etviz.mask_from_hex("0f" * 8))
    assert answer["count"] == 1
    assert np.allclose(answer["values"]["energy"][1], trace.energy[0], rtol=1e-5)


@pytest.fixture
def pieces(service, monkeypatch):
    """The shapes of what readings compute in turns with others, as a list that grows."""
    shapes, in_turns = [], service.in_turns

    def watched(pieces):
        for piece in in_turns(pieces):
            shapes.append(tuple(piece.shape))
            yield piece

    monkeypatch.setattr(service, "in_turns", watched)
    return shapes


def test_a_band_is_computed_once(service, pieces):
    asked = question("energy_band", mask="f0" * 8)
    first = service.ask(asked)
    assert len(pieces) == 8
    assert service.ask({**asked, "picture": {"index": 3}, "settings": {"steps": 4, "beta": 0.25}}) == first
    assert len(pieces) == 8
    service.ask({**asked, "settings": {"beta": 0.3}})
    assert len(pieces) == 16


def test_others_have_the_model_after_every_picture_of_a_band(service, pieces):
    """A painter waits for one picture's descent, not for the whole band."""
    service.ask(question("energy_band", mask="a5" * 8))
    assert pieces == [(3, 1, TINY["steps"] + 1)] * 8


def test_a_band_that_has_to_wait_for_others_says_so(service, monkeypatch):
    monkeypatch.setattr(service, "limits", Limits(band_patience=0.01))
    asked = question("energy_band", mask="5a" * 8)

    def ask_elsewhere():
        with ThreadPoolExecutor(1) as elsewhere:
            return elsewhere.submit(service.ask, asked).result()

    assert service.bands.get("another band", ask_elsewhere) == {"count": 0}
    assert service.ask(asked)["count"] == 8


# ---- the cache ---------------------------------------------------------------------------------------------------


def test_a_cache_keeps_the_results_used_last():
    cache, computed = Cache(2), []

    def get(key):
        return cache.get(key, lambda: computed.append(key) or key.upper())

    assert [get(key) for key in "abacab"] == list("ABACAB")
    assert "".join(computed) == "abcb"  # a was used again, so that b was dropped for c
    assert len(cache) == 2
    cache.drop("b")
    assert get("b") == "B"
    assert "".join(computed) == "abcbb"


def test_a_result_that_is_there_waits_for_nobody():
    cache = Cache(2)
    cache.get("there", lambda: 1)

    def ask_elsewhere():
        with ThreadPoolExecutor(1) as elsewhere:
            there = elsewhere.submit(cache.get, "there", lambda: 2).result()
            missing = elsewhere.submit(cache.get_within, 0.01, "missing", lambda: 3).result()
            return there, missing

    assert cache.get("long", ask_elsewhere) == (1, None)


def test_a_computation_that_fails_is_not_in_the_way_of_the_next():
    cache = Cache(1)
    for get in (cache.get, lambda *arguments: cache.get_within(1, *arguments)):
        with pytest.raises(ZeroDivisionError):
            get("key", lambda: 1 / 0)
    assert cache.get_within(1, "key", lambda: 5) == 5
