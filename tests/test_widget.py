"""The widgets without a browser: what Python reads, sets and is refused; a run watched; a training shown."""

import base64
import io
import time

import numpy as np
import pytest
import torch
from PIL import Image

import etviz
from etviz import UsageError, training
from etviz.checkpoints import save_checkpoint, write_config
from etviz.training import history_csv
from tests.conftest import TINY

pytest.importorskip("anywidget", reason="the notebooks' extra is not installed")

from etviz.ui.widget import Explorer, NotebookProgress, TrainingMonitor


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return etviz.create_model("et", **TINY).eval()


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def explorer(model, pixels):
    return Explorer(model, pixels, labels=["cat", "dog", "ship", "frog", "deer"])


@pytest.fixture
def ask(explorer, monkeypatch):
    """Ask as a page does, by a message, and return the answer that the explorer sends back."""
    sent = []
    monkeypatch.setattr(explorer, "send", lambda content, buffers=None: sent.append(content))

    def send(question):
        message = {"id": f"question {len(sent)}", "question": question}
        explorer.comm.handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})
        assert sent[-1]["id"] == message["id"]
        return sent[-1]["answer"]

    return send


def test_what_is_set_is_descended_as_the_api_does(explorer, model, pixels):
    mask = etviz.half_mask(1)
    explorer.image_index, explorer.mask, explorer.settings = 3, mask, {"steps": 2, "step_size": 0.3}
    expected = model.trace(pixels[[3]].float() / 255, mask, steps=2, step_size=0.3)
    assert torch.equal(explorer.trace.energy, expected.energy)
    assert torch.equal(explorer.trace.attention, expected.attention)
    assert torch.equal(explorer.image, pixels[[3]].float() / 255)
    assert explorer.settings["beta"] == model.descent.beta


def test_changes_are_observed_with_the_trace_already_there(explorer):
    seen = []
    explorer.observe(lambda change: seen.append((change.name, explorer.trace.mask.sum().item())), ["mask", "trace"])
    explorer.mask = etviz.center_mask(1)
    assert {name for name, _ in seen} == {"mask", "trace"}
    assert ("mask", 16) in seen


def test_a_page_asks_and_python_reads_what_it_shows(explorer, model, pixels, ask):
    start = ask({"kind": "start"})
    assert start["answer"]["mask"] == etviz.mask_to_hex(explorer.mask)
    assert start["answer"]["caption"] == "Image 0: cat"
    assert "uploads" not in start
    picture, grid = {"dataset": "Image", "index": 2}, etviz.mask_to_hex(etviz.grid_mask(1))
    question = {"kind": "trace", "seq": 4, "model": "et", "picture": picture, "mask": grid, "settings": {}}
    expected = model.trace(pixels[[2]].float() / 255, etviz.grid_mask(1))
    assert ask(question)["energy"] == expected.energy[0].tolist()
    explorer.set_state({"mask": grid, "image_index": 2})  # as the page does on showing the answer
    assert torch.equal(explorer.mask, etviz.grid_mask(1))
    assert torch.equal(explorer.trace.energy, expected.energy)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "trace", "model": "other"}, "has one model"),
        ({"kind": "trace", "snapshot": "../x"}, "has one model"),
        ({"kind": "trace", "picture": {"dataset": "cifar10", "index": 0}}, "its own pictures"),
        ({"kind": "trace", "picture": {"dataset": "Image", "index": 5}}, "no picture 5"),
        ({"kind": "nothing"}, "did not understand"),
    ],
)
def test_a_wrong_question_is_one_sentence(ask, changes, words):
    question = {"model": "et", "picture": {"dataset": "Image", "index": 0}, "mask": "ff" * 8}
    assert words in ask(question | changes)["error"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mask", torch.ones(1, 16, dtype=torch.bool), r"of shape \(1, 64\)"),
        ("mask", torch.ones(1, 64), "must be boolean"),
        ("image_index", 5, "numbered 0 to 4"),
        ("settings", {"alpha": 1.0}, "no setting 'alpha'"),
        ("settings", {"beta": -1.0}, "beta must lie between"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(explorer, name, value, words):
    before = explorer.mask, explorer.image_index, explorer.settings, explorer.trace
    with pytest.raises(UsageError, match=words):
        setattr(explorer, name, value)
    assert all(a is b or a == b for a, b in zip((explorer.mask, explorer.image_index), before[:2], strict=True))
    assert explorer.settings == before[2]
    assert explorer.trace is before[3]


def test_what_it_cannot_explore_is_refused(model, pixels):
    for images in (pixels[0], pixels[..., :16], pixels[:0], pixels.float(), pixels.long()):
        with pytest.raises(UsageError, match="The explorer takes images"):
            Explorer(model, images)
    with pytest.raises(UsageError, match="5 images and 2 labels"):
        Explorer(model, pixels, labels="ab")
    with pytest.raises(UsageError, match="takes 1 channels"):
        Explorer(etviz.create_model("et", **TINY, in_chans=1, mean=(0.5,), std=(0.25,)), pixels)
    with pytest.raises(UsageError, match="no energy"):
        Explorer(torch.nn.Identity(), pixels)


def test_it_holds_a_copy(model, explorer):
    assert explorer.model is not model
    assert next(explorer.model.parameters()).data_ptr() != next(model.parameters()).data_ptr()


def test_a_saved_notebook_holds_the_film_strip(explorer):
    data, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB"))
    red = (torch.tensor([[[200.0]], [[0.0]], [[0.0]]]).expand(3, 32, 32)).to(torch.uint8)
    other = Explorer(explorer.model, red[None])
    data, _ = other._repr_mimebundle_()
    reddish = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB"))
    assert (reddish == [200, 0, 0]).all(-1).mean() > 0.03  # the original at the end of the strip
    assert (strip == [200, 0, 0]).all(-1).mean() < 0.001


def test_in_words_a_widget_says_what_it_shows(explorer, model, tmp_path):
    """Wherever neither a widget nor a picture is shown; nothing in it changes from one run to the next."""
    explorer.mask, explorer.image_index = etviz.half_mask(1), 2
    data, _ = explorer._repr_mimebundle_()
    assert data["text/plain"] == "Explorer: image 2 of 5, 32 of 64 patches hidden"
    save_checkpoint(model, tmp_path, {})
    write_config(model, tmp_path, {"train": {"epochs": 3}})
    write_history(tmp_path, 3)
    words = "finished: epoch 3.00, validation masked PSNR 13.00 dB"
    assert repr(TrainingMonitor(tmp_path)) == f"TrainingMonitor: {tmp_path}, {words}"


def test_controls_descend_and_follow(explorer):
    step_size, beta, ratio = explorer.controls().children
    assert not any(slider.continuous_update for slider in (step_size, beta, ratio))
    step_size.value, beta.value = 0.2, 0.5
    assert (explorer.settings["step_size"], explorer.settings["beta"]) == (0.2, 0.5)
    assert explorer.trace.beta == 0.5
    ratio.value = 0.5
    assert explorer.mask.sum() == 32
    explorer.settings = {"step_size": 1e5}  # beyond the slider
    assert explorer.settings["step_size"] == 1e5
    assert step_size.value == pytest.approx(step_size.base**step_size.max)


def row(epoch):
    return {
        "step": 10 * epoch,
        "epoch": float(epoch),
        "train_loss": 1.0 / epoch,
        "masked_psnr": 10.0 + epoch,
        "masked_mse": 0.1,
    }


def write_history(folder, epochs):
    rows = [row(epoch) | {"lr": 1e-3, "images_per_second": 100.0, "seconds": epoch} for epoch in range(1, epochs + 1)]
    (folder / "history.csv").write_text(history_csv(rows))


def until(condition, patience=20):
    for _ in range(patience * 50):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it did not happen")


def test_the_monitor_follows_a_run_to_its_end(model, tmp_path):
    save_checkpoint(model, tmp_path, {})
    write_config(model, tmp_path, {"train": {"epochs": 3}})
    write_history(tmp_path, 1)
    monitor = TrainingMonitor(tmp_path, every=0.05)
    first = monitor.picture.value
    assert monitor.line.value == "running: epoch 1.00, validation masked PSNR 11.00 dB"
    assert Image.open(io.BytesIO(first)).width > 800
    write_history(tmp_path, 2)
    until(lambda: "epoch 2.00" in monitor.line.value)
    assert monitor.picture.value != first
    write_history(tmp_path, 3)
    until(lambda: monitor.line.value.startswith("finished: epoch 3.00"))
    until(lambda: not monitor.watching)
    assert base64.b64decode(monitor._repr_mimebundle_()["image/png"]) == monitor.picture.value


def test_the_monitor_stops_when_told(model, tmp_path):
    write_config(model, tmp_path, {"train": {"epochs": 3}})
    monitor = TrainingMonitor(tmp_path, every=0.05)
    assert "no validation yet" in monitor.line.value.lower()
    assert monitor.watching
    monitor.close()
    assert not monitor.watching


def test_the_monitor_of_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        TrainingMonitor(tmp_path / "nowhere")


def test_a_notebook_shows_the_training(model, archive, monkeypatch):
    display = pytest.importorskip("IPython.display")
    shown = []

    class Handle:
        def __init__(self, thing):
            shown.append([thing])
            self.place = shown[-1]

        def update(self, thing):
            self.place.append(thing)

    monkeypatch.setattr(display, "display", lambda thing, display_id: Handle(thing))
    config = training.TrainConfig(
        epochs=2, batch_size=20, validation_images=20, crop=False, accelerator="cpu", log_every=3
    )
    state = training.fit(
        etviz.create_model("et", **TINY), etviz.load_dataset(archive), config, callbacks=[NotebookProgress()]
    )
    head, curves = shown
    assert head[0].children[0].value == state.total_steps == 18
    assert "epoch 2.00 of 2" in head[-1].data
    assert f"{state.history[-1]['masked_psnr']:.2f} dB" in head[-1].data
    assert len(curves) == len(state.history) == 2
    assert np.allclose(curves[-1].axes[0].get_lines()[0].get_ydata(), [r["train_loss"] for r in state.history])
