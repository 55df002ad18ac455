"""Run folders whose files are damaged or made to do harm: one sentence each, and the page still lists the rest."""

import json
import os
import shutil
import time

import pytest
import torch
from safetensors.torch import save_file

import etviz
from etviz import UsageError, checkpoints
from etviz.ui import runs, service
from tests.conftest import TINY

SOON = 60  # seconds for what takes milliseconds: a hang, not a slow machine
GOOD_TRAINING = {"train": {"epochs": 3}, "dataset": {"name": "cifar10"}}
ROW = {"step": 1, "epoch": 1, "masked_mse": 0.1, "masked_psnr": 10.0}
HEAD = "step,masked_mse,masked_psnr"

LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{i + 1}: &a{i + 1} [{', '.join(9 * [f'*a{i}'])}]\n" for i in range(9))
LAUGHS += "model: {name: et, mean: *a9}"  # 9^9 words, if they are ever written out

CONFIGS = [
    "!!timestamp z",
    "model: 2020-13-45",
    "model: {name: et, steps: !!int z}",
    "x: " + "1" * 4301,
    "[" * 494,
    "[" * 100000,
    "model:\n  name: !!python/object/apply:os.system [ls]\n",
    "\x00",
    "model: {name: [et]}",
    "model: {name: {}}",
    "model: {name: et, steps: 1000000000}",
    "model: {name: et, steps: -1}",
    "model: {name: et, depth: 1000000}",
    "model: {name: et, img_size: 0}",
    "model: {name: et, patch_size: 0}",
    "model: {name: et, img_size: .nan}",
    "model: {name: et, beta: .inf}",
    "model: {name: et, mean: 1}",
    "model: {name: et, mean: [a,b,c]}",
    "model: {name: et, embed_dim: 1e99}",
    "model: {name: et, embed_dim: 65536}",
    "model: {1: 2, name: et}",
    "- a",
    "model",
    "",
    "null",
    "a: &a [*a]",
    "a: &a {<<: *a}\nmodel: *a",
    LAUGHS,
    "%YAML 9.9\n---\nx: 1",
    "model: {name: beit, tokenizer: {name: et}}",
    "model: {name: beit, tokenizer: 3}",
    "model: {name: mae, depth: true}",
    "model: {name: simmim, depths: 3}",
]
CARDS = [
    "",
    "[]",
    "{",
    "null",
    "3",
    '{"metrics":3}',
    '{"metrics":{"test":1}}',
    '{"metrics":{"test":{"masked_psnr":"x"}}}',
    '{"parameters":"x"}',
    '{"parameters":1e999}',
    '{"a":' + "[" * 100000,
    '{"parameters":' + "1" * 5000 + "}",
    "\x00",
    '{"dataset":{"a":1}}',
    '{"dataset":[1]}',
    '{"metrics":{"test":null}}',
    '{"epochs":{"a":1}}',
    '{"seconds":NaN}',
    '{"metrics":{"validation":{"masked_psnr":NaN}}}',
    '{"metrics":{"test":{"masked_psnr":Infinity}}}',
    '{"name":1}',
]
HISTORIES = [
    "a\n1",
    "step\n1",
    HEAD + "\n1",
    HEAD + "\n1,x,2",
    HEAD + "\n" + "1" * 131073 + ",1,1",
    "\x00",
    HEAD + "\n1,2,3,4,5",
    HEAD + "\n" + "1" * 5000 + ",1,1",
    'step,masked_mse,masked_psnr\n"1,2',
    "",
    "\n",
    "step,step,step",
    HEAD + "\nnan,nan,nan",
    HEAD + "\n1,1e999,-1e999",
    HEAD + "\n--1,1,1",
    "step,masked_mse,masked_psnr,epoch,seconds\n1,1,1,nan,inf\n2,1,1,x,1",
]
RAW = [
    lambda raw: b"",
    lambda raw: raw[:7],
    lambda raw: raw[:8],
    lambda raw: raw[:100],
    lambda raw: raw[:-1],
    lambda raw: raw + b"x",
    lambda raw: b"\xff" * 100,
    lambda raw: (2**63).to_bytes(8, "little") + raw[8:],
    lambda raw: (2**40).to_bytes(8, "little") + raw[8:],
    lambda raw: raw[:8] + b"[" * (len(raw) - 8),
    lambda raw: b"PK\x03\x04" + raw,
    lambda raw: b"\x80\x04.",
]
CHANGES = {
    "nan": lambda tensor: tensor * float("nan"),
    "inf": lambda tensor: tensor * float("inf"),
    "int8": lambda tensor: tensor.to(torch.int8),
    "int64": lambda tensor: tensor.long(),
    "bool": lambda tensor: tensor.bool(),
    "complex64": lambda tensor: tensor.to(torch.complex64),
    "empty": lambda tensor: tensor.flatten()[:0],
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A run folder with nothing wrong."""
    folder = tmp_path_factory.mktemp("good") / "run"
    torch.manual_seed(0)
    checkpoints.save_checkpoint(etviz.create_model("et", **TINY), folder, {"name": "x", "metrics": {}}, GOOD_TRAINING)
    checkpoints.write_history(folder, [ROW])
    return folder


@pytest.fixture
def run(good, tmp_path):
    return shutil.copytree(good, tmp_path / "run")


def look_at(folder):
    """All that reads a run folder: whether its model loads. Whatever is wrong is one short sentence, and soon said."""
    place, said = str(folder), {}
    start = time.monotonic()
    for read in (checkpoints.load_card, checkpoints.load_history, etviz.load_model):
        try:
            read(place)
        except UsageError as error:
            said[read] = str(error)
    assert all("\n" not in text and len(text) < 700 for text in said.values())
    for shown in (runs.describe_run("run", place), runs.read_run("run", place, False), service.facts(place)):
        json.dumps(shown, allow_nan=False)
    assert time.monotonic() - start < SOON
    return etviz.load_model not in said


def test_the_folder_they_are_made_of_is_sound(run):
    assert look_at(run)


@pytest.mark.parametrize("text", CONFIGS, ids=range(len(CONFIGS)))
def test_configurations(text, run):
    (run / "config.yaml").write_text(text)
    assert not look_at(run)


@pytest.mark.parametrize("text", CARDS, ids=range(len(CARDS)))
def test_cards(text, run):
    (run / "card.json").write_text(text)
    assert look_at(run)  # a model needs no card


@pytest.mark.parametrize("text", HISTORIES, ids=range(len(HISTORIES)))
def test_histories(text, run):
    (run / "history.csv").write_text(text)
    assert look_at(run)


@pytest.mark.parametrize("damage", RAW, ids=range(len(RAW)))
def test_weights_that_are_no_file_of_tensors(damage, run):
    path = run / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert not look_at(run)


@pytest.mark.parametrize("change", CHANGES)
def test_weights_that_make_no_sense(change, run):
    path = run / "model.safetensors"
    tensors = checkpoints.read_tensors(path)
    for name in tensors:
        save_file(tensors | {name: CHANGES[change](tensors[name]).contiguous()}, path)
        with pytest.raises(UsageError, match=f"'{name}' is|does not fit"):
            etviz.load_model(run)


def test_weights_of_another_precision_are_taken(run):
    path = run / "model.safetensors"
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        save_file({name: tensor.to(kind) for name, tensor in checkpoints.read_tensors(path).items()}, path)
        assert look_at(run)


@pytest.mark.parametrize("kind", ["folder", "pipe", "endless", "circle", "binary", "gone"])
@pytest.mark.parametrize("name", ["config.yaml", "card.json", "history.csv", "model.safetensors"])
def test_what_is_no_ordinary_file(name, kind, run):
    path = run / name
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "circle":
        path.symlink_to(path)
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    assert look_at(run) == (name in ("card.json", "history.csv"))


def test_one_damaged_card_keeps_no_app_from_starting(good, archive, tmp_path, monkeypatch):
    """Each of the cards above, all of them shipped beside a sound checkpoint."""
    for index, text in enumerate(CARDS):
        shutil.copytree(good, tmp_path / "shipped" / f"damaged-{index}")
        (tmp_path / "shipped" / f"damaged-{index}" / "card.json").write_text(text)
    shutil.copytree(good, tmp_path / "shipped" / "sound")
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path / "shipped"))
    app = service.Service("sound", str(archive))
    entries = [app.menu_entry(name) for name in app.find_models("sound")]
    assert len(entries) == len(CARDS) + 1
    json.dumps(entries, allow_nan=False)
