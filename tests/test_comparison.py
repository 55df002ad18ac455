"""The comparison's numbers against other computations, and its page against its numbers."""

import itertools
import json
import re
import time

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel, wilcoxon

import etviz
from etviz import UsageError, compare
from etviz.analysis.robustness import curve_of
from etviz.checkpoints import save_checkpoint
from etviz.evaluation import comparison, inputs, timing
from etviz.evaluation.comparison import make_split, measure_checkpoint, measure_floor
from etviz.evaluation.scores import Evaluation, ranked
from etviz.inpainting import FLOORS
from etviz.metrics import evaluate_model, evaluation_masks, masked_mse
from etviz.reports import comparison as comparison_page
from etviz.reports.__main__ import main as write_pages
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


def entry(name, errors, linear=0.4, **card):
    """A measured model; ``linear`` is the share of images that a linear probe labels correctly, the first ones."""
    errors = torch.as_tensor(errors, dtype=torch.float64)
    values = {"masked_mse": errors, "raw_mse": errors, "completed_mse": errors * 0.85}
    values |= {"raw_ssim": errors * 0 + 0.4, "completed_ssim": errors * 0 + 0.5}
    costs = {"parameters": 1000, "reconstruct_flops": 2e6, "training_flops": 7e6, "peak_bytes": 2**21}
    costs |= {"images_per_second": 123.4, "trained_per_second": 56.7, "trained_parameters": 1000}
    right = {
        key: (torch.arange(len(errors)) < round(share * len(errors))).double()
        for key, share in (("knn", 0.3), ("linear", linear))
    }
    card = {"images_seen": 768_000, "seconds": 3600, **card}
    return Evaluation.of(name, values, correct=right, costs=costs, card=card)


def floor(errors, name="Navier-Stokes"):
    """A measured filler that learns nothing; the others are worse by far."""
    errors = torch.as_tensor(errors, dtype=torch.float64)
    values = {key: errors + 0.5 * (other != name) for other in FLOORS for key in [other]}
    found = []
    for other, own in values.items():
        made = entry(other, own)
        made.correct, made.costs, made.card = {}, {}, {}
        found.append(made)
    return found


SETTING = {"dataset": "cifar100", "images": 2, "hidden_patches": 54, "patches": 64, "mask_seed": 0, "probe_images": 5}
SETTING |= {"ratio_images": 2, "ratios": list(compare.RATIOS), "device": "a CPU", "left_out": {}}
SETTING |= {"format": comparison_page.FORMAT, "command": "python -m etviz.compare"}


def document(entries, floors, curves=None, **setting):
    """What the command stores of measured entries; without ``curves`` every ratio is like the page's own."""
    found = ranked([*entries, *floors])
    along = {one.name: curve_of(compare.RATIOS, one.errors.repeat(len(compare.RATIOS), 1)) for one in found}
    count = {"images": len(found[0].errors), "ratio_images": len(found[0].errors)}
    return json.loads(json.dumps(SETTING | count | setting | compare.results(found, along | (curves or {}))))


def page_of(entries, floors, curves=None, **setting):
    return comparison_page.make_page(document(entries, floors, curves, **setting))


def test_a_model_is_measured_as_evaluate_does(model, dataset):
    split = make_split(dataset, 0.85, 64, seed=3, images=20, probe=50)
    weights = {name: weight.clone() for name, weight in model.named_parameters()}
    found = measure_checkpoint("mine", model, {"images_seen": 5}, split)
    expected = evaluate_model(model, dataset.test_images[:20], mask_seed=3)
    assert {name: found.metrics[name] for name in expected} == pytest.approx(expected)
    assert found.costs["parameters"] == sum(p.numel() for p in model.parameters())
    assert found.costs["images_per_second"] > 0
    assert found.costs["trained_per_second"] > 0
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
        measure_checkpoint("coarse", coarse, {}, split)


def test_an_autoencoder_is_refused(dataset):
    split = make_split(dataset, 0.85, 64, seed=0, images=4, probe=10)
    with pytest.raises(UsageError, match="codes is an autoencoder"):
        measure_checkpoint("codes", etviz.create_model("tokenizer", width=16, depth=1), {}, split)


def test_speed_is_the_median_of_calls_after_one_to_warm_up(monkeypatch):
    calls, clock = [], iter([40.0, 50.0, 3.0, 5.0, 6.0, 4.0, 0.0])
    monkeypatch.setattr(timing, "_seconds", lambda function, device, clock_used: (function(), next(clock))[1])
    found = timing.median_seconds(lambda: calls.append(0), torch.device("cpu"), seconds=0.0, calls=5)
    assert (found, len(calls)) == (5.0, 1 + 5)
    clock = iter([9.0, 1.0, 1.0, 1.0, 7.0, 8.0])
    assert timing.median_seconds(lambda: None, torch.device("cpu"), seconds=9.5) == 1.0  # until 1 + 1 + 1 + 7


def test_the_process_own_time_does_not_count_waiting():
    device, wait = torch.device("cpu"), lambda: time.sleep(0.05)
    assert timing.median_seconds(wait, device, seconds=0.0, own=True) < 0.04 < timing.median_seconds(wait, device, 0.0)


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


def reading_of(page):
    """The sentences of the page's last section."""
    return [line.removeprefix("- ") for line in page.split("## Reading it")[1].splitlines() if line.startswith("- ")]


def test_verdicts_are_those_of_the_paired_tests():
    rng = np.random.default_rng(1)
    first = rng.gamma(4.0, 0.005, 500)
    second = first + rng.normal(0.0004, 0.002, 500)
    found = document([entry("second", second), entry("first", first)], floor(first * 3))
    (row,) = [row for row in found["paired"] if row["metric"] == "masked_mse"]
    assert (row["first"], row["second"]) == ("first", "second")
    assert row["t_test"] == pytest.approx(ttest_rel(first, second).pvalue)
    assert row["wilcoxon"] == pytest.approx(wilcoxon(first, second).pvalue)
    sentence = "`first` is ahead of `second`: its masked MSE is lower by "
    (said,) = [line for line in reading_of(comparison_page.make_page(found)) if line.startswith(sentence)]
    assert (row["verdict"], row["trainings"]) == ("ahead", [1, 1])
    assert said == (
        f"{sentence}{-row['difference']:.6f} ({-row['high']:.6f} to {-row['low']:.6f}). "
        "One training each: paired over images only, not between trainings."
    )


def test_one_test_alone_makes_no_verdict():
    """A few images far apart move the mean, and not the ranks."""
    rng = np.random.default_rng(4)
    base, gap = rng.gamma(4.0, 0.005, 300), rng.normal(0, 1e-4, 300)
    gap -= np.median(gap)
    gap[np.argsort(gap)[-30:]] += 0.002
    assert ttest_rel(base + gap, base).pvalue < 0.01
    assert wilcoxon(base + gap, base).pvalue > 0.05
    page = page_of([entry("a", base), entry("b", base + gap)], floor(base * 3))
    assert any(line.startswith("`a` and `b` are not told apart") for line in reading_of(page))


def test_the_reading_follows_the_numbers():
    rng = np.random.default_rng(2)
    best = rng.gamma(4.0, 0.005, 500)
    noise = rng.normal(0, 0.002, 500)
    close, far = best + noise - noise.mean() + 1e-5, best + 0.004
    entries = [entry("far", far), entry("best", best), entry("close", close)]
    text = "\n".join(reading_of(page_of(entries, floor(best + 0.002))))
    assert "`best` and `close` are not told apart" in text
    assert "`close` is ahead of `far`" in text
    assert re.search(r"Not better than Navier-Stokes \([\d.]+ dB\), the best here of 4 fillers .*: `far`\.", text)
    assert "768,000 training images each" in text
    better = reading_of(page_of([entry("best", best), entry("close", close)], floor(best + 0.02, "biharmonic")))
    assert better[0].startswith("Every model is better than biharmonic")
    assert "different training budgets" in page_of([*entries, entry("x", best, images_seen=3)], floor(best + 0.002))


def test_the_reading_names_pairs_that_are_no_neighbours():
    rng = np.random.default_rng(3)
    base = rng.gamma(4.0, 0.005, 400)
    wobble = [rng.normal(0, 0.004, 400) for _ in range(2)]
    near = [base + noise - noise.mean() + shift for noise, shift in zip(wobble, (1e-5, 2e-5), strict=True)]
    entries = [entry("a", base), entry("b", near[0]), entry("c", near[1]), entry("d", base + 0.005)]
    assert ttest_rel(base, near[1]).pvalue > 0.5
    (apart,) = [line for line in reading_of(page_of(entries, floor(base * 2))) if "not neighbours" in line]
    assert apart.endswith("either: `a` and `c`.")
    clear = [entry(name, base + shift) for name, shift in (("a", 0), ("b", 0.01), ("c", 0.02))]
    assert "not neighbours" not in page_of(clear, floor(base * 9))


def test_the_reading_names_extremes_and_order_by_other_measures():
    errors = np.linspace(0.01, 0.03, 50)
    first, second = entry("first", errors, linear=0.5, model="beit"), entry("second", errors + 0.01, model="et")
    second.costs |= {"reconstruct_flops": 5e6, "images_per_second": 12.34}
    second.metrics["completed_ssim"] = 0.6
    text = "\n".join(reading_of(page_of([first, second], floor(errors + 0.1))))
    assert "takes `second` 2.5 times as many FLOPs as `first`" in text
    assert "The fastest model here, `first`, rebuilds 10.0 times as many images a second as `second`" in text
    assert "a different order: `second` (0.600), `first` (0.500)." in text
    assert "By SSIM, these neighbours cannot be told apart: `second` and `first`." in text  # each image has the same
    assert "best from `first` (50.0%), which ranks 1 of 2 by masked MSE." in text
    assert "BEiT, which predicts codes by cross-entropy" in text
    assert "SimMIM" not in text
    gains = [-10 * np.log10(errors.mean() + more) + 10 * np.log10(errors.mean() + 0.1) for more in (0.01, 0)]
    assert f"The gain is {gains[0]:.2f} to {gains[1]:.2f} dB." in text


def test_each_ratio_names_its_best_floor_and_who_is_ahead_of_it():
    rng = np.random.default_rng(5)
    base = rng.gamma(4.0, 0.005, 200)
    noise = rng.normal(0, 0.004, 200)
    alike = base + noise - noise.mean()
    entries = [entry("a", base), entry("b", base + 0.01)]

    def curve(*levels):
        return curve_of(
            compare.RATIOS, torch.from_numpy(np.stack([*levels, *[levels[-1]] * (len(compare.RATIOS) - 2)]))
        )

    curves = {"biharmonic": curve(base + 0.005, base + 0.3), "Navier-Stokes": curve(base + 0.3, alike)}
    rows = [line for line in page_of(entries, floor(base * 5), curves).splitlines() if re.match(r"\| [125]+0?%", line)]
    assert rows[:2] == ["| 10% | biharmonic | `a` |  | `b` |", "| 25% | Navier-Stokes |  | `a` | `b` |"]


def models_of(document):
    entries = [{"name": name} | found for name, found in document["entries"].items()]
    return comparison_page.ranked(found for found in entries if not found["floor"])


def test_perceptual_metrics_are_columns_where_they_were_measured():
    plain, full = entry("plain", [0.01, 0.02]), entry("full", [0.02, 0.03])
    assert "LPIPS" not in page_of([plain], floor([0.1, 0.2]))
    full.metrics.update({"completed_lpips_alex": 0.12345, "completed_fid": 67.891})
    columns, first, second, *_ = comparison_page.quality_table(
        models_of(document([plain, full], floor([0.1, 0.2]))), []
    )
    cells = [dict(zip(columns, row, strict=True)) for row in (first, second)]
    lpips, fid = (next(column for column in columns if word in column) for word in ("LPIPS", "FID"))
    assert (cells[1][lpips], cells[1][fid]) == ("0.1235", "67.891")
    assert (cells[0][lpips], cells[0][fid]) == ("", "")


def test_accuracies_have_their_standard_errors():
    (row,) = [
        line
        for line in page_of([entry("a", [0.01] * 100)], floor([0.1] * 100)).splitlines()
        if line.startswith("| `a`")
    ][:1]
    spread = [
        100 * np.std([1] * ones + [0] * (100 - ones)) / 10 for ones in (30, 40)
    ]  # of 100 images, 30% and 40% right
    assert row.endswith(f"| 30.0% ± {spread[0]:.1f} | 40.0% ± {spread[1]:.1f} |")


@pytest.mark.parametrize(("images", "told_apart"), [(40, False), (1000, True)])
def test_linear_probes_that_cannot_be_told_apart_are_said_to_be_so(images, told_apart):
    best, second = entry("best", [0.01] * images, linear=0.45), entry("second", [0.02] * images)
    (line,) = [text for text in reading_of(page_of([best, second], floor([0.1] * images))) if "linear probe" in text]
    assert ("cannot be told apart from that of `second` (40.0%)" in line) != told_apart


def test_the_page_says_with_how_much_hidden_each_model_learned():
    a, b, c = (entry(name, [0.01, 0.02], ratio=0.85) for name in "abc")
    floors = floor([0.1, 0.2])
    assert "Every model was trained with 85% of the patches hidden." in page_of([a, b], floors)
    c.card["ratio"] = 0.75
    assert "with 85% of the patches hidden, except `c` (75%)." in page_of([c, a, b], floors)
    c.card["ratio"] = "mixture"
    assert "with 85% of the patches hidden, except `c` (any share)." in page_of([c, a, b], floors)
    assert "Every model was trained with any share of the patches hidden." in page_of([c], floors)
    c.card["ratio"] = None
    assert "Each model was trained at one share only." in page_of([a, c], floors)


def test_a_mixture_decides_its_own_share_and_a_recipe_that_of_others(model, tmp_path):
    sizes = dict(embed_dim=16, depth=1, num_heads=2, decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2)
    mixing = etviz.create_model("mixedae", **sizes, group=2)
    for name, made in (("mixing", mixing), ("plain", model)):
        save_checkpoint(made, tmp_path / name, {"seconds": 3.0}, {"train": {"ratio": 0.6}})
    assert inputs.trained(str(tmp_path / "mixing"), mixing) == {"seconds": 3.0, "ratio": 0.5, "seed": None}
    assert inputs.trained(str(tmp_path / "plain"), model) == {"seconds": 3.0, "ratio": 0.6, "seed": None}
    save_checkpoint(model, tmp_path / "any", {}, {"train": {"ratio": 0.85, "masks": "mixture"}})
    assert inputs.trained(str(tmp_path / "any"), model)["ratio"] == "mixture"
    owner = mixing.draw_owners(9, "cpu")
    assert (owner != 1).float().mean() == mixing.own_ratio


def test_a_tokenizers_own_training_is_not_passed_over():
    plain, codes = entry("plain", [0.01, 0.02]), entry("codes", [0.02, 0.03])
    floors = floor([0.1, 0.2])
    assert "tokenizer" not in page_of([plain, codes], floors)
    codes.ceiling = 24.6
    codes.costs["trained_parameters"] = 1234
    page = page_of([plain, codes], floors)
    assert "(a tokenizer's training not counted)" in page
    assert "`codes` uses a tokenizer that was trained before it. 1,234 of its parameters are its own" in page
    assert "its masked PSNR would be 24.60 dB: the tokenizer's own error" in page


def test_the_page_names_the_command_that_writes_it_and_what_was_left_out():
    def page(**setting):
        return page_of([entry("a", [0.01, 0.02])], floor([0.05, 0.06]), **setting)

    assert "`python -m etviz.compare images=20` writes this page." in page(command="python -m etviz.compare images=20")
    assert "Not measured" not in page()
    lacking = page(left_out={"LPIPS (AlexNet)": "alexnet.pth", "FID": "inception.pth"})
    assert "because their weights are missing: LPIPS (AlexNet) needs alexnet.pth, FID needs inception.pth." in lacking


def test_names_from_outside_are_not_read_as_markup():
    page = page_of([entry("<b>a|b", [0.01, 0.02]), entry("c", [0.02, 0.04])], floor([0.1, 0.2]), dataset="<i>|_x_")
    assert page.splitlines()[0] == "# Models on the same masks: &lt;i>\\|\\_x\\_"
    assert "<b>" not in re.sub("`[^`]*`", "", page)
    (row, *_) = [line for line in page.splitlines() if line.startswith("| `<b>a")]
    assert len(re.split(r"(?<!\\)\|", row)) == len(re.split(r"(?<!\\)\|", row.replace("<b>a\\|b", "d")))


def test_a_page_is_written_again_from_its_numbers(tmp_path, capsys):
    found = document([entry("a", [0.01, 0.02]), entry("b", [0.02, 0.04])], floor([0.1, 0.2]))
    (tmp_path / "comparison.json").write_text(json.dumps(found))
    write_pages([str(tmp_path / "comparison.json")])
    assert (tmp_path / "comparison.md").read_text() == comparison_page.make_page(found)
    assert capsys.readouterr().out.strip() == str(tmp_path / "comparison.md")
    (tmp_path / "old.json").write_text('{"entries": {}}')
    with pytest.raises(UsageError, match="does not hold all that a page shows"):
        write_pages([str(tmp_path / "old.json")])
    with pytest.raises(UsageError, match="cannot be read"):
        write_pages([str(tmp_path / "none.json")])


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
        measure_checkpoint("m", model, {}, split, meters=meters),
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
    assert set(report["entries"]) == {"one", "two", *FLOORS}
    assert {row["first"] for row in report["against_floors"]} == {"one", "two"}
    assert report["libraries"]["torch"].startswith(torch.__version__.split("+")[0])
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
    [
        ("[one,one]", "'one' is named twice"),
        ("[[a]]", r"no checkpoint '\[a\]'"),
    ],
)
def test_checkpoints_that_cannot_be_shown_are_refused(names, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        compare.main([f"checkpoints={names}", f"out={tmp_path}", "device=cpu"])


def test_a_figure_shows_so_many_models_and_any_number_of_trainings(model, tmp_path, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))
    for seed, lr in itertools.product((3, 4), (1, 2, 3, 4)):
        recipe = {"train": {"lr": lr, "seed": seed}}
        save_checkpoint(model, tmp_path / f"lr{lr}-seed{seed}", {"dataset": "cifar10"}, recipe)
    found = inputs.chosen(None, "cifar10")
    assert found == {f"lr{lr}-seed3": [f"lr{lr}-seed3", f"lr{lr}-seed4"] for lr in (1, 2, 3, 4)}
    for lr in (5, 6, 7, 8):
        save_checkpoint(model, tmp_path / f"lr{lr}", {"dataset": "cifar10"}, {"train": {"lr": lr, "seed": 3}})
    with pytest.raises(UsageError, match="7 models apart, not 8"):
        inputs.chosen(None, "cifar10")


def test_a_shipped_tokenizer_is_passed_over(model, tmp_path, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))
    save_checkpoint(model, tmp_path / "one", {"dataset": "cifar10"})
    save_checkpoint(etviz.create_model("tokenizer", width=16, depth=1), tmp_path / "codes", {"dataset": "cifar10"})
    assert inputs.chosen(None, "cifar10") == {"one": ["one"]}


def test_nothing_to_compare_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))
    with pytest.raises(UsageError, match="No shipped checkpoint was trained on cifar10"):
        compare.main([f"out={tmp_path}"])
