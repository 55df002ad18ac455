"""The energy around a descent, held against the definition evaluated state by state."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import etviz
from etviz import UsageError, analysis
from etviz.evaluation.costs import count_flops
from tests.conftest import TINY


@pytest.fixture
def model(tiny_model):
    return tiny_model.double()


@pytest.fixture
def trace(model, images, mask):
    return model.trace(images.double(), mask, beta=0.6)


def energy_at(model, x, beta, block=0):
    """By the definition, one state (N, D)."""
    function = model.descent.blocks[block]
    return function.energy(function.norm(x[None]), beta).item()


def gradient_at(model, x, beta, block=0):
    function = model.descent.blocks[block]
    g = function.norm(x[None]).detach().requires_grad_()
    return torch.autograd.grad(function.energy(g, beta).sum(), g)[0][0]


# ---- along the gradient ------------------------------------------------------------------------------------------


def test_the_line_is_the_energy_along_minus_the_gradient(model, trace):
    line = analysis.energy_along_gradient(model, trace, image=1, step=2, reach=3, points=9)
    x = trace.tokens[1, 2]
    gradient = gradient_at(model, x, 0.6)
    assert np.allclose(line.sizes, np.linspace(-0.1, 0.3, 9))
    expected = [energy_at(model, x - a * gradient, 0.6) for a in line.sizes.tolist()]
    assert line.energy.tolist() == pytest.approx(expected, rel=1e-10)
    assert (line.step, line.step_size) == (2, pytest.approx(0.1))


def test_the_marks_on_the_line_are_the_traces_states(model, trace):
    for step in range(4):
        line = analysis.energy_along_gradient(model, trace, image=3, step=step)
        assert line.energy_here == pytest.approx(trace.energy[3, step].item(), rel=1e-10)
        assert line.energy_next == pytest.approx(trace.energy[3, step + 1].item(), rel=1e-10)
    last = analysis.energy_along_gradient(model, trace, image=3, step=-1)
    assert last.step == 4
    assert last.energy_here == pytest.approx(trace.energy[3, 4].item(), rel=1e-10)


def test_the_line_knows_the_block_and_the_step_taken(images, mask):
    torch.manual_seed(0)
    model = etviz.create_model("et", **TINY | dict(depth=2, steps=2)).double()
    trace = model.trace(images.double(), mask)
    first = analysis.energy_along_gradient(model, trace, step=1, reach=2, points=4)
    x = trace.tokens[0, 1]
    after = [energy_at(model, x - a * gradient_at(model, x, None), None) for a in first.sizes.tolist()]
    assert first.energy.tolist() == pytest.approx(after, rel=1e-10)
    trace.step_sizes[0, 3] = 0.025  # as if halved twice by backtracking
    line = analysis.energy_along_gradient(model, trace, step=3)
    assert line.step_size == 0.025
    x = trace.tokens[0, 3]
    assert line.energy_here == pytest.approx(energy_at(model, x, None, block=1), rel=1e-10)
    after = energy_at(model, x - 0.025 * gradient_at(model, x, None, block=1), None, block=1)
    assert line.energy_next == pytest.approx(after, rel=1e-10)
    trace.step_sizes[0, 3] = 0.0  # refused: the curve is drawn for the model's own step
    assert analysis.energy_along_gradient(model, trace, step=3).step_size == 0.1


# ---- on a plane --------------------------------------------------------------------------------------------------


def states_of(trace, image, normalized):
    """The states as rows, (T+1, N * D)."""
    tokens = trace.tokens[image]
    if normalized:
        tokens = (tokens - tokens.mean(2, keepdim=True)) / tokens.std(2, keepdim=True, correction=0)
    return tokens.flatten(1)


@pytest.mark.parametrize("normalized", [True, False])
def test_the_plane_holds_the_first_two_principal_components(model, trace, normalized):
    plane = analysis.energy_plane(model, trace, image=2, points=5, margin=0.5, normalized=normalized)
    states = states_of(trace, 2, normalized).numpy()
    centred = states - states.mean(0)
    values, vectors = np.linalg.eigh(centred @ centred.T)  # the Gram matrix: another way to the same components
    assert plane.variance == pytest.approx(values[[-1, -2]] / values.sum(), rel=1e-8)
    for axis in (0, 1):
        expected = vectors[:, -1 - axis] * np.sqrt(values[-1 - axis])
        assert plane.path[:, axis].abs().numpy() == pytest.approx(np.abs(expected), rel=1e-6, abs=1e-9)
        low, high = plane.path[:, axis].min().item(), plane.path[:, axis].max().item()
        grid = (plane.first, plane.second)[axis]
        assert grid[[0, -1]].tolist() == pytest.approx([low - (high - low) / 2, high + (high - low) / 2])
    assert plane.path_energy.tolist() == trace.energy[2].tolist()
    assert plane.steps.tolist() == list(range(5))


@pytest.mark.parametrize("normalized", [True, False])
def test_the_planes_energies_are_those_of_its_points(model, trace, normalized):
    plane = analysis.energy_plane(model, trace, image=2, points=4, normalized=normalized)
    states = states_of(trace, 2, normalized)
    mean = states.mean(0)
    axes = torch.linalg.lstsq(plane.path, states - mean).solution  # (2, N * D), from the path alone
    for row, column in [(0, 0), (0, 3), (2, 1), (3, 3)]:
        x = mean + plane.first[column] * axes[0] + plane.second[row] * axes[1]
        expected = energy_at(model, x.reshape(trace.tokens.shape[2:]), 0.6)
        assert plane.energy[row, column].item() == pytest.approx(expected, rel=1e-8)


def test_any_state_has_a_place_on_the_plane(model, trace):
    plane = analysis.energy_plane(model, trace, image=2, points=3)
    torch.testing.assert_close(plane.project(trace.tokens[2]), plane.path)
    normed = (trace.tokens - trace.tokens.mean(3, keepdim=True)) / trace.tokens.std(3, keepdim=True, correction=0)
    strangers, mean = trace.tokens[:2], normed[2].mean(0)  # of other images: (2, T+1, N, D)
    centred = normed[:2] - mean
    axes = torch.linalg.lstsq(plane.path, (normed[2] - mean).flatten(1)).solution
    expected = torch.linalg.lstsq(axes.T, centred.flatten(2).flatten(0, 1).T).solution.T.unflatten(0, (2, -1))
    torch.testing.assert_close(plane.project(strangers), expected)


def test_a_plane_is_of_one_block(images, mask):
    torch.manual_seed(0)
    model = etviz.create_model("et", **TINY | dict(depth=2)).double()
    trace = model.trace(images.double(), mask)
    assert analysis.energy_plane(model, trace, points=2).steps.tolist() == [4, 5, 6, 7, 8]
    first = analysis.energy_plane(model, trace, points=2, block=0, normalized=False)
    assert first.steps.tolist() == [0, 1, 2, 3]
    states = trace.tokens[0, :4].flatten(1)
    axes = torch.linalg.lstsq(first.path, states - states.mean(0)).solution
    corner = states.mean(0) + first.first[0] * axes[0] + first.second[0] * axes[1]
    expected = energy_at(model, corner.reshape(trace.tokens.shape[2:]), None, block=0)
    assert first.energy[0, 0].item() == pytest.approx(expected, rel=1e-8)


def test_a_plane_costs_one_energy_a_point():
    torch.manual_seed(0)
    model = etviz.create_model("et", step_size=0.1, init_scale=0.05).eval()
    trace = model.trace(torch.rand(1, 3, 32, 32), etviz.random_mask(1), keep_attention=False)
    with torch.no_grad():
        energy = count_flops(lambda: model.descent.energy(trace.tokens[:, 0]))
        plane = count_flops(lambda: analysis.energy_plane(model, trace, points=25))
    assert plane < 1.01 * 25**2 * energy  # a gradient at a point would double that


def test_the_length_of_a_token_plays_no_part_in_the_plane(model, trace):
    longer = replace(trace, tokens=trace.tokens * torch.linspace(50, 90, 5).double()[:, None, None])
    usual, grown = (analysis.energy_plane(model, t, points=3) for t in (trace, longer))
    assert grown.variance == pytest.approx(usual.variance)
    torch.testing.assert_close(grown.energy.sum(), usual.energy.sum(), rtol=1e-6, atol=0)  # up to mirrored axes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, t: analysis.energy_along_gradient(m, t, image=4), "no image 4"),
        (lambda m, t: analysis.energy_along_gradient(m, t, step=5), "no step 5"),
        (lambda m, t: analysis.energy_along_gradient(m, t, reach=0), "reach must be above 0"),
        (lambda m, t: analysis.energy_along_gradient(m, t, points=1), "points must be at least 2"),
        (lambda m, t: analysis.energy_plane(m, t, image=-5), "no image -5"),
        (lambda m, t: analysis.energy_plane(m, t, margin=-0.1), "margin must be 0 or more"),
        (lambda m, t: analysis.energy_plane(m, t, block=1), "no block 1"),
    ],
)
def test_impossible_settings(model, trace, call, message):
    with pytest.raises(UsageError, match=message):
        call(model, trace)


def test_descents_that_span_no_plane_are_refused(model, images, mask):
    short = model.trace(images.double(), mask, steps=1)
    with pytest.raises(UsageError, match="three finite states"):
        analysis.energy_plane(model, short)
    broken = model.trace(images.double(), mask, step_size=1e300)
    with pytest.raises(UsageError, match="three finite states"):
        analysis.energy_plane(model, broken)


# ---- perturbed starts --------------------------------------------------------------------------------------------


@pytest.fixture
def settling(model):
    """The model, with a step size of its own by which it settles in few steps."""
    model.descent.step_size = 10.0
    return model


def direction(x):
    return (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True, correction=0)


def test_without_noise_nothing_changes(settling, images, mask):
    image, hidden = images[:1].double(), mask[:1]
    result = analysis.perturbed_descents(settling, image, hidden, noise=0.0, count=2)
    torch.testing.assert_close(result.energy, result.reference_energy.expand(2, -1))
    assert result.end_distance.tolist() == pytest.approx([0, 0], abs=1e-10)
    assert result.barrier.tolist() == pytest.approx([0, 0], abs=1e-10)
    assert result.same_basin.all()
    trace = settling.trace(image, hidden)
    torch.testing.assert_close(result.reference_energy, trace.energy[0])
    expected = etviz.complete(image, trace.frames[:, -1], hidden)[0]
    torch.testing.assert_close(result.reference_frame, expected)


def test_a_descent_of_no_steps_still_has_a_verdict(settling, images, mask):
    still, moved = (
        analysis.perturbed_descents(settling, images[:1].double(), mask[:1], noise=noise, count=2, steps=0)
        for noise in (0.0, 3.0)
    )
    assert torch.isfinite(still.barrier).all()
    assert moved.energy.shape == (2, 1)
    torch.testing.assert_close(moved.distance_ratio, torch.ones(2).double())


def test_noise_is_relative_to_each_token_and_repeats_with_its_seed(model, images, mask):
    image, hidden = images[:1].double(), mask[:1]
    reference = analysis.undisturbed_descent(model, image, hidden, settling_steps=0)
    a, b, other = (
        analysis.perturbed_descents(model, image, hidden, noise=0.3, count=40, seed=seed, reference=reference)
        for seed in (1, 1, 2)
    )
    assert torch.equal(a.energy, b.energy)
    assert not torch.equal(a.energy, other.energy)
    start = reference.trace.tokens[0, 0]
    deviation = (a.tokens[:, 0] - start).norm(dim=2).square().mean(0).sqrt()  # over 40 draws, by token
    assert (deviation / start.norm(dim=1)).tolist() == pytest.approx([0.3] * 65, rel=0.12)


def test_perturbations_are_compared_with_the_undisturbed_descent(model, images, mask):
    image, hidden = images[:1].double(), mask[:1]
    settings = dict(steps=6, beta=0.6, settling_steps=3)
    result = analysis.perturbed_descents(model, image, hidden, noise=0.5, count=3, **settings)
    assert result.energy.shape == (3, 7)
    pixels = hidden.reshape(8, 8).repeat_interleave(4, 0).repeat_interleave(4, 1)
    for frames, error in ((result.frames, result.masked_mse), (result.settled.frames, result.settled.masked_mse)):
        torch.testing.assert_close(error, (frames - image)[:, :, pixels].square().mean((1, 2)))
    assert result.reference_mse == pytest.approx(
        (result.reference_frame - image[0])[:, pixels].square().mean().item(), rel=1e-10
    )
    torch.testing.assert_close(result.distance_ratio, result.end_distance / result.start_distance)
    function = model.descent.blocks[0]
    reference = result.reference.trace
    for state, distance in ((0, result.start_distance), (-1, result.end_distance)):
        apart = function.norm(result.tokens[:, state]) - function.norm(reference.tokens[:, state])
        torch.testing.assert_close(distance, apart.flatten(1).norm(dim=1))


def test_settled_states_are_those_of_the_descent_on_the_sphere(settling, images, mask):
    """From where the descent ended, with the step size and the energy asked for, as `trace` takes it."""
    image, hidden = images[:1].double(), mask[:1]
    result = analysis.perturbed_descents(settling, image, hidden, noise=0.5, count=2, step_size=5.0, beta=0.6)
    for k in range(2):
        start = result.tokens[k : k + 1, -1]
        settings = dict(steps=200, step_size=5.0, beta=0.6, rule="sphere", tolerance=1e-4)
        on = settling.trace(image, hidden, start=start / start.std(-1, keepdim=True, correction=0), **settings)
        assert result.settled.steps[k].item() == pytest.approx(on.settled.item(), abs=1)  # in pieces, or in one
        torch.testing.assert_close(result.settled.tokens[k], direction(on.tokens[0, -1]), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(result.settled.energy[k], on.energy[0, -1], rtol=1e-6, atol=0)


def test_the_verdict_is_the_barrier_between_the_settled_states(settling, images, mask):
    """Energies on the straight line between them, one at a time."""
    image, hidden = images[:1].double(), mask[:1]
    result = analysis.perturbed_descents(settling, image, hidden, noise=2.0, count=3, other=images[1:2].double())
    here, start = result.reference.settled.tokens[0], result.reference.trace.energy[0, 0].item()
    lost = abs(start - energy_at(settling, here, None))

    def barrier(end):
        line = [energy_at(settling, here + w * (end - here), None) for w in np.linspace(0, 1, 17)]
        return (max(line) - max(line[0], line[-1])) / lost

    for k, end in enumerate(result.settled.tokens):
        assert result.barrier[k].item() == pytest.approx(barrier(end), abs=1e-4)
        assert result.same_basin[k].item() == (result.barrier[k].item() <= 0.001)
    control = result.reference.control
    assert control.barrier == pytest.approx(barrier(control.settled.tokens[0]), abs=1e-4)
    assert control.same_basin == (control.barrier <= 0.001)
    trace = settling.trace(images[1:2].double(), hidden)
    expected = etviz.complete(images[1:2].double(), trace.frames[:, -1], hidden)[0]
    torch.testing.assert_close(control.frame, expected)


def test_what_has_not_settled_within_the_limit_has_no_verdict(model, images, mask):
    image, hidden = images[:1].double(), mask[:1]
    result = analysis.perturbed_descents(
        model, image, hidden, noise=0.0, count=2, other=images[1:2].double(), settling_steps=2
    )
    assert result.settled.steps.tolist() == [-1, -1] == 2 * result.reference.settled.steps.tolist()
    assert not result.same_basin.any()  # though the barrier is 0
    assert result.barrier.abs().max() < 1e-10
    assert not result.reference.control.same_basin


def test_a_reference_can_be_used_again(settling, images, mask):
    image, hidden, other = images[:1].double(), mask[:1], images[1:2].double()
    reference = analysis.undisturbed_descent(settling, image, hidden, other=other)
    again = analysis.perturbed_descents(settling, image, hidden, noise=0.5, count=2, seed=4, reference=reference)
    alone = analysis.perturbed_descents(settling, image, hidden, noise=0.5, count=2, seed=4, other=other)
    assert torch.equal(again.barrier, alone.barrier)
    assert torch.equal(again.energy, alone.energy)
    assert alone.reference.control.barrier == reference.control.barrier


def test_small_disturbances_stay_in_the_basin_and_other_pictures_leave_it(cifar10):
    """Of a trained model: the verdict can come out either way, and the control is behind a barrier."""
    model = etviz.load_model("et-small-cifar10")
    images = cifar10.test_images[:2] / 255
    hidden = etviz.random_mask(1, generator=torch.Generator().manual_seed(0))
    reference = analysis.undisturbed_descent(model, images[:1], hidden, other=images[1:])
    small, large = (
        analysis.perturbed_descents(model, images[:1], hidden, noise=noise, count=3, reference=reference)
        for noise in (0.001, 1.0)
    )
    assert small.same_basin.all()
    assert not large.same_basin.any()
    assert not reference.control.same_basin
    assert reference.control.barrier > 0.01
    assert (large.masked_mse > small.masked_mse).all()
    assert (small.settled.masked_mse > 2 * small.masked_mse).all()  # the picture lies on the way


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(noise=-1.0), "noise must be 0 or more"),
        (dict(count=0), "count must be at least 1"),
        (dict(settling_steps=-1), "settling_steps must be 0 or more"),
    ],
)
def test_impossible_perturbations(model, images, mask, change, message):
    with pytest.raises(UsageError, match=message):
        analysis.perturbed_descents(model, images[:1].double(), mask[:1], **change)
    with pytest.raises(UsageError, match="one image at a time"):
        analysis.perturbed_descents(model, images.double(), mask)
