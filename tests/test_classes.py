"""Averages by class against NumPy, one class at a time, and the figure of them."""

import numpy as np
import pytest
import torch

from etviz import UsageError, analysis, plots

LABELS = torch.tensor([0, 2, 2, 0, 2, 3, 0, 2])
ERRORS = torch.tensor([0.01, 0.02, 0.03, 0.015, 0.05, 0.07, 0.02, 0.01])


def test_means_and_their_standard_errors_are_numpys():
    found = analysis.mean_by_class(ERRORS, LABELS, 4)
    assert found.count.tolist() == [3, 0, 4, 1]
    for label in (0, 2):
        own = ERRORS[label == LABELS].double().numpy()
        assert found.mean[label].item() == pytest.approx(own.mean(), rel=1e-12)
        assert found.standard_error[label].item() == pytest.approx(own.std(ddof=1) / np.sqrt(len(own)), rel=1e-12)
    assert found.mean[[1]].isnan().all()
    assert found.standard_error[[1, 3]].isnan().all()


def test_psnr_is_that_of_the_mean_error_and_its_spread_that_of_repeated_samples():
    rng = np.random.default_rng(0)
    errors = torch.from_numpy(rng.gamma(4.0, 0.005, (2000, 400)))
    found = analysis.psnr_by_class(errors[0], torch.zeros(400, dtype=torch.int64), 1)
    assert found.mean.item() == pytest.approx(-10 * np.log10(errors[0].numpy().mean()), rel=1e-12)
    repeated = -10 * np.log10(errors.numpy().mean(axis=1))  # what other images would have given
    assert found.standard_error.item() == pytest.approx(repeated.std(), rel=0.15)


def test_a_gain_is_the_difference_of_psnrs_with_the_spread_of_pairs():
    rng = np.random.default_rng(1)
    hard = rng.gamma(2.0, 0.01, (800, 4000))  # what makes an image hard is shared
    ours, theirs = (torch.from_numpy(hard * rng.gamma(50.0, scale, hard.shape)) for scale in (0.018, 0.02))
    labels = torch.arange(4000) % 2
    found = analysis.psnr_gain_by_class(ours[0], theirs[0], labels, 3)
    for label in (0, 1):
        mine, other = (10 * np.log10(errors[:, labels == label].numpy().mean(axis=1)) for errors in (ours, theirs))
        assert found.mean[label].item() == pytest.approx(other[0] - mine[0], rel=1e-9)
        assert found.standard_error[label].item() == pytest.approx((other - mine).std(), rel=0.1)
    alone = analysis.psnr_by_class(ours[0], labels, 3).standard_error
    assert (found.standard_error[:2] < 0.5 * alone[:2]).all()
    assert found.count.tolist() == [2000, 2000, 0]
    assert found.mean[2].isnan()
    with pytest.raises(UsageError, match="the same images"):
        analysis.psnr_gain_by_class(ours[0], theirs[0, 1:], labels, 2)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="one label"):
        analysis.mean_by_class(ERRORS, LABELS[:-1], 4)
    with pytest.raises(UsageError, match="there are 3 classes"):
        analysis.mean_by_class(ERRORS, LABELS, 3)


def test_the_dots_stand_in_order_with_their_spread():
    values = analysis.psnr_by_class(ERRORS, LABELS, 4)
    figure = plots.class_dots(values, ["a", "b", "c", "d"])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["d", "c", "a"]
    dots = next(line for line in axes.lines if line.get_marker() == "o")
    assert list(dots.get_xdata()) == pytest.approx(values.mean[[3, 2, 0]].tolist())
    (bars,) = axes.collections
    widths = [segment[1][0] - segment[0][0] for segment in bars.get_segments()]
    assert widths == pytest.approx([0, *(2 * values.standard_error[[2, 0]]).tolist()])


def test_zero_is_marked_between_gains_and_losses():
    def upright(values):
        (axes,) = plots.class_dots(values, ["a", "b"]).axes
        return [
            line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"
        ]

    both = analysis.mean_by_class(torch.tensor([-1.0, -1.0, 3.0, 3.0]), torch.tensor([0, 0, 1, 1]), 2)
    assert upright(both) == [1.0, 0.0]
    above = analysis.mean_by_class(torch.tensor([1.0, 1.0, 3.0, 3.0]), torch.tensor([0, 0, 1, 1]), 2)
    assert upright(above) == [2.0]


def test_dots_without_names_or_images_are_refused():
    values = analysis.mean_by_class(ERRORS, LABELS, 4)
    with pytest.raises(UsageError, match="4 classes and 1 names"):
        plots.class_dots(values, ["a"])
    with pytest.raises(UsageError, match="No class"):
        plots.class_dots(analysis.mean_by_class(ERRORS[:0], LABELS[:0], 2), ["a", "b"])
