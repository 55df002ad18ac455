"""The comparison's numbers against other computations, and its page against its numbers."""

import json
import re

import numpy as np
import pytest
import torch
from scipy.stats import sem, ttest_rel

import etviz
from etviz import UsageError, compare
from etviz.checkpoints import save_checkpoint
from etviz.evaluation import comparison, inputs
from etviz.evaluation.comparison import Entry, difference, make_split, measure_floor, measure_model
from etviz.metrics import evaluate_model, evaluation_masks, masked_mse, summarize
from etviz.reports import comparison as comparison_page
from tests.conftest import TINY


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Timing without waiting; every rate is still measured."""
    monkeypatch.setattr(comparison, "SPEED_SECONDS", 0.0)


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
        costs=costs | {"images_per_second": 123.4, "trained_per_second": 56.7},
        card={"images_seen": 768_000, "seconds": 3600, **card},
    )


def test_a_model_is_measured_as_evaluate_does(model, dataset):
    split = make_split(dataset, 0.85, 64, seed=3, images=20, probe=50)
    weights = {name: weight.clone() for name, weight in model.named_parameters()}
    found = measure_model("mine", model, {"images_seen": 5}, split)
    expected = evaluate_model(model, dataset.test_images[:20], mask_seed=3)
    assert {name: found.metrics[name] for name in expected} == pytest.approx(expected)
    assert found.costs["parameters"] == sum(p.numel() for p in model.parameters())
    assert found.costs["images_per_second"] > found.costs["trained_per_second"] > 0
    torch.testing.assert_close(dict(model.named_parameters()), weights)  # timing a training step trains a copy
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


def test_an_autoencoder_is_refused(dataset):
    split = make_split(dataset, 0.85, 64, seed=0, images=4, probe=10)
    with pytest.raises(UsageError, match="codes is an autoencoder"):
        measure_model("codes", etviz.create_model("tokenizer", width=16, depth=1), {}, split)


def test_speed_is_the_median_of_calls_after_one_to_warm_up(monkeypatch):
    calls, clock = [], iter([4.0, 50.0, 3.0, 5.0, 6.0, 0.0, 0.0])
    monkeypatch.setattr(comparison, "_seconds", lambda function: (function(), next(clock))[1])
    assert comparison._median_seconds(lambda: calls.append(0)) == 5.0
    assert len(calls) == 1 + 5


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


def test_the_reading_names_pairs_that_are_no_neighbours():
    rng = np.random.default_rng(3)
    base = rng.gamma(4.0, 0.005, 400)
    wobble = [rng.normal(0, 0.004, 400) for _ in range(2)]
    near = [base + noise - noise.mean() + shift for noise, shift in zip(wobble, (1e-5, 2e-5), strict=True)]
    entries = [entry("a", base), entry("b", near[0]), entry("c", near[1]), entry("d", base + 0.005)]
    assert ttest_rel(base, near[1]).pvalue > 0.5
    (apart,) = [
        line for line in comparison_page.reading(entries, [entry("floor", base * 2)]) if "no neighbours" in line
    ]
    assert apart.endswith("no neighbours: a from c.")
    clear = [entry(name, base + shift) for name, shift in (("a", 0), ("b", 0.01), ("c", 0.02))]
    assert not any("no neighbours" in line for line in comparison_page.reading(clear, [entry("floor", base * 9)]))


def test_the_reading_names_extremes_and_order_by_other_measures():
    errors = np.linspace(0.01, 0.03, 50)
    first, second = entry("first", errors, model="beit"), entry("second", errors + 0.01, model="et")
    second.costs |= {"reconstruct_flops": 5e6, "images_per_second": 12.34}
    second.metrics["completed_ssim"], first.accuracy["linear"] = 0.6, 0.5
    text = "\n".join(comparison_page.reading([first, second], [entry("floor", errors + 0.1)]))
    assert "takes second 2.5 times the FLOPs of first; the fastest here, first, rebuilds 10.0 times" in text
    assert "SSIM puts them in another order: second (0.600) and first (0.500)." in text
    assert "best from first (50.0%), whose reconstructions rank 1 of 2 too." in text
    assert "BEiT, by the cross-entropy" in text
    assert "SimMIM" not in text
    gains = [-10 * np.log10(errors.mean() + more) + 10 * np.log10(errors.mean() + 0.1) for more in (0.01, 0)]
    assert f"by {gains[0]:.2f} to {gains[1]:.2f} dB." in text


def test_where_navier_stokes_is_ahead_is_counted():
    entries = [entry("a", [0.01, 0.02]), entry("b", [0.01, 0.02])]
    by_ratio = {"a": [20.0, 18.0, 15.0, 11.0], "b": [21.0, 16.0, 14.0, 12.0], "Navier-Stokes": [22.0, 17.0, 13.0, 10.0]}
    text = comparison_page.over_ratios([0.1, 0.4, 0.7, 0.9], entries, by_ratio)
    assert text == "Navier-Stokes is ahead of every model at 10%; of 1 of 2 at 40%; of no model at 70% and 90%."


def test_perceptual_metrics_are_columns_where_they_were_measured():
    plain, full = entry("plain", [0.01, 0.02]), entry("full", [0.02, 0.03])
    assert "LPIPS" not in comparison_page.quality_table([plain], [])[0]
    full.metrics |= {"completed_lpips_alex": 0.12345, "completed_fid": 67.891}
    head, _, first, second = comparison_page.quality_table([plain, full], [])
    columns = [cell.strip() for cell in head.split("|")[1:-1]]
    cells = [dict(zip(columns, [c.strip() for c in row.split("|")[1:-1]], strict=True)) for row in (first, second)]
    lpips, fid = (next(column for column in columns if word in column) for word in ("LPIPS", "FID"))
    assert (cells[1][lpips], cells[1][fid]) == ("0.1235", "67.891")
    assert (cells[0][lpips], cells[0][fid]) == ("", "")


def test_accuracies_have_their_standard_errors():
    (row,) = comparison_page.quality_table([entry("a", [0.01] * 100)], [])[2:]
    spread = [
        100 * np.std([1] * ones + [0] * (100 - ones)) / 10 for ones in (30, 40)
    ]  # of 100 images, 30% and 40% right
    assert row.endswith(f"| 30.0% ± {spread[0]:.1f} | 40.0% ± {spread[1]:.1f} |")


@pytest.mark.parametrize(("images", "told_apart"), [(100, False), (10_000, True)])
def test_linear_probes_that_cannot_be_told_apart_are_said_to_be_so(images, told_apart):
    best, second = entry("best", [0.01] * images), entry("second", [0.02] * images)
    best.accuracy["linear"] = 0.45
    (line,) = [text for text in comparison_page.reading([best, second], [best]) if "linear probe" in text]
    assert ("second (40.0%) is within 2 standard errors of it." in line) != told_apart


def test_the_page_says_with_how_much_hidden_each_model_learned():
    a, b, c = (entry(name, [0.01, 0.02], ratio=0.85) for name in "abc")
    assert comparison_page.trained_at([a, b]).startswith("Every model was trained with 85% hidden,")
    c.card["ratio"] = 0.75
    assert comparison_page.trained_at([c, a, b]).startswith("The models were trained with 85% hidden, but c with 75%:")
    c.card["ratio"] = None
    assert comparison_page.trained_at([a, c]).startswith("Each model was trained at one share only")


def test_a_mixture_decides_its_own_share_and_a_recipe_that_of_others(model, tmp_path):
    sizes = dict(embed_dim=16, depth=1, num_heads=2, decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2)
    mixing = etviz.create_model("mixedae", **sizes, group=2)
    for name, made in (("mixing", mixing), ("plain", model)):
        save_checkpoint(made, tmp_path / name, {"seconds": 3.0}, {"train": {"ratio": 0.6}})
    assert inputs.trained(str(tmp_path / "mixing"), mixing) == {"seconds": 3.0, "ratio": 0.5}
    assert inputs.trained(str(tmp_path / "plain"), model) == {"seconds": 3.0, "ratio": 0.6}
    owner = mixing.draw_owners(9, "cpu")
    assert (owner != 1).float().mean() == mixing.own_ratio


def test_a_tokenizers_own_training_is_not_passed_over():
    plain, codes = entry("plain", [0.01, 0.02]), entry("codes", [0.02, 0.03])
    assert "tokenizer" not in " ".join(comparison_page.reading([plain, entry("b", [0.02, 0.02])], [codes]))
    codes.ceiling = 24.6
    codes.costs["trained_parameters"] = 1234
    assert "each, a tokenizer's own aside" in " ".join(comparison_page.reading([plain, codes], [plain]))
    page = comparison_page.make_page(
        SETTING, [plain, codes], [FLOOR], {n: [20.0] for n in ("plain", "codes", FLOOR.name)}
    )
    assert "`codes` stands on a tokenizer that was trained before it: of its parameters, 1,234 are its own" in page


SETTING = {"dataset": "cifar100", "images": 2, "hidden_patches": 54, "patches": 64, "mask_seed": 0, "probe_images": 5}
SETTING |= {"ratio_images": 2, "ratios": [0.85], "device": "a CPU", "left_out": {}}
FLOOR = entry("Navier-Stokes", [0.05, 0.06])
FLOOR.costs = {}


def test_the_page_names_the_command_that_writes_it_and_what_was_left_out():
    def page(**setting):
        found = [entry("a", [0.01, 0.02])]
        return comparison_page.make_page(SETTING | setting, found, [FLOOR], {"a": [20.0], FLOOR.name: [14.0]})

    assert "Written by `python -m etviz.compare dataset=cifar100 out=docs/cifar100`," in page()
    assert "Written by `python -m etviz.compare`," in page(dataset="cifar10")
    assert "Not measured" not in page()
    lacking = page(left_out={"LPIPS (AlexNet)": "alexnet.pth", "FID": "inception.pth"})
    assert "Not measured, for want of weights: LPIPS (AlexNet) needs alexnet.pth, FID needs inception.pth." in lacking


class CountingMeter:
    """Stands in for a network's metric: how many images it was shown."""

    def start(self):
        self.seen = 0

    def update(self, images, completed, raw):
        self.seen += len(images)
        return {"completed_lpips_alex": torch.full((len(images),), 0.25)}

    def finish(self):
        return {"completed_fid": float(self.seen)}


def test_meters_see_every_image_of_models_and_floors(model, dataset):
    split = make_split(dataset, 0.85, 64, seed=0, images=12, probe=20)
    meters = [CountingMeter()]
    measured = [
        measure_floor("visible mean", split, meters=meters),
        measure_model("m", model, {}, split, meters=meters),
    ]
    for found in measured:
        assert (found.metrics["completed_fid"], found.metrics["completed_lpips_alex"]) == (12.0, 0.25)


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
        shares = [line for line in page.splitlines() if line.startswith((f"| `{name}` ", f"| {name} "))][-1]
        assert shares.split("|")[2:-1] == [f" {psnr:.2f} " for psnr in found["psnr_by_ratio"]]
    images, mask = etviz.load_dataset(str(archive)).test_images[:3].float() / 255, evaluation_masks(3, 0.4, 64, 0)
    psnr = masked_mse(images, model.reconstruct(images, mask), mask).mean().log10().item() * -10
    assert report["entries"]["one"]["psnr_by_ratio"][report["ratios"].index(0.4)] == pytest.approx(psnr, abs=1e-4)
    assert report["left_out"]
    assert all(f"{title} needs {file}" in page for title, file in report["left_out"].items())
    pictures = re.findall(r"\]\((\S+\.png)\)", page)
    assert len(pictures) == 3
    assert all((out / picture).stat().st_size > 1000 for picture in pictures)


@pytest.mark.parametrize(
    ("names", "message"),
    [("[one,one]", "'one' is named twice"), ("[a,b,c,d,e,f,g,h]", "7 models apart, not 8"), ("[[a]]", "takes a word")],
)
def test_checkpoints_that_cannot_be_shown_are_refused(names, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        compare.main([f"checkpoints={names}", f"out={tmp_path}", "device=cpu"])


def test_a_shipped_tokenizer_is_passed_over(model, tmp_path, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))
    save_checkpoint(model, tmp_path / "one", {"dataset": "cifar10"})
    save_checkpoint(etviz.create_model("tokenizer", width=16, depth=1), tmp_path / "codes", {"dataset": "cifar10"})
    assert inputs.chosen(None, "cifar10") == ["one"]


def test_nothing_to_compare_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))
    with pytest.raises(UsageError, match="No shipped checkpoint was trained on cifar10"):
        compare.main([f"out={tmp_path}"])
