"""Seeds, classes and paired tests, held against scipy, numpy and plain loops."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch

import etviz
from etviz import metrics
from etviz.data import CIFAR100_CLASSES, CIFAR100_SUPERCLASSES, Dataset
from etviz.evaluation.paired import against_floors, better, compare, family, holm, paired_difference
from etviz.evaluation.scores import Evaluation, class_table, evaluate_seeds, groupings, over_seeds, ranked
from etviz.files import dump, finite
from etviz.reports.words import paired_meaning, verdicts

TINY = dict(embed_dim=32, num_heads=2, head_dim=16, steps=2, step_size=0.1, init_scale=0.1)


@pytest.fixture(scope="module")
def split():
    return torch.randint(256, (9, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def models():
    made = []
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        made.append(etviz.create_model("et", **TINY).eval())
    return dict(zip("abc", made, strict=True))


# ---- mask seeds --------------------------------------------------------------------------------------------------


def test_each_seed_is_an_evaluation_of_its_own(models, split):
    calls = []
    options = {"ratio": 0.5, "batch_size": 4}
    found = evaluate_seeds(models["a"], split, [3, 4, 5], progress=lambda *done: calls.append(done), **options)
    alone = [metrics.evaluate_model(models["a"], split, mask_seed=seed, **options) for seed in (3, 4, 5)]
    assert found.by_seed == alone
    assert found.metrics == alone[0]
    assert torch.equal(
        found.values["masked_mse"], metrics.measure_model(models["a"], split, mask_seed=3, **options)["masked_mse"]
    )
    assert calls == [(done, 27) for done in (4, 8, 9, 13, 17, 18, 22, 26, 27)]
    table = over_seeds(found)
    assert not [name for name in table if name.endswith("standard_error")]
    for name, row in table.items():
        values = [scores[name] for scores in alone]
        assert row["values"] == values
        assert row["mean"] == pytest.approx(np.mean(values), rel=1e-12)
        assert row["standard_error"] == pytest.approx(scipy.stats.sem(values), rel=1e-9)


def test_one_seed_says_nothing_of_the_spread_over_seeds(models, split):
    table = over_seeds(evaluate_seeds(models["a"], split, [0]))
    assert {row["standard_error"] for row in table.values()} == {None}


# ---- classes -----------------------------------------------------------------------------------------------------


def test_a_class_table_is_the_summary_of_each_class(models, split):
    values = metrics.measure_model(models["a"], split)
    labels = torch.tensor([0, 2, 0, 2, 2, 3, 0, 2, 0])
    rows = class_table(values, labels, ["cat", "dog", "ship", "frog"])
    assert [(row["name"], row["images"]) for row in rows] == [("cat", 4), ("ship", 4), ("frog", 1)]  # no dog is there
    for row, label in zip(rows, (0, 2, 3), strict=True):
        alone = metrics.summarize({name: column[labels == label] for name, column in values.items()})
        for name in ("masked_mse", "masked_psnr", "completed_psnr", "raw_mse", "completed_ssim", "raw_ssim"):
            assert row[name] == pytest.approx(alone[name], rel=1e-9)
            error = alone.get(f"{name}_standard_error", math.nan)
            assert row[f"{name}_standard_error"] == pytest.approx(error, rel=1e-9, nan_ok=True)


def test_cifar100_is_grouped_by_superclass_too():
    labels = torch.tensor([CIFAR100_CLASSES.index(name) for name in ("whale", "rose", "tractor", "otter")])
    images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    dataset = Dataset("cifar100", images, labels, images, labels, CIFAR100_CLASSES)
    groups = groupings(dataset, 3)
    assert list(groups) == ["class", "superclass"]
    (fine, names), (coarse, supernames) = groups.values()
    assert [names[label] for label in fine] == ["whale", "rose", "tractor"]
    assert supernames == list(CIFAR100_SUPERCLASSES)
    assert [supernames[label] for label in coarse] == ["aquatic mammals", "flowers", "vehicles 2"]
    assert list(groupings(replace(dataset, class_names=["a"] * 100), 3)) == ["class"]


# ---- paired tests ------------------------------------------------------------------------------------------------


@pytest.fixture
def paired():
    rng = np.random.default_rng(0)
    common = rng.gamma(2, 0.01, 400)  # what makes an image hard weighs more than which model it is
    first, second = common + rng.normal(0.0003, 0.001, 400), common + rng.normal(0, 0.001, 400)
    return torch.from_numpy(first), torch.from_numpy(second)


def test_paired_tests_are_scipys(paired):
    found = paired_difference(*paired)
    a, b = (values.numpy() for values in paired)
    assert found.images == 400
    assert found.difference == pytest.approx((a - b).mean(), rel=1e-12)
    assert found.standard_error == pytest.approx(scipy.stats.sem(a - b), rel=1e-12)
    assert found.t_test == pytest.approx(scipy.stats.ttest_1samp(a - b, 0).pvalue, rel=1e-9)
    assert found.wilcoxon == pytest.approx(scipy.stats.wilcoxon(a - b).pvalue, rel=1e-9)
    assert found.first_larger == (a > b).mean()
    unpaired = scipy.stats.ttest_ind(a, b).pvalue
    assert found.t_test < 0.05 < unpaired  # which is what pairing is for


def test_the_bootstrap_interval_is_the_normal_one_for_many_images(paired):
    found = paired_difference(*paired)
    half = 1.96 * found.standard_error
    assert found.low == pytest.approx(found.difference - half, abs=0.15 * half)
    assert found.high == pytest.approx(found.difference + half, abs=0.15 * half)
    assert (found.low, found.high) == (paired_difference(*paired).low, paired_difference(*paired).high)
    assert paired_difference(*paired, seed=1).low != found.low


def test_equal_models_do_not_differ_and_a_constant_difference_is_certain():
    values = torch.rand(30, generator=torch.Generator().manual_seed(0))
    same = paired_difference(values, values)
    assert (same.difference, same.low, same.high, same.first_larger) == (0, 0, 0, 0.5)
    assert same.t_test == same.wilcoxon == 1
    apart = paired_difference(torch.full((30,), 0.75), torch.full((30,), 0.5))
    assert (apart.difference, apart.low, apart.high, apart.first_larger) == (0.25, 0.25, 0.25, 1)
    assert apart.t_test == 0
    assert apart.wilcoxon < 0.001


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(etviz.UsageError, match="cannot be paired"):
        paired_difference(torch.zeros(3), torch.zeros(4))
    with pytest.raises(etviz.UsageError, match="cannot be paired"):
        paired_difference(torch.zeros(1), torch.ones(1))
    with pytest.raises(etviz.UsageError, match="not finite"):
        paired_difference(torch.tensor([1.0, torch.inf]), torch.zeros(2))


def test_holm_multiplies_the_smallest_by_all_and_the_next_by_one_less():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 * 0.01, 1 * 0.04 < 2 * 0.03, 2 * 0.03
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_every_pair_is_compared_on_the_same_images(models, split):
    found = {name: evaluate_seeds(model, split, [1]) for name, model in models.items()}
    rows = compare(found)
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    names = ("masked_mse", "masked_psnr_image_mean", "completed_ssim")
    assert [(row["metric"], row["first"], row["second"]) for row in rows] == [
        (n, *pair) for n in names for pair in pairs
    ]
    for row in rows:
        first, second = found[row["first"]], found[row["second"]]
        assert row["difference"] == pytest.approx(
            first.metrics[row["metric"]] - second.metrics[row["metric"]], rel=1e-6
        )
    for metric in names:
        part = [row for row in rows if row["metric"] == metric]
        for name in ("t_test", "wilcoxon"):
            assert [row[f"{name}_holm"] for row in part] == holm([row[name] for row in part])


def test_other_images_or_masks_are_not_compared(models, split):
    one = evaluate_seeds(models["a"], split, [0])
    for other in (evaluate_seeds(models["b"], split, [1]), evaluate_seeds(models["b"], split[:5], [0])):
        with pytest.raises(etviz.UsageError, match="same images and masks"):
            compare({"a": one, "b": other})


def test_a_metric_that_is_infinite_for_some_image_is_left_out(models, split):
    one, two = (evaluate_seeds(models[name], split) for name in "ab")
    one.values["masked_mse"][3] = 0
    assert {row["metric"] for row in compare({"a": one, "b": two})} == {"masked_mse", "completed_ssim"}


def row_of(first, second, metric, difference, *p_values):
    t_test, wilcoxon = p_values
    row = {"first": first, "second": second, "metric": metric, "difference": difference}
    return row | {"t_test_holm": t_test, "wilcoxon_holm": wilcoxon}


def test_a_sentence_says_of_each_pair_which_is_better_by_what():
    rows = [
        row_of("a", "b", "masked_mse", -0.001, 0.01, 0.02),
        row_of("a", "c", "masked_mse", 0.001, 0.01, 0.02),
        row_of("b", "c", "masked_mse", 0.001, 0.04, 0.05),  # one of the tests alone is not enough
        row_of("a", "b", "completed_ssim", -0.1, 0.001, 0.001),
        row_of("a", "c", "completed_ssim", 0.1, 0.2, 0.01),
        row_of("b", "c", "completed_ssim", 0.1, 0.2, 0.2),
    ]
    assert verdicts(rows) == [
        "a is better than b by masked MSE; b is better than a by completed SSIM.",
        "c is better than a by masked MSE; they cannot be told apart by completed SSIM.",
        "b and c cannot be told apart by masked MSE, completed SSIM.",
    ]
    assert "corrected by Holm for 3 pairs" in paired_meaning(rows)
    assert "Holm" not in paired_meaning(rows[:1])  # one pair is one question


def test_a_family_is_corrected_together_and_keeps_what_its_rows_are_about(paired):
    first, second = paired
    other = second + 0.001 * torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = family(
        ({"first": "a", "second": name, "metric": "masked_mse"}, first, values)
        for name, values in (("b", second), ("c", other))
    )
    assert [row["second"] for row in rows] == ["b", "c"]
    assert rows[0]["difference"] == paired_difference(first, second).difference
    for name in ("t_test", "wilcoxon"):
        assert [row[f"{name}_holm"] for row in rows] == holm([row[name] for row in rows])


def test_models_are_held_against_the_best_floor_of_each_level(paired):
    first, second = paired
    errors = {"model": torch.stack([first, first]), "low": torch.stack([first - 0.01, first + 0.01])}
    errors |= {"high": torch.stack([first + 0.02, second])}
    rows = against_floors(errors, ["low", "high"], (0.1, 0.5))
    assert [(row["level"], row["first"], row["second"]) for row in rows] == [
        (0.1, "model", "low"),
        (0.5, "model", "high"),
    ]
    assert better(rows[0]) == "low"
    assert rows[1]["t_test_holm"] == pytest.approx(scipy.stats.ttest_rel(first, second).pvalue)
    assert rows[0]["wilcoxon_holm"] == pytest.approx(2 * rows[0]["wilcoxon"])


def test_accuracies_are_compared_by_the_images_labelled_correctly(models, split):
    found = {name: evaluate_seeds(models[name], split) for name in "ab"}
    found["a"].correct = {"linear": torch.tensor([1.0] * 9, dtype=torch.float64)}
    found["b"].correct = {"linear": torch.tensor([1.0] * 2 + [0.0] * 7, dtype=torch.float64)}
    (row,) = [row for row in compare(found) if row["metric"] == "linear"]
    assert row["difference"] == pytest.approx(7 / 9)
    assert better(row) == "a"
    assert found["b"].accuracy == {"linear": pytest.approx(2 / 9)}
    assert ranked(list(found.values()))[0].metrics["masked_mse"] == min(e.metrics["masked_mse"] for e in found.values())


def test_an_evaluation_of_measured_values_is_that_of_the_model(models, split):
    masks = metrics.evaluation_masks(9, 0.5, 64, 3)
    values = metrics.measure(models["a"].reconstruct, split, masks)
    made, expected = (
        Evaluation.of("a", values, ratio=0.5, mask_seed=3),
        evaluate_seeds(models["a"], split, [3], ratio=0.5),
    )
    assert made.metrics == expected.metrics
    assert torch.equal(made.errors, expected.errors)


# ---- JSON --------------------------------------------------------------------------------------------------------


def test_json_has_null_where_a_number_is_not_finite_and_lists_on_one_line():
    data = {"a": [1.5, math.inf, 2], "b": {"c": math.nan, "text [1, 2]": "x\ny"}, "d": [{"e": []}], "f": [[1, 2], [3]]}
    text = dump(finite(data))
    assert '"a": [1.5, null, 2]' in text
    expected = {"a": [1.5, None, 2], "b": {"c": None, "text [1, 2]": "x\ny"}, "d": [{"e": []}], "f": [[1, 2], [3]]}
    assert json.loads(text) == expected


def test_a_text_with_brackets_survives_the_writing_of_json():
    data = {"checkpoint": "runs [ 1,\t2 ]/[]", "values": [1, 2]}
    assert json.loads(dump(data)) == data
