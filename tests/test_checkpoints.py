import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import etviz
from etviz import UsageError, checkpoints, files
from tests.conftest import TINY


@pytest.fixture
def saved(tmp_path):
    model = etviz.create_model("et", **TINY)
    checkpoints.save_checkpoint(model, tmp_path / "mine", {"name": "mine", "parameters": 1})
    return tmp_path / "mine"


def test_format(saved):
    assert sorted(p.name for p in saved.iterdir()) == ["card.json", "config.yaml", "model.safetensors"]
    assert yaml.safe_load((saved / "config.yaml").read_text())["model"]["name"] == "et"
    assert json.loads((saved / "card.json").read_text())["name"] == "mine"


def test_by_name_path_and_file(saved, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(saved.parent))
    assert etviz.list_checkpoints() == ["mine"]
    for name in ("mine", saved, str(saved / "model.safetensors")):
        assert etviz.load_model(name).name == "et"
    assert checkpoints.load_card("mine")["parameters"] == 1


def test_an_unfinished_run_is_no_shipped_model(saved, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(saved.parent))
    shutil.copytree(saved, saved.parent / "unfinished" / "begun")
    assert etviz.list_checkpoints() == ["mine"]
    assert etviz.load_model(saved.parent / "unfinished" / "begun").name == "et"


def test_loaded_model_is_ready_to_use(saved):
    assert not etviz.load_model(saved).training


def test_unknown_name_suggests(saved, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(saved.parent))
    with pytest.raises(UsageError, match="did you mean 'mine'"):
        etviz.load_model("mime")


def test_truncated_weights(saved):
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UsageError, match="truncated or no safetensors file"):
        etviz.load_model(saved)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04\x95 a pickle"])
def test_foreign_files(saved, content):
    (saved / "model.safetensors").write_bytes(content)
    with pytest.raises(UsageError, match="truncated or no safetensors file"):
        etviz.load_model(saved)


def test_another_models_weights(saved):
    save_file({"layer.weight": torch.zeros(2)}, saved / "model.safetensors")
    with pytest.raises(UsageError, match="another model's weights"):
        etviz.load_model(saved)


def test_weights_that_do_not_fit_the_configuration(saved):
    config = yaml.safe_load((saved / "config.yaml").read_text())
    config["model"]["embed_dim"] = 48
    (saved / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError, match="does not fit its config"):
        etviz.load_model(saved)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[1, 2]", "model: 3", "model: {", "model: {name: vgg}", "model: {name: et, x: 1}"),
        *("model: {name: [et]}", "model: {name: et, 3: 1}", "model: {name: et, img_size: x}"),
        *("model: {name: et}\ntrain: [1]", "model: {name: et, mean: {a: 1}}"),
    ],
)
def test_damaged_configuration(saved, text):
    (saved / "config.yaml").write_text(text)
    with pytest.raises(UsageError):
        etviz.load_model(saved)


def test_configuration_is_never_executed(saved):
    (saved / "config.yaml").write_text("model: !!python/object/apply:os.system ['touch pwned']")
    with pytest.raises(UsageError):
        etviz.load_model(saved)


def test_damaged_card(saved):
    (saved / "card.json").write_text("{")
    with pytest.raises(UsageError, match="not valid JSON"):
        checkpoints.load_card(saved)
    for text in ("[1]", '{"metrics": [1]}', "3"):
        (saved / "card.json").write_text(text)
        with pytest.raises(UsageError, match="is no card"):
            checkpoints.load_card(saved)


@pytest.mark.parametrize("name", ["~nosuch/x", "x" * 5000, "x/" * 3000, "a\0b"])
def test_paths_that_cannot_be(name):
    with pytest.raises(UsageError, match="no checkpoint"):
        etviz.load_model(name)


def test_a_folder_of_checkpoints_that_cannot_be(monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", "~nosuch/checkpoints")
    assert etviz.list_checkpoints() == []


@pytest.mark.parametrize("name", ["../mine", "..", "a/b", ""])
def test_names_never_leave_the_checkpoints_folder(saved, monkeypatch, name):
    inner = saved.parent / "inner"
    inner.mkdir()
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(inner))
    with pytest.raises(UsageError, match="no checkpoint"):
        etviz.load_model(name)


def test_snapshots_are_half_precision_and_load(saved):
    model = etviz.load_model(saved)
    checkpoints.save_snapshot(model, saved, step=120, epoch=1.5, images=960)
    checkpoints.save_snapshot(model, saved, step=7, epoch=0.1, images=56)
    names = checkpoints.list_snapshots(saved)
    assert names == ["step-00000007.safetensors", "step-00000120.safetensors"]
    assert checkpoints.snapshot_metadata(saved, names[1]) == {"epoch": "1.5", "images": "960"}
    assert all(t.dtype == torch.float16 for t in load_file(saved / "snapshots" / names[0]).values())
    loaded = etviz.load_model(saved, snapshot=names[0])
    torch.testing.assert_close(loaded.embed.weight, model.embed.weight, atol=1e-3, rtol=1e-3)
    assert loaded.embed.weight.dtype == torch.float32


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_text(path, "old")

    def fail(fd):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoints.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_every_shipped_checkpoint_loads_and_has_an_honest_card():
    for name in etviz.list_checkpoints():
        model, card = etviz.load_model(name), checkpoints.load_card(name)
        assert card["name"] == name
        assert card["parameters"] == sum(p.numel() for p in model.parameters())
        assert card["images_seen"] > 0
        assert card["metrics"]["test"]["images"] == 10_000
        assert card["metrics"]["test"]["mask_seed"] == 0


def test_the_table_of_shipped_checkpoints_is_what_their_cards_say():
    shipped = Path(__file__).resolve().parent.parent / "checkpoints"
    assert checkpoints.checkpoint_table() in (shipped / "README.md").read_text()


def test_table_row(saved, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(saved.parent))
    card = dict(name="mine", model="et", dataset="cifar10", parameters=1234567, images_seen=50_000, seconds=5400)
    card |= dict(device="a CPU", metrics={"test": {"masked_mse": 0.03, "masked_psnr": 15.2288}})
    checkpoints.write_card(saved, card)
    checkpoints.write_card(saved, card | {"precision": "bf16-mixed"})
    assert "| a CPU, bf16-mixed |" in checkpoints.checkpoint_table()
    checkpoints.write_card(saved, card)
    for damaged in (card | {"seconds": "long"}, {"name": "mine"}, card | {"metrics": {"test": [1]}}):
        checkpoints.write_card(saved, damaged)
        with pytest.raises(UsageError, match=r"card\.json.*(lacks|is no card)"):
            checkpoints.checkpoint_table()
    checkpoints.write_card(saved, card)
    row = checkpoints.checkpoint_table().splitlines()[2]
    assert row == "| `mine` | `et` | cifar10 | 1,234,567 | 50,000 | a CPU | 1.5 h | 0.03000 | 15.23 dB |"


def test_checkpoints_here_and_shipped_ones_are_both_found(saved, tmp_path, monkeypatch):
    """A folder called checkpoints where one works hides nothing; of two with one name, one's own is meant."""
    monkeypatch.delenv("ETVIZ_CHECKPOINTS", raising=False)
    monkeypatch.chdir(tmp_path)
    shipped = set(etviz.list_checkpoints())
    assert "et-small-cifar10" in shipped
    shutil.copytree(saved, tmp_path / "checkpoints" / "own")
    assert set(etviz.list_checkpoints()) == shipped | {"own"}
    assert checkpoints.find_checkpoint("own") == Path("checkpoints/own")
    assert (
        checkpoints.find_checkpoint("et-small-cifar10").parent
        == Path(checkpoints.__file__).parent.parent / "checkpoints"
    )
    shutil.copytree(saved, tmp_path / "checkpoints" / "et-small-cifar10")
    assert checkpoints.find_checkpoint("et-small-cifar10") == Path("checkpoints/et-small-cifar10")
