"""Curves under other masks and damage, transfer, and one class against the rest, computed once more by other means."""

import json
import math
import re

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import bootstrap, mannwhitneyu, sem, ttest_rel
from sklearn.metrics import roc_auc_score

import etviz
from etviz import UsageError, analysis, plots, robustness
from etviz.analysis.robustness import AXES, DAMAGES, Curve, axis_masks, curve_of, kind_masks
from etviz.checkpoints import save_checkpoint
from etviz.evaluation import one_class, transfer
from etviz.evaluation.features import extract_features, linear_accuracy
from etviz.inpainting import FLOORS
from etviz.metrics import evaluate_model, evaluation_masks
from etviz.reports import robustness as robustness_page
from tests.conftest import TINY


@pytest.fixture
def model():
    torch.manual_seed(0)
    return etviz.create_model("et", **TINY).eval()


@pytest.fixture
def dataset(archive):
    return etviz.load_dataset(str(archive))


def by_pixel(mask):
    """(B, 64) to (B, 1, 32, 32), by numpy."""
    return torch.from_numpy(np.stack([np.kron(m.numpy().reshape(8, 8), np.ones((4, 4), bool)) for m in mask])[:, None])


def page_of(**parts):
    """The page of what was measured: curves, transfer or one_class."""
    measured = robustness.Measured(**{"curves": {}, "transfer": [], "one_class": {}} | parts)
    setting = {"dataset": "squares", "command": "python -m etviz.robustness", "seed": 0, "images": 200, "ratio": 0.85}
    setting |= {"one_class_images": 100, "one_class_epochs": 1, "one_class_training": 40}
    return robustness_page.make_page(json.loads(json.dumps(setting | robustness.as_json(measured))))


# ---- masks -------------------------------------------------------------------------------------------------------


def test_every_kind_hides_what_its_name_says():
    shares = {"random 25%": 16, "block 25%": 16, "centre 25%": 16}
    for kind in AXES["kind"].levels:
        masks = kind_masks(kind, 50, seed=4)
        assert masks.sum(dim=1).tolist() == [shares.get(kind, 32)] * 50, kind
        assert torch.equal(masks, kind_masks(kind, 50, seed=4))
    assert by_pixel(kind_masks("right half", 1))[0, 0, :, 16:].all()
    assert by_pixel(kind_masks("bottom half", 1))[0, 0, 16:].all()
    with pytest.raises(UsageError, match="no kind of mask 'left'"):
        kind_masks("left", 2)


def test_masks_of_an_axis_are_those_of_the_evaluation():
    options = dict(ratio=0.85, num_patches=64, seed=7)
    assert torch.equal(axis_masks("ratio", 0.3, 5, **options), evaluation_masks(5, 0.3, 64, 7))
    assert torch.equal(axis_masks("noise", 0.3, 5, **options), evaluation_masks(5, 0.85, 64, 7))
    assert torch.equal(axis_masks("kind", "block 25%", 5, **options), kind_masks("block 25%", 5, seed=7))


# ---- damage ------------------------------------------------------------------------------------------------------


def test_noise_has_the_deviation_it_is_said_to_have(mask):
    grey = torch.full((4, 3, 32, 32), 0.5)
    added = (analysis.damage(grey, mask, "noise", 0.05) - 0.5).double().numpy()
    assert added.std() == pytest.approx(0.05, rel=0.02)
    assert abs(added.mean()) < 4 * 0.05 / math.sqrt(added.size)
    strong = analysis.damage(grey, mask, "noise", 5.0)
    assert (strong.min(), strong.max()) == (0, 1)


def test_blur_without_a_mask_is_scipys(images):
    found = analysis.damage(images, torch.zeros(4, 64, dtype=torch.bool), "blur", 1.5)
    expected = gaussian_filter(images.double().numpy(), (0, 0, 1.5, 1.5), mode="mirror", radius=(0, 0, 5, 5))
    assert np.allclose(found, expected, atol=1e-5)


def test_blur_is_the_weighted_mean_of_visible_pixels(images, mask):
    found, hidden = analysis.damage(images, mask, "blur", 1.0), by_pixel(mask)[:, 0].numpy()
    weights = np.exp(-(np.arange(-3, 4) ** 2) / 2)
    for image, row, column in [(i, *np.argwhere(~hidden[i])[k]) for i in range(4) for k in (0, 40, -1)]:
        total, weight = np.zeros(3), 0.0
        for i, down in enumerate(range(-3, 4)):
            for j, right in enumerate(range(-3, 4)):
                y, x = (31 - abs(31 - abs(v)) for v in (row + down, column + right))  # mirrored at the border
                share = weights[i] * weights[j] * (not hidden[image, y, x])
                total, weight = total + share * images[image, :, y, x].double().numpy(), weight + share
        assert np.allclose(found[image, :, row, column], total / weight, atol=1e-5)


@pytest.mark.parametrize("kind", DAMAGES)
def test_hidden_pixels_do_not_reach_visible_ones(kind, images, mask):
    level, hidden = {"brightness": 0.2}.get(kind, 0.5), by_pixel(mask)
    other = torch.where(hidden, 1 - images, images)
    before, after = (analysis.damage(one, mask, kind, level, seed=3) for one in (images, other))
    assert torch.equal(torch.where(hidden, 0.0, before), torch.where(hidden, 0.0, after))
    assert not torch.equal(torch.where(hidden, 0.0, before), torch.where(hidden, 0.0, images))


def test_occlusion_paints_so_many_visible_patches(images):
    mask = etviz.random_mask(4, 0.5, generator=torch.Generator().manual_seed(0))
    painted = []
    for share, count in ((0.1, 3), (0.5, 16), (1.0, 32)):
        grey = (analysis.damage(images, mask, "occlusion", share, seed=1) == 0.5).all(dim=1)
        patches = grey.reshape(4, 8, 4, 8, 4).all(dim=4).all(dim=2).flatten(1)
        assert patches.sum(dim=1).tolist() == [count] * 4
        assert not (patches & mask).any()
        assert torch.equal(grey.sum(dim=(1, 2)), patches.sum(dim=1) * 16)  # whole patches only
        painted.append(patches)
    assert (painted[0] <= painted[1]).all()  # the stronger one holds the weaker
    assert len({etviz.mask_to_hex(one) for one in painted[0]}) == 4


def test_brightness_is_added_and_clipped(images, mask):
    found = analysis.damage(images, mask, "brightness", -0.3).numpy()
    assert np.allclose(found, np.clip(images.numpy() - 0.3, 0, 1))


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_depends_on_the_seed_and_the_images_number_alone(kind, images, mask):
    level = {"brightness": 0.2}.get(kind, 0.3)
    together = analysis.damage(images, mask, kind, level, seed=5)
    assert torch.equal(analysis.damage(images[2:], mask[2:], kind, level, seed=5, first=2), together[2:])
    if kind in ("noise", "occlusion"):
        assert not torch.equal(analysis.damage(images, mask, kind, level, seed=6), together)
    if kind != "occlusion":
        assert torch.equal(analysis.damage(images, mask, kind, 0.0), images)


def test_impossible_damage(images, mask):
    for kind, level, message in [
        ("fog", 0.1, "no damage 'fog': choose one of noise"),
        ("noise", -0.1, "-0.1 is no level of noise"),
        ("blur", math.nan, "nan is no level of blur"),
        ("occlusion", 1.5, "1.5 is no level of occlusion"),
    ]:
        with pytest.raises(UsageError, match=message):
            analysis.damage(images, mask, kind, level)


# ---- curves ------------------------------------------------------------------------------------------------------


def test_a_curve_is_the_mean_error_in_db_with_its_interval():
    errors = np.random.default_rng(0).gamma(4.0, 0.01, (2, 400))
    curve = curve_of((0.0, 1.0), torch.from_numpy(errors))
    for i, own in enumerate(errors):
        psnr = -10 * np.log10(own.mean())
        spread = 1.96 * 10 / np.log(10) * sem(own) / own.mean()
        assert curve.psnr[i].item() == pytest.approx(psnr)
        assert (curve.low[i].item(), curve.high[i].item()) == pytest.approx((psnr - spread, psnr + spread))
        drawn = bootstrap((own,), lambda x, axis: -10 * np.log10(x.mean(axis=axis)), rng=np.random.default_rng(1))
        low, high = drawn.confidence_interval
        assert (curve.low[i].item(), curve.high[i].item()) == pytest.approx((low, high), abs=0.2 * spread)


@pytest.mark.parametrize(
    ("axis", "level"), [("ratio", 0.3), ("noise", 0.2), ("brightness", 0.3), ("kind", "block 50%")]
)
def test_curves_are_of_the_same_masks_and_damage_for_all(axis, level, model, dataset):
    seen = {}

    def spy(images, mask):
        seen.setdefault("images", []).append(images)
        seen.setdefault("mask", []).append(mask)
        return torch.zeros_like(images)

    found = analysis.robustness_curves(
        {"model": model.reconstruct, "black": spy}, dataset.test_images[:9], axis, [level], seed=3, chunk=4
    )
    images, mask = dataset.test_images[:9].float() / 255, axis_masks(axis, level, 9, ratio=0.85, num_patches=64, seed=3)
    damaged = analysis.damage(images, mask, axis, level, seed=3) if axis in DAMAGES else images
    assert torch.equal(torch.cat(seen["mask"]), mask)
    assert torch.equal(torch.cat(seen["images"]), damaged)
    right = (images + level).clamp(0, 1) if axis == "brightness" else images
    hidden = by_pixel(mask).numpy()
    for name, filled in (("model", model.reconstruct(damaged, mask)), ("black", torch.zeros_like(images))):
        errors = ((right - filled).numpy() ** 2 * hidden).sum((1, 2, 3)) / (3 * hidden.sum((1, 2, 3)))
        assert found[name].psnr.item() == pytest.approx(-10 * np.log10(errors.mean()), abs=1e-4)
        assert found[name].levels == (level,)


def test_curves_tell_how_far_they_are_and_do_not_depend_on_the_chunk(model, dataset):
    told, fills = [], {"m": model.reconstruct}
    settings = {"images": dataset.test_images[:6], "axis": "noise", "levels": (0.0, 0.3)}
    one, two = (
        analysis.robustness_curves(fills, **settings, chunk=chunk, progress=lambda *p: told.append(p))
        for chunk in (2, 6)
    )
    assert torch.allclose(one["m"].psnr, two["m"].psnr, atol=1e-5)
    assert told == [(1, 2), (2, 2)] * 2
    clean = evaluate_model(model, dataset.test_images[:6])["masked_psnr"]
    assert one["m"].psnr[0].item() == pytest.approx(clean, abs=1e-5)


def test_impossible_curves(model, dataset):
    fills, images = {"m": model.reconstruct}, dataset.test_images
    for call, message in [
        (lambda: analysis.robustness_curves(fills, images, "fog"), "no axis 'fog': choose one of ratio"),
        (lambda: analysis.robustness_curves(fills, images[:1], "noise"), "two or more uint8 images, not 1"),
        (lambda: analysis.robustness_curves(fills, images / 255, "noise"), "not 40 of torch.float32"),
        (lambda: analysis.robustness_curves(fills, images, "ratio", [0.0]), "hides none of 64"),
    ]:
        with pytest.raises(UsageError, match=message):
            call()


def curve(*psnr, levels=None, spread=0.5):
    values = torch.tensor(psnr, dtype=torch.float64)
    return Curve(levels=levels or tuple(range(len(psnr))), psnr=values, low=values - spread, high=values + spread)


def test_the_panels_draw_curves_with_their_bands():
    levels, kinds = (0.0, 0.1, 0.2), ("block 50%", "right half")
    names = ("a", "b", "Navier-Stokes")
    curves = {
        "noise": {name: curve(16, 15, 14 + i, levels=levels) for i, name in enumerate(names)},
        "kind": {name: curve(17, 12 + i, levels=kinds) for i, name in enumerate(names)},
    }
    figure = plots.robustness_panels(curves, floors=FLOORS)
    lines, dots, empty = figure.axes
    assert not empty.get_visible()
    for i, (line, band) in enumerate(zip(lines.get_lines(), lines.collections, strict=True)):
        assert line.get_label() == names[i]
        assert np.allclose(line.get_xydata(), list(zip(levels, (16, 15, 14 + i), strict=True)))
        corners = band.get_paths()[0].get_extents()
        assert (corners.ymin, corners.ymax) == (13.5 + i if i < 2 else 14.5, 16.5)
    assert lines.get_lines()[2].get_linestyle() == "--"
    assert [lines.get_lines()[i].get_marker() for i in (0, 2)] == ["o", "s"]
    assert [container[0].get_marker() for container in dots.containers] == ["o", "o", "s"]
    assert lines.get_xlabel() == "standard deviation, of the range"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(names)
    assert [label.get_text() for label in dots.get_yticklabels()] == list(kinds)
    for i, container in enumerate(dots.containers):
        places, bars = container[0].get_xydata(), container[2][0].get_segments()
        assert np.allclose(places[:, 0], (17, 12 + i))
        assert np.allclose([bar[:, 0] for bar in bars], [(16.5, 17.5), (11.5 + i, 12.5 + i)])
    assert dots.yaxis_inverted()


def test_panels_that_cannot_be_drawn():
    with pytest.raises(UsageError, match="no curves to draw"):
        plots.robustness_panels({})
    with pytest.raises(UsageError, match="same lines"):
        plots.robustness_panels({"noise": {"a": curve(1.0)}, "blur": {"b": curve(1.0)}})
    with pytest.raises(UsageError, match="One to 7 lines"):
        plots.robustness_panels({"noise": {str(i): curve(1.0) for i in range(8)}})


# ---- transfer ----------------------------------------------------------------------------------------------------


def test_transfer_is_what_evaluation_and_probe_say(model, dataset):
    torch.manual_seed(1)
    models = {"own": model, "other": etviz.create_model("et", **TINY).eval()}
    rows = transfer.transfer_rows(
        models, {"own": "squares", "other": "else"}, {"squares": dataset}, seed=2, images=20, probe_images=60
    )
    for row, (name, one) in zip(rows, models.items(), strict=True):
        expected = evaluate_model(one, dataset.test_images[:20], mask_seed=2)
        assert row["masked_psnr"] == pytest.approx(expected["masked_psnr"])
        assert row["masked_psnr_standard_error"] == pytest.approx(expected["masked_psnr_standard_error"])
        features = [extract_features(one, i) for i in (dataset.train_images[:60], dataset.test_images[:20])]
        labels = dataset.train_labels[:60], dataset.test_labels[:20]
        assert row["accuracy"] == linear_accuracy(features[0], labels[0], features[1], labels[1])
        assert row["low"] < row["accuracy"] < row["high"]
        assert (row["checkpoint"], row["own"], row["images"]) == (name, name == "own", 20)
    (cost,) = transfer.paired_cost(rows)
    errors = [row["errors"].numpy() for row in rows]
    assert (cost["first"], cost["second"]) == ("other", "own")
    assert cost["difference"] == pytest.approx((errors[1] - errors[0]).mean())
    assert cost["t_test_holm"] == pytest.approx(ttest_rel(errors[1], errors[0]).pvalue)
    without = transfer.transfer_rows(models, dict.fromkeys(models, "x"), {"x": dataset}, images=5, probe_images=0)
    assert not any("accuracy" in row for row in without)
    assert transfer.paired_cost(without) == []
    table = robustness_page.transfer_part(without, [])["table"]
    assert [len(row) for row in table] == [3] * (1 + len(models))  # no column for a probe that there was not


def transfer_row(name, place, errors, accuracy=0.4):
    errors, source = torch.as_tensor(errors, dtype=torch.float64), name.rpartition("-")[2]
    psnr = -10 * math.log10(errors.mean())
    row = {"checkpoint": name, "model": "et", "trained_on": source, "dataset": place, "own": source == place}
    row |= {
        "parameters": 9,
        "images": len(errors),
        "masked_psnr": psnr,
        "masked_psnr_standard_error": 0.03,
        "errors": errors,
    }
    return row | {"accuracy": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.01}


def test_the_page_says_what_another_dataset_costs():
    rng = np.random.default_rng(0)
    base = rng.gamma(4.0, 0.005, 300)
    near = base + rng.normal(0, 1e-3, 300)
    rows = [
        transfer_row("et-a", "a", base),
        transfer_row("et-a", "b", base + 0.003, 0.2),
        transfer_row("et-b", "a", near - near.mean() + base.mean()),
        transfer_row("et-b", "b", base, 0.3),
    ]
    page = page_of(transfer=rows)
    (first,) = [line for line in page.splitlines() if line.startswith("| `et-a`")]
    psnr = [-10 * math.log10(errors.mean()) for errors in (base, base + 0.003)]
    assert first == (
        f"| `et-a` | a | {psnr[0]:.2f} ± 0.03 dB | {psnr[1]:.2f} ± 0.03 dB "
        "| 40.0% (39.0 to 41.0) | 20.0% (19.0 to 21.0) |"
    )
    assert "- On a, `et-b` cannot be told apart from `et-a`, which was trained on it: " in page
    larger = [row | {"parameters": row["parameters"] * (1 + 5 * (row["checkpoint"] == "et-b"))} for row in rows]
    assert "which was trained on it" not in page_of(transfer=larger)  # another size is another model
    assert "- On b, `et-a` is worse than `et-b`, which was trained on it: +0.003000 in masked MSE" in page


# ---- one class against the rest ----------------------------------------------------------------------------------


def test_delongs_standard_error_is_the_bootstraps():
    rng = np.random.default_rng(0)
    normal, anomalous = rng.normal(0, 1, 200).round(1), rng.normal(0.8, 1.2, 300).round(1)
    found = analysis.roc_auc_standard_error(torch.from_numpy(normal), torch.from_numpy(anomalous))
    draws = [
        mannwhitneyu(rng.choice(anomalous, 300), rng.choice(normal, 200)).statistic / (300 * 200) for _ in range(1000)
    ]
    assert found == pytest.approx(np.std(draws), rel=0.08)
    assert analysis.roc_auc_standard_error(torch.zeros(3), torch.ones(3)) == 0
    with pytest.raises(UsageError, match="at least two scores of normal"):
        analysis.roc_auc_standard_error(torch.zeros(1), torch.ones(3))


def test_each_class_is_told_from_the_rest_by_three_scores(model, dataset, monkeypatch):
    adapted = []
    adapt = one_class.adapt
    monkeypatch.setattr(one_class, "adapt", lambda *given, **more: adapted.append(adapt(*given, **more)) or adapted[-1])
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    rows = one_class.one_class(model, dataset, images=30, epochs=1, masks=2)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    chosen = torch.randperm(40, generator=torch.Generator().manual_seed(0))[:30]
    pictures, labels = dataset.test_images[chosen], dataset.test_labels[chosen].numpy()
    errors = [analysis.anomaly_map(one, pictures, masks=2).mean(dim=(1, 2)).numpy() for one in (model, *adapted)]
    assert [row.name for row in rows] == dataset.class_names
    for label, row in enumerate(rows):
        scores = {"error": errors[0], "adapted error": errors[1 + label], "ratio": errors[1 + label] / errors[0]}
        assert (row.normal, row.others) == ((labels == label).sum(), (labels != label).sum())
        for name, score in scores.items():
            assert row.auc[name] == pytest.approx(roc_auc_score(labels != label, score), abs=1e-6)
            parts = (torch.from_numpy(score[labels == label]), torch.from_numpy(score[labels != label]))
            assert row.standard_error[name] == pytest.approx(analysis.roc_auc_standard_error(*parts))
    assert rows == one_class.one_class(model, dataset, images=30, epochs=1, masks=2)


def test_a_copy_learns_from_its_class_alone(model, dataset, monkeypatch):
    seen = {}
    monkeypatch.setattr(one_class, "fit", lambda learner, data, config: seen.update(learner=learner, data=data))
    one_class.adapt(model, dataset, 2, epochs=3, seed=0)
    own = dataset.train_labels == 2
    assert torch.equal(seen["data"].train_images, dataset.train_images[own])
    assert set(seen["data"].train_labels.tolist()) == {2}
    assert seen["learner"] is not model
    one_class.adapt(model, dataset, 2, epochs=3, seed=0, images=4)
    assert torch.equal(seen["data"].train_images, dataset.train_images[own][:4])


def test_a_copy_rebuilds_its_class_better_than_before(model, dataset):
    """The class is made of one kind of picture, which is quickly learned."""
    grey = dataset.train_images.clone()
    grey[dataset.train_labels == 1] = 40
    learned = one_class.adapt(model, type(dataset)(**vars(dataset) | {"train_images": grey}), 1, epochs=20, seed=0)
    dark = torch.full((8, 3, 32, 32), 40, dtype=torch.uint8)
    before, after = (evaluate_model(one, dark)["masked_mse"] for one in (model, learned))
    assert after < before / 2
    assert not learned.training


def test_one_class_of_one_class_is_refused(model, dataset):
    alone = type(dataset)(**vars(dataset) | {"test_labels": torch.zeros(40, dtype=torch.int64)})
    with pytest.raises(UsageError, match="shows no class that could be told from others"):
        one_class.one_class(model, alone)


def test_the_page_says_how_classes_are_told_apart():
    def row(name, error, ratio):
        auc = {"error": error, "adapted error": 0.5, "ratio": ratio}
        return one_class.OneClass(name=name, normal=9, others=91, auc=auc, standard_error=dict.fromkeys(auc, 0.02))

    by_name = {
        "first": [row("cat", 0.4, 0.6), row("dog", 0.3, 0.7)],
        "second": [row("cat", 0.45, 0.55), row("dog", 0.6, 0.5)],
    }
    text = page_of(one_class=by_name)
    assert "| `first` | 0.350 | 0.500 | 0.650 |" in text.splitlines()
    assert "| cat | 0.600 ± 0.020 | 0.550 ± 0.020 |" in text.splitlines()
    assert "trained for 1 more epoch on 40 training images of the normal class alone" in text
    assert "from 0.30 (dog) to 0.60 (dog)" in text
    assert "Its mean over classes is highest for `first`, at 0.650" in text


# ---- the page's curves, the command ------------------------------------------------------------------------------


def noisy(*levels):
    """A curve of 200 images whose mean errors are those of the PSNRs given."""
    spread = torch.rand(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5
    means = torch.tensor([10 ** (-psnr / 10) for psnr in levels], dtype=torch.float64)
    return curve_of(AXES["noise"].levels, means[:, None] * (1 + 0.5 * (spread - spread.mean())))


def test_the_page_says_what_damage_costs_and_where_floors_win():
    by_name = {
        "a": noisy(*[16.0] * 5, 13.5),
        "b": noisy(14.9, *[16.0] * 4, 14.0),
        "c": noisy(*[16.0] * 6),
        "Navier-Stokes": noisy(*[15.0] * 5, 12.0),
        "biharmonic": noisy(*[12.0] * 5, 15.0),
    }
    by_name |= {name: noisy(*[10.0] * 6) for name in ("visible mean", "Telea")}
    page = page_of(curves={"noise": by_name})
    assert "- Masked PSNR lost from 0 to 0.4, in dB, ± a 95% interval over images: `c` 0.00" in page
    assert "`c` 0.00 ± 0.00, `b` 0.90 ± 0.00, `a` 2.50 ± 0.00. They are listed by size" in page
    assert "- `a`: worse than the best floor at 0.4 (biharmonic); better at all other levels." in page
    assert "- `b`: worse than the best floor at 0 (Navier-Stokes), 0.4 (biharmonic); better" in page
    assert "- Better than the best floor at every level: `c`." in page


def test_a_floor_that_cannot_be_told_apart_is_named_as_such():
    rng = np.random.default_rng(0)
    base = rng.gamma(4.0, 0.005, (6, 200))
    gap = rng.normal(0, 0.004, (6, 200))
    levels = AXES["noise"].levels
    by_name = {"a": curve_of(levels, torch.from_numpy(base + gap - gap.mean(axis=1, keepdims=True)))}
    by_name |= {name: curve_of(levels, torch.from_numpy(base + (name != "Telea"))) for name in FLOORS}
    page = page_of(curves={"noise": by_name})
    assert "- `a`: cannot be told apart from the best floor at 0 (Telea), 0.05 (Telea)" in page


def test_what_damage_costs_has_the_interval_of_paired_images():
    rng = np.random.default_rng(1)
    first = rng.gamma(4.0, 0.005, 500)
    last = first * rng.uniform(1.1, 1.5, 500)
    lost, half = analysis.robustness.psnr_loss(curve_of((0.0, 1.0), torch.from_numpy(np.stack([first, last]))))
    assert lost == pytest.approx(10 * np.log10(last.mean() / first.mean()))
    picks = rng.integers(0, 500, (2000, 500))
    draws = 10 * np.log10(last[picks].mean(axis=1) / first[picks].mean(axis=1))
    assert half == pytest.approx(1.96 * draws.std(), rel=0.1)


def test_levels_are_written_as_tables_want_them():
    assert robustness_page.level_text("brightness", 0.4) == "+0.4"
    assert robustness_page.level_text("kind", "right half") == "right half"
    one = {"levels": [0.05, 0.95], "psnr": [14.0, 13.0], "low": [13.8, 12.8], "high": [14.2, 13.2]}
    assert robustness_page.curve_table("ratio", {"a": one}, []) == [
        ["", "5%", "95%"],
        ["`a`", "14.00 ± 0.20", "13.00 ± 0.20"],
    ]


@pytest.fixture
def shipped(model, archive, tmp_path, monkeypatch):
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path / "shipped"))
    other = tmp_path / "other.npz"
    other.write_bytes(archive.read_bytes())
    torch.manual_seed(5)
    for name, one, place in (("one", model, archive), ("away", etviz.create_model("et", **TINY), other)):
        save_checkpoint(one, tmp_path / "shipped" / name, {"dataset": str(place), "model": "et"})
    sizes = ["images=6", "transfer_images=8", "probe_images=30", "one_class=25", "one_class_epochs=1", "device=cpu"]
    return [f"dataset={archive}", f"transfer={other}", *sizes]


def test_the_command_writes_page_figure_and_json(shipped, archive, tmp_path, capsys):
    out = tmp_path / "docs"
    robustness.main([*shipped, "axes=[noise,kind]", f"out={out}"])
    assert capsys.readouterr().out.strip() == str(out / "robustness.md")
    page, report = (out / "robustness.md").read_text(), json.loads((out / "robustness.json").read_text())
    assert set(report["curves"]) == {"noise", "kind"}
    noise = report["curves"]["noise"]
    assert set(noise) == {"one", *FLOORS}
    dataset, fresh = etviz.load_dataset(str(archive)), etviz.load_model("one")
    expected = analysis.robustness_curves({"one": fresh.reconstruct}, dataset.test_images[:6], "noise")["one"]
    assert noise["one"]["psnr"] == pytest.approx(expected.psnr.tolist())
    (row,) = [line for line in page.split("### Kind")[0].splitlines() if line.startswith("| `one`")]
    cells = [float(cell.split("±")[0]) for cell in row.split("|")[2:-1]]
    assert cells == pytest.approx(noise["one"]["psnr"], abs=0.0051)
    pairs = {(row["checkpoint"], row["own"]) for row in report["transfer"]}
    assert pairs == {("one", True), ("one", False), ("away", True), ("away", False)}
    assert "which was trained on it" in page
    asked = " ".join(option for option in shipped if option != "device=cpu")
    assert f"`python -m etviz.robustness {asked} 'axes=[noise,kind]'` writes this page." in page
    assert [row["name"] for row in report["one_class"]["one"]] == dataset.class_names
    assert torch.__version__.startswith(report["libraries"]["torch"])
    (picture,) = re.findall(r"\]\((\S+\.png)\)", page)
    assert (out / picture).stat().st_size > 10_000
    before = (out / "robustness.json").read_text()
    robustness.main([*shipped, "axes=[noise,kind]", f"out={out}"])
    assert (out / "robustness.json").read_text() == before  # one seed, one JSON


def test_parts_can_be_left_out(shipped, tmp_path):
    out = tmp_path / "docs"
    robustness.main([*shipped, "axes=[]", "transfer=none", "one_class=0", f"out={out}"])
    report = json.loads((out / "robustness.json").read_text())
    assert (report["curves"], report["transfer"], report["one_class"]) == ({}, [], {})
    assert not (out / "robustness.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["axes=[noise,fog]"], "no axis 'fog'"),
        (["axes=[[noise]]"], "no axis '[noise]'"),
        (["images=1"], "images must be at least 2"),
        (["ratio=0"], "hides none of 64"),
        (["ratio=1.5"], "between 0 and 1"),
        (["one_class_checkpoints=[two]"], "'two' is not among the checkpoints: name some of one"),
        (["one_class_epochs=0"], "one_class_epochs must be at least 1"),
    ],
)
def test_bad_options_are_one_sentence(shipped, options, message, tmp_path):
    with pytest.raises(UsageError, match=re.escape(message)):
        robustness.main([*shipped, f"out={tmp_path / 'docs'}", *options])
    with pytest.raises(UsageError, match="transfer names another dataset than"):
        robustness.main([*shipped, shipped[0].replace("dataset=", "transfer="), f"out={tmp_path / 'docs'}"])


def test_models_of_other_patches_and_autoencoders_are_refused(model):
    coarse = etviz.create_model("et", **TINY, patch_size=8)
    with pytest.raises(UsageError, match="different patches"):
        robustness.check_models({"fine": model, "coarse": coarse})
    with pytest.raises(UsageError, match="codes is an autoencoder"):
        robustness.check_models({"codes": etviz.create_model("tokenizer", width=16, depth=1)})
