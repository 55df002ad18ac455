"""Metrics against scikit-image, torchmetrics and numpy; and the promises of a whole evaluation."""

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
import torchmetrics.functional.image as tm
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

import etviz
from etviz import metrics
from etviz.data import to_float

TINY = {"embed_dim": 64, "num_heads": 2, "head_dim": 32, "step_size": 0.1, "init_scale": 0.1}


@pytest.fixture
def pair():
    """Six smooth-ish images and noisy versions of them, (6, 3, 32, 32) in [0, 1]."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(6, 3, 8, 8, generator=generator)
    images = torch.nn.functional.interpolate(coarse, size=32, mode="bilinear")
    noisy = (images + 0.1 * torch.randn(images.shape, generator=generator)).clamp(0, 1)
    return images, noisy


@pytest.fixture
def split():
    return torch.randint(256, (11, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return etviz.create_model("et", **TINY)


def mask_of(images, ratio=0.85, seed=3):
    return etviz.random_mask(len(images), ratio, generator=torch.Generator().manual_seed(seed))


def as_numpy(images):
    return images.permute(0, 2, 3, 1).double().numpy()  # (B, H, W, C)


# ---- single images -----------------------------------------------------------------------------------------------


def test_masked_psnr_is_five_lines_of_numpy(pair):
    images, noisy = pair
    mask = mask_of(images)
    for index in range(len(images)):
        a, b = as_numpy(images)[index], as_numpy(noisy)[index]
        hidden = np.kron(mask[index].numpy().reshape(8, 8), np.ones((4, 4))).astype(bool)
        error = ((a[hidden] - b[hidden]) ** 2).mean()
        assert metrics.masked_mse(images, noisy, mask)[index].item() == pytest.approx(error, rel=1e-5)
        assert metrics.masked_psnr(images, noisy, mask)[index].item() == pytest.approx(-10 * np.log10(error), abs=1e-4)


def test_visible_pixels_do_not_enter_the_masked_error(pair):
    images, noisy = pair
    mask = mask_of(images)
    assert torch.equal(
        metrics.masked_mse(images, noisy, mask),
        metrics.masked_mse(images, torch.where(metrics.mask_to_pixels(mask, 4), noisy, 0.0), mask),
    )


def test_mse_and_psnr_equal_scikit_image_and_torchmetrics(pair):
    images, noisy = pair
    ours = metrics.psnr(images, noisy)
    theirs = tm.peak_signal_noise_ratio(noisy, images, data_range=1.0, reduction="none", dim=(1, 2, 3))
    assert torch.allclose(ours, theirs, atol=1e-4)
    for index, (a, b) in enumerate(zip(as_numpy(images), as_numpy(noisy), strict=True)):
        assert metrics.mse(images, noisy)[index].item() == pytest.approx(mean_squared_error(a, b), rel=1e-5)
        assert ours[index].item() == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1), abs=1e-4)


def test_ssim_equals_torchmetrics_and_scikit_image(pair):
    images, noisy = pair
    ours = metrics.ssim(images, noisy)
    theirs = tm.structural_similarity_index_measure(noisy, images, data_range=1.0, reduction="none")
    assert torch.allclose(ours, theirs, atol=1e-6)
    # scikit-image averages over the inner pixels only: pad by half a window, and all of ours are inner ones
    padded = [np.pad(as_numpy(x), ((0, 0), (5, 5), (5, 5), (0, 0)), mode="reflect") for x in pair]
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for index, (a, b) in enumerate(zip(*padded, strict=True)):
        options = {"data_range": 1, "channel_axis": 2, **wang}
        assert ours[index].item() == pytest.approx(structural_similarity(a, b, **options), abs=1e-5)


def test_ssim_ignores_autocast(pair):
    images, noisy = pair
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(metrics.ssim(images, noisy), metrics.ssim(images, noisy))
        under_autocast = metrics.ssim(images, noisy)
    assert torch.equal(under_autocast, metrics.ssim(images, noisy))
    assert torch.backends.cudnn.enabled


def test_ssim_of_images_smaller_than_its_border_is_refused():
    with pytest.raises(etviz.UsageError, match="6x6"):
        metrics.ssim(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4))


def test_the_completed_image_is_measured_where_it_should_be(pair):
    images, noisy = pair
    mask = mask_of(images)
    values = metrics.image_metrics(images, noisy, mask)
    completed = etviz.complete(images, noisy, mask)
    assert torch.equal(values["completed_mse"], metrics.mse(images, completed))
    assert torch.equal(values["completed_ssim"], metrics.ssim(images, completed))
    assert torch.equal(values["raw_mse"], metrics.mse(images, noisy))
    assert torch.equal(values["raw_ssim"], metrics.ssim(images, noisy))
    # 54 of 64 patches carry all of the completed image's error
    assert torch.allclose(values["completed_mse"], values["masked_mse"] * 54 / 64, rtol=1e-5)


def test_nothing_hidden_has_no_masked_error_and_everything_hidden_has_the_whole(pair):
    images, noisy = pair
    nothing = torch.zeros(6, 64, dtype=torch.bool)
    assert metrics.masked_mse(images, noisy, nothing).isnan().all()
    assert metrics.masked_psnr(images, noisy, nothing).isnan().all()
    assert torch.allclose(metrics.masked_mse(images, noisy, ~nothing), metrics.mse(images, noisy))


def test_a_perfect_reconstruction_has_infinite_psnr_and_ssim_one(pair):
    images, _ = pair
    assert metrics.psnr(images, images).isposinf().all()
    assert torch.allclose(metrics.ssim(images, images), torch.ones(6))


def test_shapes_that_do_not_fit_are_refused(pair):
    images, noisy = pair
    with pytest.raises(etviz.UsageError, match="one shape"):
        metrics.mse(images, noisy[:3])
    with pytest.raises(etviz.UsageError, match="mask must be of shape"):
        metrics.masked_mse(images, noisy, mask_of(images[:3]))


# ---- a whole split -----------------------------------------------------------------------------------------------


def test_evaluation_equals_a_plain_computation(model, split):
    result = metrics.evaluate_model(model, split, ratio=0.5, mask_seed=7)
    mask = etviz.random_mask(11, 0.5, generator=torch.Generator().manual_seed(7))
    images = split.float() / 255
    output = model.reconstruct(images, mask)
    hidden = mask.reshape(-1, 1, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3).expand_as(images)
    errors = ((output - images) ** 2)[hidden].reshape(11, -1).mean(1).double()
    assert result["masked_mse"] == pytest.approx(errors.mean().item(), rel=1e-5)
    assert result["masked_psnr"] == pytest.approx(-10 * math.log10(errors.mean()), abs=1e-4)
    assert result["masked_psnr_image_mean"] == pytest.approx((-10 * errors.log10()).mean().item(), abs=1e-4)
    completed = etviz.complete(images, output, mask)
    errors = ((completed - images) ** 2).mean((1, 2, 3)).double()
    assert result["completed_mse"] == pytest.approx(errors.mean().item(), rel=1e-5)
    assert result["completed_psnr"] == pytest.approx(-10 * math.log10(errors.mean()), abs=1e-4)
    assert result["completed_psnr_image_mean"] == pytest.approx((-10 * errors.log10()).mean().item(), abs=1e-4)
    similarity = tm.structural_similarity_index_measure(completed, images, data_range=1.0)
    assert result["completed_ssim"] == pytest.approx(similarity.item(), abs=1e-5)
    errors = ((output - images) ** 2).mean((1, 2, 3)).double()
    assert result["raw_mse"] == pytest.approx(errors.mean().item(), rel=1e-5)
    assert result["raw_psnr"] == pytest.approx(-10 * math.log10(errors.mean()), abs=1e-4)
    similarity = tm.structural_similarity_index_measure(output, images, data_range=1.0)
    assert result["raw_ssim"] == pytest.approx(similarity.item(), abs=1e-5)


def test_standard_errors_are_scipys_and_that_of_the_psnr_is_the_bootstraps():
    generator = torch.Generator().manual_seed(5)
    errors = 0.02 + 0.06 * torch.rand(2000, generator=generator, dtype=torch.float64).square()
    values = {f"{part}_mse": errors for part in metrics.PARTS} | {"completed_ssim": errors.sqrt()}
    result = metrics.summarize(values)
    psnr = -10 * np.log10(errors.numpy())
    assert result["masked_mse_standard_error"] == pytest.approx(scipy.stats.sem(errors.numpy()), rel=1e-12)
    assert result["raw_psnr_image_mean_standard_error"] == pytest.approx(scipy.stats.sem(psnr), rel=1e-12)
    assert result["completed_ssim_standard_error"] == pytest.approx(scipy.stats.sem(errors.sqrt().numpy()), rel=1e-12)
    drawn = np.random.default_rng(0).choice(errors.numpy(), (2000, 2000)).mean(1)
    spread = (-10 * np.log10(drawn)).std()
    assert result["masked_psnr_standard_error"] == pytest.approx(spread, rel=0.05)


def test_a_single_image_has_no_standard_error(model, split):
    assert not [name for name in metrics.evaluate_model(model, split[:1]) if name.endswith("standard_error")]


def test_ssim_in_chunks_is_ssim_at_once(pair):
    images, noisy = (x.repeat(9, 1, 1, 1) for x in pair)  # 54, more than two chunks
    theirs = tm.structural_similarity_index_measure(noisy, images, data_range=1.0, reduction="none")
    assert metrics.ssim(images, noisy).shape == (54,)
    assert torch.allclose(metrics.ssim(images, noisy), theirs, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_the_batch_size_changes_nothing(model, split, batch_size):
    expected = metrics.evaluate_model(model, split, batch_size=11)
    result = metrics.evaluate_model(model, split, batch_size=batch_size)
    assert result.keys() == expected.keys()
    for name, value in expected.items():
        assert result[name] == pytest.approx(value, rel=1e-6), name


def test_the_mask_seed_decides_the_masks(model, split):
    by_seed = [metrics.evaluate_model(model, split, mask_seed=seed)["masked_mse"] for seed in (0, 0, 1)]
    assert by_seed[0] == by_seed[1] != by_seed[2]


def test_a_limited_evaluation_uses_the_first_masks_of_the_full_one():
    full = metrics.evaluation_masks(10_000, mask_seed=4)
    assert torch.equal(full[:37], metrics.evaluation_masks(37, mask_seed=4))
    assert (full.sum(1) == 54).all()


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_restored(model, split, training):
    model.train(training)
    seen = []
    metrics.evaluate_model(model, split, batch_size=5, progress=lambda *_: seen.append(model.training))
    assert seen == [False] * 3
    assert model.training is training


def test_the_mode_is_restored_after_a_failure(model, split):
    model.train()
    with pytest.raises(etviz.UsageError, match="Images must be of shape"):
        metrics.evaluate_model(model, split[..., :16, :16])
    assert model.training


def test_progress_counts_images(model, split):
    calls = []
    metrics.evaluate_model(model, split, batch_size=5, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(5, 11), (10, 11), (11, 11)]


def test_ssim_can_be_left_out(model, split):
    full = metrics.evaluate_model(model, split)
    part = metrics.evaluate_model(model, split, include_ssim=False)
    ssims = {"completed_ssim", "raw_ssim"}
    assert full.keys() - part.keys() == ssims | {f"{name}_standard_error" for name in ssims}
    assert part == {name: full[name] for name in part}


def test_the_model_sees_no_more_than_a_batch_at_once(split):
    sizes = []

    def reconstruct(images, mask):
        sizes.append(len(images))
        return images

    metrics.measure(reconstruct, split, metrics.evaluation_masks(11), batch_size=4)
    assert sizes == [4, 4, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 0.0}, "hides none of 64 patches"),
        ({"ratio": 1.5}, "between 0 and 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(model, split, arguments, message):
    with pytest.raises(etviz.UsageError, match=message):
        metrics.evaluate_model(model, split, **arguments)


def test_float_or_missing_images_are_refused(model, split):
    with pytest.raises(etviz.UsageError, match="uint8"):
        metrics.evaluate_model(model, to_float(split))
    with pytest.raises(etviz.UsageError, match="no images"):
        metrics.evaluate_model(model, split[:0])


def test_everything_hidden_is_measured_over_all_pixels(model, split):
    result = metrics.evaluate_model(model, split, ratio=1.0)
    assert result["masked_mse"] == pytest.approx(result["completed_mse"], rel=1e-6)


# ---- imports -----------------------------------------------------------------------------------------------------


def test_importing_metrics_stays_light():
    heavy = "torchmetrics", "matplotlib", "gradio", "hydra", "torchvision", "lpips", "scipy"
    modules = "etviz.metrics, etviz.evaluation.perceptual, etviz.evaluation.scores"
    code = f"import sys, {modules}; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_scoring_costs_little_beside_the_forward_passes_of_a_full_size_model():
    from benchmarks.evaluation import full_size, measure

    scoring, bare = measure(full_size(), 25, rounds=3)
    assert scoring + bare <= 1.15 * bare
