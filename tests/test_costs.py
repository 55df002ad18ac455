"""Costs are counts: each against one by hand."""

import json
import subprocess
import sys

import pytest
import torch

import etviz
from etviz import UsageError, commands
from etviz.evaluation import costs
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


def layer(tokens, width, keys=None):
    """A Transformer layer: queries, keys, values and output, two products of four times the width, attention."""
    return 2 * tokens * 12 * width**2 + 2 * 2 * tokens * (keys or tokens) * width


MAE_BY_HAND = 2 * 64 * 48 * 32 + 3 * layer(11, 32) + 2 * 11 * 32 * 24 + 2 * layer(65, 24) + 2 * 65 * 24 * 48
MIXEDAE_DECODER = 2 * 64 * 32 * 24 + 2 * layer(64, 24) + 2 * 64 * 24 * 48
RESIDUAL_BLOCK = 2 * (2 * 64 * 9 * 16 * 16)  # of the tokenizer, on 8 x 8 places
CODES_TO_PIXELS = 2 * 64 * 3 * 16 + RESIDUAL_BLOCK + 2 * 64 * 16 * 16 * 8 + 2 * 256 * 16 * 8 * 3
PIXELS_TO_CODES = 2 * 256 * 16 * 3 * 8 + 2 * 64 * 16 * 8 * 16 + RESIDUAL_BLOCK + 2 * 64 * 16 * 3
VIT = dict(embed_dim=32, depth=3, num_heads=2)
DECODER = dict(decoder_embed_dim=24, decoder_depth=2, decoder_num_heads=2)
CODES = etviz.create_model("tokenizer", width=16, depth=1)


@pytest.mark.parametrize(
    ("name", "options", "by_hand"),
    [
        # The encoder works on CLS and 10 visible patches, the decoder on all; patches are cut and embedded by 64.
        ("mae", VIT | DECODER, MAE_BY_HAND),
        # The encoder embeds the 10 visible patches alone, without a CLS token.
        ("mixedae", VIT | DECODER, 2 * 10 * 48 * 32 + 3 * layer(10, 32) + MIXEDAE_DECODER),
        # CLS and all patches; scores for 512 codes, the mean of the codes' three values, the tokenizer's decoder.
        (
            "beit",
            VIT | dict(tokenizer=CODES),
            2 * 64 * 48 * 32 + 3 * layer(65, 32) + 2 * 64 * 32 * 512 + 2 * 64 * 512 * 3 + CODES_TO_PIXELS,
        ),
        # Windows of 16 tokens: 64 of width 16, then four of them merged into one of 32; back to 8 x 8 x 3 pixels.
        (
            "simmim",
            dict(embed_dim=16, depths=(1, 2), num_heads=(2, 4)),
            2 * 64 * 48 * 16 + layer(64, 16, 16) + 2 * 16 * 64 * 32 + 2 * layer(16, 32, 16) + 2 * 16 * 32 * 192,
        ),
        ("tokenizer", dict(width=16, depth=1), PIXELS_TO_CODES + CODES_TO_PIXELS),
    ],
)
def test_flops_equal_a_count_by_hand(name, options, by_hand, images, mask):
    model = etviz.create_model(name, **options)
    assert costs.count_flops(lambda: model.reconstruct(images, mask)) == 4 * by_hand


def test_flops_of_mixing_equal_a_count_by_hand(images, mask):
    """Four images make one mixture, whose tokens are compared with one another; each is decoded by itself."""
    model = etviz.create_model("mixedae", **VIT, **DECODER)
    mixture = 2 * 64 * 48 * 32 + 3 * layer(64, 32) + 2 * 64 * 64 * 32
    counted = costs.count_flops(lambda: model.loss(images, mask))
    assert counted == mixture + 4 * MIXEDAE_DECODER


def test_flops_of_training_equal_a_count_by_hand(images, mask):
    """A product has two more on the way back, but for the first, whose input learns nothing."""
    model = etviz.create_model("mae", **VIT, **DECODER)
    counted = costs.count_flops(lambda: model.loss(images, mask).backward())
    assert counted == 4 * (3 * MAE_BY_HAND - 2 * 64 * 48 * 32)


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
    [("{}", "is a folder: name a file"), ("", "json must be a path"), ("{}/a/b", "cannot be made")],
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
    presets = commands.presets("model")
    assert {"et", "mae_match", "beit_small", "simmim", "mixedae_small", "tokenizer"} <= set(presets)
    with pytest.raises(UsageError, match="no preset 'vgg'"):
        command.main(["presets=[vgg]"])


def test_from_the_shell():
    done = subprocess.run(
        [sys.executable, "-m", "etviz.models", "presets=[vgg]"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: There is no preset 'vgg'")
