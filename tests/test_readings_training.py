"""What the page tells of trainings, finished or being written, against the files themselves."""

import json
import math
import os
import time

import pytest
import torch

import etviz
from etviz.checkpoints import save_checkpoint, save_snapshot
from etviz.files import write_text
from etviz.metrics import masked_psnr
from etviz.training import history_csv

pytest.importorskip("skimage", reason="the app's extra is not installed")

from etviz.examples import CARRIED_GALLERY
from etviz.ui.limits import LIMITS
from etviz.ui.payload import to_bytes
from etviz.ui.runs import QUIET, list_runs
from etviz.ui.service import Service
from tests.conftest import TINY
from tests.test_app import pixels_of

MASK = "ffffff0f0ffffffe"
PICTURE = {"dataset": CARRIED_GALLERY, "index": 1}
RUN = "outputs/squares-et-1"


def row(epoch, **changes):
    values = {
        "step": 10 * epoch,
        "epoch": float(epoch),
        "images": 640 * epoch,
        "seconds": 20.0 * epoch,
        "lr": 0.01 / epoch,
    }
    scores = {"train_loss": 1 / epoch, "gradient_norm": 1.0, "images_per_second": 32.0, "masked_mse": 0.1 / epoch}
    return values | scores | {"masked_psnr": -10 * math.log10(0.1 / epoch)} | changes


@pytest.fixture
def models():
    torch.manual_seed(0)
    return [etviz.create_model("et", **TINY).eval() for _ in range(3)]  # two snapshots and the final weights


@pytest.fixture
def run(models, tmp_path):
    """A run of four epochs after two of them."""
    folder = tmp_path / RUN
    card = {"model": "et", "dataset": "squares", "parameters": 1234, "epochs": 2.0, "planned_epochs": 4}
    card["metrics"] = {"validation": {"masked_psnr": 13.01}}
    save_checkpoint(models[2], folder, card, {"train": {"epochs": 4}})
    save_snapshot(models[0], folder, 1, 0.1, 64)
    save_snapshot(models[1], folder, 10, 1.0, 640)
    write_text(folder / "history.csv", history_csv([row(1), row(2)]))
    return folder


@pytest.fixture
def service(run, models, tmp_path, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("ETVIZ_RUNS", str(tmp_path / "outputs"))
    save_checkpoint(models[0], tmp_path / "checkpoints" / "shipped", {})
    return Service("shipped", root=str(tmp_path))


def ask(service, kind, **parts):
    answer = service.politely(service.ask, {"kind": kind, **parts})
    json.dumps(answer, allow_nan=False)
    return answer


def age(folder, seconds):
    """Make every file of a run that old."""
    then = time.time() - seconds
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


# ---- which runs there are ----------------------------------------------------------------------------------------


def test_runs_come_after_the_menu_and_tell_what_to_ask_them(service):
    shipped, run = ask(service, "runs")["runs"]
    assert (shipped["name"], shipped["snapshots"]) == ("shipped", [])
    snapshots = [{"file": f"step-{step:08d}.safetensors", "epoch": epoch} for step, epoch in ((1, 0.1), (10, 1.0))]
    assert run == {
        "name": RUN,
        "energy": True,
        "patches": 64,
        "size": 32,
        "step_size": TINY["step_size"],
        "beta": TINY["beta"],
        "snapshots": snapshots,
        "epoch": 2.0,
        "dataset": "squares",
    }


def test_outputs_here_is_where_runs_are_looked_for(run, tmp_path, monkeypatch):
    monkeypatch.delenv("ETVIZ_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs" / "notes").mkdir()
    (tmp_path / "outputs" / "file.txt").write_text("no run")
    assert list(list_runs()) == [RUN]


def test_no_runs_folder_is_no_run(tmp_path, monkeypatch):
    monkeypatch.setenv("ETVIZ_RUNS", str(tmp_path / "none"))
    assert list_runs() == {}


def test_a_run_opened_by_its_path_is_listed_once(run, service, tmp_path):
    runs = Service(str(run), root=str(tmp_path)).ask({"kind": "runs"})["runs"]
    assert [entry["name"] for entry in runs] == [run.name, "shipped"]


def test_a_run_before_its_first_validation_says_so(service, models, tmp_path):
    save_snapshot(models[0], tmp_path / "outputs" / "young", 1, 0.1, 64)
    (entry,) = [entry for entry in ask(service, "runs")["runs"] if entry["name"] == "outputs/young"]
    assert "first validation" in entry["problem"]
    reading = ask(service, "training", run="outputs/young")
    assert reading["curves"]["epoch"] == []
    assert "no validation yet" in reading["problem"]
    assert reading["state"] == "running"
    assert "first validation" in ask(service, "epochs", run="outputs/young", picture=PICTURE, mask=MASK)["error"]


def test_a_shipped_model_without_a_history_says_so(service):
    reading = ask(service, "training", run="shipped")
    assert reading["state"] == "finished"
    assert reading["curves"]["epoch"] == []
    assert "No history of this training was kept" in reading["problem"]


@pytest.mark.parametrize("name", ["../shipped", "outputs/../outputs/squares-et-1", "squares-et-1", "", None, 5, ["x"]])
def test_names_never_become_paths(service, name):
    for kind in ("training", "epochs"):
        assert "no model" in ask(service, kind, run=name, picture=PICTURE, mask=MASK)["error"]


# ---- curves ------------------------------------------------------------------------------------------------------


def test_curves_are_those_of_the_history(service):
    reading = ask(service, "training", run=RUN)
    assert reading["curves"] == {
        "epoch": [1.0, 2.0],
        "train_loss": [1.0, 0.5],
        "masked_psnr": pytest.approx([10.0, 13.0103], abs=1e-4),
        "lr": [0.01, 0.005],
        "images_per_second": [32.0, 32.0],
    }
    assert reading["facts"]["validation"] == 13.01
    assert reading["facts"]["parameters"] == 1234
    assert reading["problem"] == ""


def test_a_shipped_checkpoint_s_history_is_found_by_its_name(service, tmp_path):
    write_text(tmp_path / "checkpoints" / "shipped" / "history.csv", history_csv([row(1)]))
    reading = ask(service, "training", run="shipped")
    assert reading["curves"]["train_loss"] == [1.0]
    assert (reading["state"], reading["written"]) == ("finished", None)


def test_a_run_is_running_until_its_last_epoch_or_until_it_is_quiet(service, run):
    age(run, 60)
    reading = ask(service, "training", run=RUN)
    assert reading["state"] == "running"
    assert reading["written"] == pytest.approx(60, abs=20)
    age(run, QUIET + 60)
    assert ask(service, "training", run=RUN)["state"] == "stopped"
    write_text(run / "history.csv", history_csv([row(1), row(2, seconds=20.0 + QUIET)]))  # slow validations
    age(run, QUIET + 60)
    assert ask(service, "training", run=RUN)["state"] == "running"
    write_text(run / "history.csv", history_csv([row(epoch) for epoch in range(1, 5)]))
    assert ask(service, "training", run=RUN)["state"] == "finished"


def test_values_that_are_not_finite_are_gaps(service, run):
    write_text(run / "history.csv", history_csv([row(1, train_loss=math.nan), row(2, lr=math.inf)]))
    curves = ask(service, "training", run=RUN)["curves"]
    assert curves["train_loss"] == [None, 0.5]
    assert curves["lr"] == [0.01, None]


@pytest.mark.parametrize(
    "history", [b"step,epoch\n1,", b"step,epoch\n1,2.0,3,4\n", b"\xff\xfe\x00", b"", b"step,epoch\nx,y\n"]
)
@pytest.mark.parametrize("card", [b"{", b"[]", b'{"metrics": 5, "epochs": "two"}', b"\xff"])
def test_half_written_files_never_break_the_page(service, run, history, card):
    (run / "history.csv").write_bytes(history)
    (run / "card.json").write_bytes(card)
    (run / "snapshots" / "step-00000099.safetensors").write_bytes(b"\x08\x00")
    reading = ask(service, "training", run=RUN)
    assert "error" not in reading
    assert len(reading["run"]["snapshots"]) == 2
    assert len(ask(service, "runs")["runs"]) == 2
    assert len(ask(service, "epochs", run=RUN, picture=PICTURE, mask=MASK)["epochs"]) == 3


def test_half_written_weights_are_left_out(service, run):
    (run / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:900])
    epochs = ask(service, "epochs", run=RUN, picture=PICTURE, mask=MASK)["epochs"]
    assert [epoch["epoch"] for epoch in epochs] == [0.1, 1.0]
    for path in (run / "snapshots").iterdir():
        path.write_bytes(b"")
    assert "half written" in ask(service, "epochs", run=RUN, picture=PICTURE, mask=MASK)["error"]


@pytest.mark.parametrize("config", ["", "model: {name: et, patch_size: 0}", "model: {name: none}", "model: [et", "5"])
def test_a_broken_configuration_is_one_sentence(service, run, config):
    (run / "config.yaml").write_text(config)
    assert "config.yaml" in ask(service, "runs")["runs"][1]["problem"]
    assert "config.yaml" in ask(service, "epochs", run=RUN, picture=PICTURE, mask=MASK)["error"]
    assert "error" not in ask(service, "training", run=RUN)


# ---- one picture through the epochs ------------------------------------------------------------------------------


def test_each_epoch_rebuilds_with_its_own_weights(service, models):
    answer = ask(service, "epochs", run=RUN, picture=PICTURE, mask=MASK)
    image, mask = service.pictures(CARRIED_GALLERY, 32).images[1].float() / 255, etviz.mask_from_hex(MASK)
    assert [(epoch["file"], epoch["epoch"]) for epoch in answer["epochs"]] == [
        ("step-00000001.safetensors", 0.1),
        ("step-00000010.safetensors", 1.0),
        (None, 2.0),
    ]
    for epoch, model in zip(answer["epochs"], models, strict=True):
        rebuilt = model.reconstruct(image[None], mask)
        last = pixels_of(epoch["frames"], TINY["steps"] + 1)[-1]
        assert (last.int() - to_bytes(rebuilt)[0].int()).abs().max() <= 1  # snapshots are half precision
        assert epoch["psnr"][-1] == pytest.approx(masked_psnr(image[None], rebuilt, mask).item(), abs=0.02)


def test_epochs_take_as_many_steps_as_the_page_but_no_more_than_fit(service):
    for steps, taken in ((2, 2), (60, LIMITS.epoch_steps), (200, LIMITS.epoch_steps)):
        answer = ask(service, "epochs", run=RUN, picture=PICTURE, mask=MASK, steps=steps)
        assert [len(epoch["psnr"]) for epoch in answer["epochs"]] == [taken + 1] * 3
    assert "whole number" in ask(service, "epochs", run=RUN, picture=PICTURE, mask=MASK, steps="many")["error"]


def test_a_run_s_snapshot_can_be_opened_everywhere(service, models):
    question = {"model": RUN, "snapshot": "step-00000010.safetensors", "picture": PICTURE, "mask": MASK}
    image, mask = service.pictures(CARRIED_GALLERY, 32).images[1].float() / 255, etviz.mask_from_hex(MASK)
    expected = models[1].trace(image[None], mask).energy[0].tolist()
    assert service.ask(question)["energy"] == pytest.approx(expected, rel=1e-2)
