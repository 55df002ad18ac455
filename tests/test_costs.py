"""Costs are counts: each against one by hand."""

import json
import subprocess
import sys

import pytest
import torch

import etviz
from etviz import UsageError, costs
from etviz.models import __main__ as command
from tests.conftest import TINY


def test_flops_of_a_descent_equal_a_count_by_hand(images, mask):
    model = etviz.create_model("et", **TINY)
    tokens, dim, heads, head_dim, memories = 65, 32, 2, 16, 128
    stacked = 2 * heads * head_dim + memories
    step = 2 * tokens * stacked * dim * 2 + 3 * 2 * heads * tokens * tokens * head_dim
    by_hand = 4 * step + 2 * 64 * 48 * dim * 2
    counted = costs.count_flops(lambda: model.reconstruct(images, mask))
    assert counted == 4 * by_hand


def test_flops_of_mae_equal_a_count_by_hand(images, mask):
    """The encoder works on CLS and 10 visible patches, the decoder on all; patches are cut and embedded by 64."""
    model = etviz.create_model("mae", embed_dim=32, depth=3, num_heads=2, decoder_embed_dim=24, decoder_depth=2)

    def layer(tokens, dim):
        return 2 * tokens * 12 * dim**2 + 2 * 2 * tokens**2 * dim  # products with weights, and attention

    by_hand = 2 * 64 * 48 * 32 + 3 * layer(11, 32) + 2 * 11 * 32 * 24 + 2 * layer(65, 24) + 2 * 65 * 24 * 48
    assert costs.count_flops(lambda: model.reconstruct(images, mask)) == 4 * by_hand


def test_added_memory_is_the_largest_sum_held_at_once():
    kept = []

    def function():
        first = torch.zeros(1000)  # 4000 bytes
        second = torch.ones(2000)
        del first
        kept.append(torch.ones(500))
        del second

    assert costs.added_memory(function, torch.device("cpu")) == 12_000


def test_peak_memory_holds_weights_gradients_and_moments(images, mask):
    model = etviz.create_model("et", **TINY)
    parameters = 4 * sum(p.numel() for p in model.parameters())
    assert costs.peak_memory(model, images, mask) > 4 * parameters
    more = [costs.peak_memory(model, images[:n], mask[:n]) for n in (1, 2, 4)]
    assert more[1] - more[0] == pytest.approx((more[2] - more[1]) / 2, rel=0.05)  # activations grow with the batch


def test_frozen_parts_are_no_trained_parameters():
    row = costs.costs(etviz.create_model("beit", embed_dim=32, depth=1, num_heads=2), batch=4)
    tokenizer = sum(p.numel() for p in etviz.create_model("tokenizer").parameters())
    assert row["parameters"] - row["trained_parameters"] == tokenizer


def test_command_prints_every_preset_asked_for(capsys, tmp_path):
    command.main(["presets=[et_small,mae_small]", "batch_size=4", "device=cpu", f"json={tmp_path / 'costs.json'}"])
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert json.loads((tmp_path / "costs.json").read_text()) == report
    assert list(report["presets"]) == ["et_small", "mae_small"]
    assert report["presets"]["et_small"]["parameters"] == 119_729
    assert "119,729" in captured.err


@pytest.mark.parametrize(
    ("place", "message"),
    [("{}", "is a folder: name a file"), ("[a]", "json takes a word"), ("{}/a/b", "cannot be made")],
)
def test_a_place_that_cannot_be_written_is_refused_before_counting(place, message, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "costs", lambda *_: pytest.fail("counted first"))
    (tmp_path / "a").write_text("a file")
    with pytest.raises(UsageError, match=message):
        command.main(["presets=[et_small]", f"json={place.format(tmp_path)}"])


def test_the_json_file_may_be_named_from_home(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    command.main(["presets=[et_small]", "batch_size=1", "device=cpu", "json=~/new/costs.json"])
    assert (tmp_path / "new" / "costs.json").read_text() == capsys.readouterr().out


def test_command_knows_every_preset():
    presets = command.chosen_presets(None)
    assert {"et", "mae_match", "beit_small", "simmim", "mixedae_small", "tokenizer"} <= set(presets)
    with pytest.raises(UsageError, match="no preset 'vgg'"):
        command.chosen_presets(["vgg"])


def test_from_the_shell():
    done = subprocess.run(
        [sys.executable, "-m", "etviz.models", "presets=[vgg]"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: There is no preset 'vgg'")
