"""The comparison's numbers against other computations, and its page against its numbers."""

import json
import re

import numpy as np
import pytest
import torch
from scipy.stats import sem, ttest_rel

import etviz
from etviz import UsageError, compare, comparison, comparison_page
from etviz.checkpoints import save_checkpoint
from etviz.comparison import Entry, difference, make_split, measure_floor, measure_model
from etviz.metrics import evaluate_model, evaluation_masks, summarize
from tests.conftest import TINY


@pytest.fixture
def dataset(archive):
    return etviz.load_dataset(str(archive))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return etviz.create_model("et", **TINY).eval()


def entry(name, errors, **card):
    errors = torch.as_tensor(errors, dtype=torch.float64)
    values = {"masked_mse": errors, "raw_mse": errors, "completed_mse": errors * 0.85}
    values |= {"raw_ssim": errors * 0 + 0.4, "completed_ssim": errors * 0 + 0.5}
    costs = {"parameters": 1000, "reconstruct_flops": 2e6, "training_flops": 7e6, "peak_bytes": 2**21}
    return Entry(
        name=name,
        errors=errors,
        metrics=summarize(values),
        accuracy={"knn": 0.3, "linear": 0.4},
        costs=costs | {"images_per_second": 123.4},
        card={"images_seen": 768_000, "seconds": 3600, **card},
    )


def test_a_model_is_measured_as_evaluate_does(model, dataset):
    split = make_split(dataset, 0.85, 64, seed=3, images=20, probe=50)
    found = measure_model("mine", model, {"images_seen": 5}, split)
    expected = evaluate_model(model, dataset.test_images[:20], mask_seed=3)
    assert {name: found.metrics[name] for name in expected} == pytest.approx(expected)
    assert found.costs["parameters"] == sum(p.numel() for p in model.parameters())
    assert found.costs["images_per_second"] > 0
    assert found.ceiling is None
    assert set(found.accuracy) == {"knn", "linear"}
    assert all(0 <= value <= 1 for value in found.accuracy.values())


def test_masks_and_probe_images_are_the_ones_asked_for(dataset):
    split = make_split(dataset, 0.5, 64, seed=7, images=9, probe=30)
    assert torch.equal(split.masks, evaluation_masks(9, 0.5, 64, 7))
    assert torch.equal(split.images, dataset.test_images[:9])
    assert torch.equal(split.train_labels, dataset.train_labels[:30])


def test_other_patches_than_the_masks_are_refused(dataset):
    split = make_split(dataset, 0.85, 64, seed=0, images=4, probe=10)
    coarse = etviz.create_model("et", **TINY, patch_size=8)
    with pytest.raises(UsageError, match="coarse has 16 patches, and the masks have 64"):
        measure_model("coarse", coarse, {}, split)


def test_floors_are_measured_alike(dataset):
    split = make_split(dataset, 0.85, 64, seed=0, images=12, probe=10)
    found = measure_floor("visible mean", split)
    images, hidden = split.images.double().numpy() / 255, split.masks.reshape(12, 8, 8).numpy()
    hidden = hidden.repeat(4, axis=1).repeat(4, axis=2)
    for index in (0, 5, 11):
        shown = images[index][:, ~hidden[index]].mean(axis=1, keepdims=True)
        expected = np.square(images[index][:, hidden[index]] - shown).mean()
        assert found.errors[index].item() == pytest.approx(expected, rel=1e-4)


def test_the_spread_of_the_psnr_is_that_of_repeated_splits():
    rng = np.random.default_rng(0)
    splits = rng.gamma(4.0, 0.005, (2000, 300))
    repeated = -10 * np.log10(splits.mean(axis=1))
    found = entry("a", splits[0]).metrics["masked_psnr_standard_error"]
    assert found == pytest.approx(repeated.std(), rel=0.15)


def test_differences_are_paired():
    rng = np.random.default_rng(1)
    first = rng.gamma(4.0, 0.005, 500)
    second = first + rng.normal(0.0004, 0.002, 500)
    found = difference(entry("second", second), entry("first", first))
    assert (found.better, found.worse) == ("first", "second")
    assert found.mse == pytest.approx((second - first).mean())
    assert found.standard_error == pytest.approx(sem(second - first))
    assert found.mse / found.standard_error == pytest.approx(ttest_rel(second, first).statistic)
    assert found.sure == (ttest_rel(second, first).statistic > 2)
    assert not difference(entry("a", first), entry("b", first)).sure


def test_the_reading_follows_the_numbers():
    rng = np.random.default_rng(2)
    best = rng.gamma(4.0, 0.005, 500)
    noise = rng.normal(0, 0.002, 500)
    close, far = best + noise - noise.mean() + 1e-5, best + 0.004
    floor = entry("Navier-Stokes", best + 0.002)
    entries = comparison.ranked([entry("far", far), entry("best", best), entry("close", close)])
    text = " ".join(comparison_page.reading(entries, [floor]))
    assert "not to be told apart from" in text
    assert "ahead of far" in text
    assert re.search(r"Not beyond 2 standard errors better than Navier-Stokes \([\d.]+ dB\), .*: far\.", text)
    assert "768,000 training images each" in text
    better = comparison_page.reading(entries[:2], [entry("Navier-Stokes", best + 0.02)])
    assert better[0].startswith("Every model beats Navier-Stokes")
    assert "different budgets" in comparison_page.reading([*entries, entry("x", best, images_seen=3)], [floor])[-2]


def test_the_command_writes_page_figures_and_json(model, archive, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path / "shipped"))
    card = {"dataset": str(archive), "images_seen": 640, "seconds": 2.0}
    save_checkpoint(model, tmp_path / "shipped" / "one", card)
    save_checkpoint(etviz.create_model("et", **TINY), tmp_path / "shipped" / "two", card)
    save_checkpoint(model, tmp_path / "shipped" / "foreign", card | {"dataset": "cifar100"})
    out = tmp_path / "docs"
    compare.main([f"dataset={archive}", f"out={out}", "images=12", "probe_images=40", "ratio_images=3", "device=cpu"])
    assert capsys.readouterr().out.strip() == str(out / "comparison.md")
    page, report = (out / "comparison.md").read_text(), json.loads((out / "comparison.json").read_text())
    assert set(report["entries"]) == {"one", "two", "visible mean", "Navier-Stokes"}
    for name, found in report["entries"].items():
        row = next(line for line in page.splitlines() if line.startswith((f"| `{name}` ", f"| {name} ")))
        assert f"{found['metrics']['masked_mse']:.5f}" in row
        assert f"{found['metrics']['masked_psnr']:.2f} ±" in row
    pictures = re.findall(r"\]\((\S+\.png)\)", page)
    assert len(pictures) == 3
    assert all((out / picture).stat().st_size > 1000 for picture in pictures)


def test_nothing_to_compare_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))
    with pytest.raises(UsageError, match="No shipped checkpoint was trained on cifar10"):
        compare.main([f"out={tmp_path}"])
