"""Trainings of one recipe with other seeds: which belong together, how they spread, and what verdicts follow."""

import json

import numpy as np
import pytest
import torch
from scipy import stats

from etviz import compare
from etviz.analysis.robustness import curve_of
from etviz.checkpoints import save_checkpoint
from etviz.evaluation.paired import better, holm, verdict
from etviz.evaluation.paired import compare as paired
from etviz.evaluation.trainings import between_trainings, group_trainings, spread_of
from etviz.models import create_model
from etviz.reports import comparison as comparison_page
from tests.conftest import TINY
from tests.test_comparison import SETTING, entry, floor, reading_of

IMAGES = 400


@pytest.fixture
def ship(tmp_path, monkeypatch):
    """Save a checkpoint of that name, trained by a recipe."""
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))

    def save(name, images_seen=64, **recipe):
        training = {"dataset": {"name": "squares"}, "train": recipe} if recipe else None
        save_checkpoint(create_model("et", **TINY), tmp_path / name, {"images_seen": images_seen}, training)

    return save


def test_trainings_that_differ_in_their_seed_alone_belong_together(ship):
    for seed in (0, 1):
        ship(f"a{seed}", seed=seed, lr=0.1, devices=seed + 1)  # the machine is no part of the recipe
        ship(f"b{seed}", seed=seed, lr=0.2)
    ship("longer", images_seen=128, seed=2, lr=0.1)
    assert group_trainings(["b1", "a0", "longer", "b0", "a1"]) == {
        "b1": ["b1", "b0"],
        "a0": ["a0", "a1"],
        "longer": ["longer"],
    }


def test_without_a_seed_of_its_own_a_checkpoint_stands_alone(ship):
    for name in ("same", "again"):
        ship(name, seed=3, lr=0.1)
    for name in ("unknown", "neither"):
        ship(name, lr=0.3)
    ship("untold")
    names = ["same", "again", "unknown", "neither", "untold"]
    assert group_trainings(names) == {name: [name] for name in names}


def test_the_spread_is_the_standard_deviation_with_its_chi_square_interval():
    found = spread_of(torch.tensor([15.9, 16.0, 16.2]))
    deviation = ((0.1333**2 + 0.0333**2 + 0.1667**2) / 2) ** 0.5  # by hand
    assert (found.mean, found.deviation) == pytest.approx((16.0333, deviation), abs=1e-3)
    # 2 degrees of freedom: chi-square is exponential, and its quantiles are logarithms
    ends = [deviation * (2 / (-2 * np.log(tail))) ** 0.5 for tail in (0.025, 0.975)]
    assert (found.low, found.high) == pytest.approx(ends, rel=1e-3)
    alone = spread_of(torch.tensor([15.9]))
    assert (alone.mean, alone.deviation, alone.low, alone.high) == (pytest.approx(15.9), None, None, None)


def test_welch_takes_each_spread_and_a_single_training_that_of_the_other():
    many, few, one = [1.0, 1.2, 1.1], [1.6, 1.3], [1.9]
    variances = [np.var(values, ddof=1) / len(values) for values in (many, few)]
    t = (np.mean(few) - np.mean(many)) / sum(variances) ** 0.5
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 2 + variances[1] ** 2 / 1)  # Welch and Satterthwaite
    assert between_trainings(*map(torch.tensor, (many, few))) == pytest.approx(
        2 * stats.t.sf(abs(t), freedom), rel=1e-4
    )
    t = (1.9 - 1.1) / (0.1 * (1 + 1 / 3) ** 0.5)  # 0.1 is the standard deviation of the three, for both
    assert between_trainings(*map(torch.tensor, (many, one))) == pytest.approx(2 * stats.t.sf(t, 2), rel=1e-4)
    assert between_trainings(torch.tensor([1.0]), torch.tensor([2.0])) is None
    assert between_trainings(torch.tensor([1.0, 1.0]), torch.tensor([2.0])) == 0
    assert between_trainings(torch.tensor([1.0, 1.0]), torch.tensor([1.0])) == 1


def trainings(shift, spread, seed, count=3):
    """Errors of so many trainings whose means lie ``spread`` apart, each image a little off."""
    rng = np.random.default_rng(seed)
    base = np.random.default_rng(0).gamma(4.0, 0.005, IMAGES)
    offsets = np.linspace(-spread, spread, count) if count > 1 else [0]
    return [base + shift + offset + rng.normal(0, 1e-4, IMAGES) for offset in offsets]


def evaluated(**groups):
    """Evaluations of the trainings of each group, and the groups."""
    found = {f"{name}{i}": errors for name, group in groups.items() for i, errors in enumerate(group)}
    names = {f"{name}0": [f"{name}{i}" for i in range(len(group))] for name, group in groups.items()}
    return {name: entry(name, errors, seed=int(name[-1])) for name, errors in found.items()}, names


def row_of(evaluations, groups):
    return next(row for row in paired(evaluations, trainings=groups) if row["metric"] == "masked_mse")


def test_a_row_pairs_means_over_trainings_and_tests_between_them():
    evaluations, groups = evaluated(
        a=trainings(0, 0.001, 1), b=trainings(0.002, 0.001, 2, 2), c=trainings(0.01, 0, 3, 1)
    )
    rows = [row for row in paired(evaluations, trainings=groups) if row["metric"] == "masked_mse"]
    assert [(row["first"], row["second"], row["trainings"]) for row in rows] == [
        ("a0", "b0", [3, 2]),
        ("a0", "c0", [3, 1]),
        ("b0", "c0", [2, 1]),
    ]
    errors = {name: np.stack([evaluations[one].errors for one in group]) for name, group in groups.items()}
    for row in rows:
        first, second = errors[row["first"]], errors[row["second"]]
        assert row["difference"] == pytest.approx((first.mean(0) - second.mean(0)).mean())
        assert row["t_test"] == pytest.approx(stats.ttest_rel(first.mean(0), second.mean(0)).pvalue, rel=1e-6)
        welch = min(len(first), len(second)) > 1
        expected = stats.ttest_ind(first.mean(1), second.mean(1), equal_var=not welch).pvalue
        assert row["between"] == pytest.approx(expected, rel=1e-6)
    assert [row["between_holm"] for row in rows] == pytest.approx(holm([row["between"] for row in rows]))


@pytest.mark.parametrize(
    ("gap", "spread", "count", "word", "reason"),
    [
        (0.004, 0.0005, 3, "ahead", "Paired over images, and beyond the spread between trainings (3 against 3"),
        (-0.004, 0.0005, 3, "behind", "Paired over images, and beyond the spread between trainings (3 against 3"),
        (0.0005, 0.002, 3, "not told apart", "The images tell them apart, but not beyond the spread between trainings"),
        (0.0005, 0, 1, "ahead", "One training each: paired over images only, not between trainings."),
        (0, 0, 1, "not told apart", "The paired tests over images do not both find a difference."),
    ],
)
def test_a_verdict_needs_images_and_trainings(gap, spread, count, word, reason):
    evaluations, groups = evaluated(a=trainings(0, spread, 4, count), b=trainings(gap, spread, 5, count))
    row = row_of(evaluations, groups)
    assert verdict(row)[0] == word
    assert verdict(row)[1].startswith(reason)
    assert better(row) == {"ahead": "a0", "behind": "b0"}.get(word)
    swapped = row_of(evaluations, dict(reversed(groups.items())))
    assert verdict(swapped)[0] == {"ahead": "behind", "behind": "ahead"}.get(word, word)


def test_the_page_counts_trainings_as_one_model_and_shows_their_spread():
    evaluations, groups = evaluated(
        a=trainings(0, 0.0005, 6), b=trainings(0.004, 0.0005, 7), c=trainings(0.02, 0, 8, 1)
    )
    floors = floor(np.full(IMAGES, 0.2))
    curves = {
        name: curve_of(compare.RATIOS, evaluations[name].errors.repeat(len(compare.RATIOS), 1)) for name in groups
    }
    curves |= {one.name: curve_of(compare.RATIOS, one.errors.repeat(len(compare.RATIOS), 1)) for one in floors}
    found = SETTING | {"images": IMAGES, "ratio_images": IMAGES}
    found |= compare.results([*evaluations.values(), *floors], curves, groups)
    assert found["trainings"]["a0"]["seeds"] == [0, 1, 2]
    page = comparison_page.make_page(json.loads(json.dumps(found)))
    psnr = np.array([-10 * np.log10(evaluations[f"a{i}"].errors.mean()) for i in range(3)])
    row = f"| `a0`, `a1`, `a2` | 3 | {psnr.mean():.2f} dB | {psnr.std(ddof=1):.3f} dB |"
    assert any(line.startswith(row) for line in page.splitlines())
    text = "\n".join(reading_of(page))
    assert "`a0` is ahead of `b0`" in text
    assert "Paired over images, and beyond the spread between trainings (3 against 3 trainings, p" in text
    assert "Trained once, with one seed: `c0`." in text
    assert "Of several seeds, the first one is shown." in page
    assert len([line for line in page.splitlines() if line.startswith("| `a1` |")]) == 2  # quality and cost, not ratios
