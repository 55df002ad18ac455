"""The anomaly map, its score and its ROC AUC, computed once more by plain loops, numpy and scipy."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

import etviz
from etviz import UsageError, analysis
from tests.conftest import TINY

# ---- masks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "count", "times"), [(0.5, 8, 4), (0.25, 8, 2), (0.75, 8, 6), (1.0, 3, 3)])
def test_every_patch_is_hidden_equally_often(ratio, count, times):
    masks = analysis.covering_masks(count, ratio)
    assert masks.shape == (count, 64)
    assert masks.sum(dim=1).tolist() == [int(64 * ratio)] * count
    assert masks.sum(dim=0).tolist() == [times] * 64


def test_a_share_that_does_not_come_out_even_differs_by_one():
    masks = analysis.covering_masks(8, 0.85)  # 8 masks of 54: 6.75 times each
    assert masks.sum(dim=1).tolist() == [54] * 8
    assert set(masks.sum(dim=0).tolist()) == {6, 7}
    assert set(analysis.covering_masks(32, 0.85).sum(dim=0).tolist()) == {27}


def test_masks_come_in_complements_of_other_shuffles():
    masks = analysis.covering_masks(8, 0.5)
    assert torch.equal(masks[1::2], ~masks[::2])
    assert len({etviz.mask_to_hex(mask) for mask in masks}) == 8
    assert torch.equal(masks[:4], analysis.covering_masks(4, 0.5))
    assert not torch.equal(masks, analysis.covering_masks(8, 0.5, seed=1))


def test_masks_that_cannot_cover_are_refused():
    for call, message in [
        (lambda: analysis.covering_masks(8, 0.01), "hides none of 64"),
        (lambda: analysis.covering_masks(1, 0.5), "takes 2 masks of ratio 0.5 .*, not 1"),
        (lambda: analysis.covering_masks(8, 1.2), "between 0 and 1"),
    ]:
        with pytest.raises(UsageError, match=message):
            call()


# ---- map ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "count"), [(0.5, 4), (0.85, 5)])
def test_the_map_is_the_mean_over_the_masks_that_hide_a_pixel(tiny_model, images, ratio, count):
    """Pixel by pixel, in float64, from single reconstructions."""
    found = analysis.anomaly_map(tiny_model, images, ratio=ratio, masks=count, seed=3)
    assert found.shape == (4, 32, 32)
    masks = analysis.covering_masks(count, ratio, seed=3)
    for image, row, column in [(0, 0, 0), (1, 5, 30), (2, 31, 31), (3, 16, 15), (3, 0, 31)]:
        patch = 8 * (row // 4) + column // 4
        errors = []
        for mask in masks:
            if mask[patch]:
                rebuilt = tiny_model.reconstruct(images[[image]], mask[None])[0, :, row, column].double().numpy()
                errors.append(np.mean((rebuilt - images[image, :, row, column].double().numpy()) ** 2))
        assert found[image, row, column].item() == pytest.approx(np.mean(errors), rel=1e-4)


def test_what_a_patch_shows_never_helps_to_rebuild_it(tiny_model, images):
    """Another content in one patch changes its own error as the truth changes, by no new prediction."""
    changed = images.clone()
    changed[:, :, :4, :4] = 1 - images[:, :, :4, :4]
    before, after = (analysis.anomaly_map(tiny_model, one, masks=2) for one in (images, changed))
    masks = analysis.covering_masks(2)
    hiding = masks[masks[:, 0]].expand(4, -1)
    rebuilt = tiny_model.reconstruct(images, hiding)
    for found, truth in ((before, images), (after, changed)):
        expected = (rebuilt - truth).square().mean(1)[:, :4, :4]
        torch.testing.assert_close(found[:, :4, :4], expected, rtol=1e-4, atol=1e-6)


def test_the_map_does_not_depend_on_the_rest_of_the_batch(tiny_model, images):
    together = analysis.anomaly_map(tiny_model, images, masks=4)
    torch.testing.assert_close(analysis.anomaly_map(tiny_model, images, masks=4, chunk=3), together)
    torch.testing.assert_close(analysis.anomaly_map(tiny_model, images[2:3], masks=4)[0], together[2])


def test_stored_images_and_the_models_mode(tiny_model):
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tiny_model.train()
    found = analysis.anomaly_map(tiny_model, pixels, masks=2)
    assert tiny_model.training
    assert torch.equal(found, analysis.anomaly_map(tiny_model.eval(), pixels / 255, masks=2))
    assert not tiny_model.training


def test_the_map_of_models_of_other_sizes():
    model = etviz.create_model("et", **TINY | dict(img_size=24, patch_size=8, in_chans=1, mean=(0.5,), std=(0.2,)))
    assert analysis.anomaly_map(model, torch.rand(2, 1, 24, 24), ratio=0.4).shape == (2, 24, 24)  # 3 of 9 patches


def test_an_impossible_map(tiny_model, images):
    for call, message in [
        (lambda: analysis.anomaly_map(tiny_model, images[:0]), "no images"),
        (lambda: analysis.anomaly_map(tiny_model, images, chunk=0), "chunk must be at least 1"),
        (lambda: analysis.anomaly_map(tiny_model, images, masks=1), "takes 2 masks"),
        (lambda: analysis.anomaly_map(tiny_model, images[:, :1]), "Images must be of shape"),
    ]:
        with pytest.raises(UsageError, match=message):
            call()


# ---- score and ROC AUC -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("worst", "count"), [(1.0, 1024), (0.05, 52), (1e-6, 1)])
def test_the_score_is_the_mean_of_the_worst_pixels(worst, count):
    maps = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = np.sort(maps.double().numpy().reshape(3, -1), axis=1)[:, -count:].mean(axis=1)
    assert np.allclose(analysis.anomaly_score(maps, worst), expected, rtol=1e-5)


def test_roc_auc_is_mann_and_whitneys_statistic():
    rng = np.random.default_rng(0)
    for scale in (0.05, 100.0):  # beyond 1, too
        normal, anomalous = rng.normal(0, 1, 300).round(1) * scale, rng.normal(0.7, 1, 200).round(1) * scale  # ties
        expected = mannwhitneyu(anomalous, normal).statistic / (300 * 200)
        found = analysis.roc_auc(torch.from_numpy(normal), torch.from_numpy(anomalous))
        assert found == pytest.approx(expected, abs=1e-6)
        assert analysis.roc_auc(torch.from_numpy(anomalous), torch.from_numpy(normal)) == pytest.approx(1 - found)


def test_roc_auc_of_scores_that_are_nearly_alike():
    """Far closer together than single precision tells apart."""
    normal = 1 + torch.arange(5).double() * 1e-12
    assert analysis.roc_auc(normal, normal + 1e-11) == 1.0
    assert analysis.roc_auc(normal, normal) == 0.5


def test_impossible_scores():
    for call, message in [
        (lambda: analysis.anomaly_score(torch.rand(32, 32)), r"shape \(B, H, W\)"),
        (lambda: analysis.anomaly_score(torch.rand(1, 32, 32), worst=0), "share of worst pixels"),
        (lambda: analysis.anomaly_score(torch.rand(1, 32, 32), worst=1.5), "share of worst pixels"),
        (lambda: analysis.roc_auc(torch.rand(3), torch.rand(0)), "at least one finite score"),
        (lambda: analysis.roc_auc(torch.tensor([torch.nan]), torch.rand(2)), "at least one finite score"),
    ]:
        with pytest.raises(UsageError, match=message):
            call()
