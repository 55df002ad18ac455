"""Files of a descent: a ZIP of its data, a GIF, a page that replays it."""

import base64
import html
import io
import json
import re
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

import etviz
from etviz.checkpoints import save_checkpoint, save_snapshot
from etviz.masks import mask_from_image
from etviz.plots.film import chosen_states
from etviz.ui.limits import Limits
from etviz.ui.payload import encode_pixels, to_bytes
from etviz.ui.replay import in_script, replay_page
from etviz.ui.service import Service
from tests.conftest import TINY

MASK = "ff00ff00ff00ff07"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("runs")
    save_checkpoint(etviz.create_model("et", **TINY), folder / "tiny", {})
    return Service(str(folder / "tiny"), root=str(folder))


def exported(service, kind, **changes):
    question = {"kind": "export", "format": kind, "model": "tiny", "picture": {"index": 2}, "mask": MASK, **changes}
    answer = service.ask(question)
    picture = question["picture"].get("name", f"scikit-image-{question['picture'].get('index')}").removesuffix(".png")
    assert answer["name"] == f"etviz-tiny-{picture}-{MASK}.{'live.html' if kind == 'live' else kind}"
    return base64.b64decode(answer["data"])


def test_the_zip_holds_the_descent(service):
    archive = zipfile.ZipFile(io.BytesIO(exported(service, "zip", settings={"steps": 3, "step_size": 0.2})))
    image = service.pictures("scikit-image", 32).images[2].float() / 255
    trace = service.model("tiny").trace(image[None], etviz.mask_from_hex(MASK), steps=3, step_size=0.2)
    arrays = np.load(io.BytesIO(archive.read("arrays.npz")))
    assert arrays["energy"] == pytest.approx(trace.energy[0].numpy(), rel=1e-5)
    assert arrays["frames"].shape == (4, 3, 32, 32)
    assert arrays["attention_energy"].shape == (4, 65)
    assert arrays["stationarity"] == pytest.approx(trace.stationarity[0].numpy(), rel=1e-5)
    assert np.array_equal(arrays["image"], image.numpy())
    assert torch.equal(torch.from_numpy(arrays["mask"]), etviz.mask_from_hex(MASK)[0])
    assert archive.read("mask.txt").decode().strip() == MASK
    assert torch.equal(mask_from_image(Image.open(io.BytesIO(archive.read("mask.png")))), etviz.mask_from_hex(MASK))
    original = np.array(Image.open(io.BytesIO(archive.read("original.png"))))
    assert np.array_equal(original, to_bytes(image).permute(1, 2, 0).numpy())
    assert Image.open(io.BytesIO(archive.read("film.gif"))).n_frames == 4
    assert Image.open(io.BytesIO(archive.read("strip.png"))).width > 500


def test_the_zip_says_enough_to_make_it_again(service):
    archive = zipfile.ZipFile(io.BytesIO(exported(service, "zip", settings={"beta": 0.5})))
    config = json.loads(archive.read("config.json"))
    options = {k: v for k, v in config["model"].items() if k not in ("checkpoint", "snapshot")}
    again = etviz.create_model("et", **options)
    again.load_state_dict(service.model("tiny").state_dict())
    image = torch.from_numpy(np.load(io.BytesIO(archive.read("arrays.npz")))["image"])[None]
    settings = {k: config["settings"][k] for k in ("steps", "step_size", "beta", "rule")}
    trace = again.eval().trace(image, etviz.mask_from_hex(config["mask"]), **settings)
    energy = np.load(io.BytesIO(archive.read("arrays.npz")))["energy"]
    assert energy == pytest.approx(trace.energy[0].numpy(), rel=1e-5)


def test_an_uploaded_picture_goes_into_the_zip_but_its_pixels_not_into_the_config(service):
    picture = {"pixels": encode_pixels(torch.zeros(3, 32, 32, dtype=torch.uint8)), "name": "night.png"}
    archive = zipfile.ZipFile(io.BytesIO(exported(service, "zip", picture=picture)))
    assert "pixels" not in json.loads(archive.read("config.json"))["picture"]
    assert np.load(io.BytesIO(archive.read("arrays.npz")))["image"].max() == 0


def test_the_same_descent_gives_the_same_file(service):
    assert exported(service, "zip") == exported(service, "zip")


def test_the_gif_has_a_frame_a_state(service):
    assert Image.open(io.BytesIO(exported(service, "gif", settings={"steps": 7}))).n_frames == 8


def test_the_page_holds_its_answer_and_asks_for_nothing(service):
    page = exported(service, "html").decode()
    start = page.index('id="answer">') + len('id="answer">')
    answer = json.loads(page[start : page.index("</script>", start)])
    assert answer["mask"] == MASK
    assert len(answer["energy"]) == 5
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page


def test_a_name_cannot_leave_its_script():
    assert "</script>" not in in_script({"name": "</script><script>alert(1)</script>"})
    assert json.loads(in_script({"name": "</script>"})) == {"name": "</script>"}


def test_a_caption_is_text_in_the_pages_title():
    page = replay_page({"caption": "<b>&a</title>"})
    assert "<title>A replayed descent: &lt;b&gt;&amp;a&lt;/title&gt;</title>" in page


@pytest.fixture
def short_films(service, monkeypatch):
    monkeypatch.setattr(service, "limits", Limits(film_states=6, strip_states=3))


def test_a_long_descent_is_saved_in_bounded_space(service, short_films):
    archive = zipfile.ZipFile(io.BytesIO(exported(service, "zip", settings={"steps": 20})))
    arrays = np.load(io.BytesIO(archive.read("arrays.npz")))
    assert arrays["states"].tolist() == [0, 4, 8, 12, 16, 20]
    assert arrays["energy"].shape == (21,)
    image = service.pictures("scikit-image", 32).images[2].float() / 255
    trace = service.model("tiny").trace(image[None], etviz.mask_from_hex(MASK), steps=20)
    assert arrays["frames"] == pytest.approx(trace.frames[0, arrays["states"]].numpy(), abs=1e-5)
    assert len(arrays["tokens"]) == 6
    assert Image.open(io.BytesIO(archive.read("film.gif"))).n_frames == 6
    widths = [Image.open(io.BytesIO(archive.read("strip.png"))).width]
    short = zipfile.ZipFile(io.BytesIO(exported(service, "zip", settings={"steps": 2})))
    widths.append(Image.open(io.BytesIO(short.read("strip.png"))).width)
    assert widths[0] == widths[1]


@pytest.mark.parametrize(("count", "most"), [(2, 2), (201, 61), (61, 61), (62, 61), (100, 2), (5, None)])
def test_chosen_states_are_distinct_and_hold_both_ends(count, most):
    states = chosen_states(count, most)
    assert states == sorted(set(states))
    assert (states[0], states[-1], len(states)) == (0, count - 1, min(count, most or count))


def test_descents_go_on_while_a_file_is_drawn_and_the_next_file_waits(service, monkeypatch):
    drawing, done = threading.Event(), threading.Event()

    def draw(*_):
        drawing.set()
        assert done.wait(60)
        return b"GIF"

    monkeypatch.setattr("etviz.ui.readings.export.film_bytes", draw)
    monkeypatch.setattr(service, "limits", Limits(export_patience=0.01))
    with ThreadPoolExecutor(1) as elsewhere:
        file = elsewhere.submit(exported, service, "gif")
        try:
            assert drawing.wait(60)
            question = {"model": "tiny", "picture": {"index": 3}, "mask": MASK}
            assert len(service.ask(question)["energy"]) == 5
            with pytest.raises(etviz.UsageError, match="Others are saving"):
                exported(service, "gif", picture={"index": 3})
        finally:
            done.set()
        assert file.result() == b"GIF"


@pytest.mark.parametrize("kind", ["exe", None, ["zip"], 5])
def test_an_unknown_format_is_one_sentence(service, kind):
    with pytest.raises(etviz.UsageError, match="zip, gif, html, live"):
        service.ask({"kind": "export", "format": kind, "model": "tiny", "picture": {"index": 2}, "mask": MASK})


def carried(page):
    """What a page that computes holds: (catalogue, files by their path)."""
    found = re.search(r'<script type="application/json" id="etviz-live">(.*?)</script>', page, re.DOTALL)
    data = json.loads(found[1])
    return data["catalogue"], {path: base64.b64decode(text) for path, text in data["files"].items()}


def test_the_live_page_carries_the_model_and_pictures_and_begins_with_the_descent(service):
    page = exported(service, "live", settings={"steps": 3}).decode()
    catalogue, files = carried(page)
    model, gallery = catalogue["models"][0], catalogue["datasets"][0]
    loaded = etviz.create_model(**model["config"]).eval()
    loaded.load_state_dict(safetensors.torch.load(files[model["weights"]]))
    sprite = np.array(Image.open(io.BytesIO(files[gallery["sprite"]])))
    first = service.pictures("scikit-image", 32).images[2].permute(1, 2, 0).numpy()
    assert np.array_equal(sprite[:32, :32], first)
    assert gallery["captions"][0].endswith("cup of coffee")
    answer = catalogue["start"]["answer"]
    assert answer["picture"] == {"dataset": gallery["name"], "index": 0}
    assert (answer["mask"], answer["settings"]["steps"], answer["model"]) == (MASK, 3, model["name"])
    trace = loaded.trace(torch.from_numpy(first).permute(2, 0, 1)[None] / 255, etviz.mask_from_hex(MASK), steps=3)
    assert answer["energy"] == pytest.approx(trace.energy[0].tolist(), rel=1e-3)  # half precision
    assert page.count("</script>") == 3


def test_the_live_page_of_an_upload_shows_it(service):
    pixels = encode_pixels(torch.full((3, 32, 32), 7, dtype=torch.uint8))
    catalogue, _ = carried(exported(service, "live", picture={"pixels": pixels, "name": "mine"}).decode())
    assert catalogue["start"]["answer"]["picture"]["pixels"] == pixels
    assert catalogue["start"]["gallery"]["total"] == len(catalogue["datasets"][0]["captions"]) == 8


def test_the_live_page_of_a_snapshot_has_its_weights(service, tmp_path):
    torch.manual_seed(1)
    early = etviz.create_model("et", **TINY).eval()
    place = Path(service.place("tiny"))
    save_snapshot(early, place, 10, 0.5, 100)
    file = "step-00000010.safetensors"
    catalogue, files = carried(exported(service, "live", snapshot=file).decode())
    model = catalogue["models"][0]
    assert model["name"] == "tiny step-00000010"
    weights = safetensors.torch.load(files[model["weights"]])
    assert weights["embed.weight"].float() == pytest.approx(early.embed.weight.detach(), rel=1e-2, abs=1e-3)


def test_a_model_too_large_for_a_page_is_refused(service, monkeypatch):
    monkeypatch.setattr("etviz.site.live.LARGEST", 100)
    with pytest.raises(etviz.UsageError, match="too many for one page"):
        exported(service, "live")


def test_nothing_in_a_live_page_may_be_fetched(service):
    page = exported(service, "live").decode()
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe-inline" not in policy
