"""The descent on the sphere of token directions, and when a descent has settled: against float64 autograd."""

import copy
from dataclasses import astuple

import pytest
import torch
import yaml
from torch import Tensor

import etviz
import etviz.metrics
from benchmarks import valley
from etviz import UsageError, train
from etviz.analysis import energy_along_gradient
from etviz.models.descent import EnergyDescent
from etviz.models.energy import EnergyBlock, layer_normed
from tests.conftest import TINY, TINY_ASYM

SIZES = dict(embed_dim=12, num_heads=3, head_dim=5, num_memories=7, beta=0.4, init_scale=0.3)


def descent_of(steps: int = 1, step_size: float = 0.5, depth: int = 1, seed: int = 0, **options) -> EnergyDescent:
    torch.manual_seed(seed)
    made = EnergyDescent(depth, steps, step_size, **(SIZES | options)).double()
    with torch.no_grad():
        for block in made.blocks:
            block.norm.gamma.fill_(-1.3 if seed % 2 else 1.3)
            block.norm.delta.normal_(std=0.3)
    return made


def states(batch: int = 3, tokens: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(batch, tokens, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def direction(x: Tensor) -> Tensor:
    """By the formula, without eps."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / centred.square().mean(-1, keepdim=True).sqrt()


def energy_of(block: EnergyBlock, x: Tensor, valid: Tensor | None = None) -> Tensor:
    return block.energy(block.norm(x), valid=valid)


def gradient_by(function, x: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


def oracle_stationarity(block: EnergyBlock, x: Tensor, valid: Tensor | None = None) -> Tensor:
    """The energy as a function of a free point near each token's direction, differentiated by autograd."""
    std = x.std(-1, correction=0, keepdim=True)
    ratio = std / (std.square() + block.norm.eps).sqrt()

    def energy(z):
        return block.energy(block.norm.gamma * ratio * direction(z) + block.norm.delta, valid=valid)

    return gradient_by(energy, direction(x)).flatten(1).norm(dim=1)


# ---- the norm ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 1e3])
def test_norming_the_tokens_changes_no_energy(scale):
    """Exactly where the energy's own norm has no eps; otherwise by what that eps does to the shortest tokens."""
    block, x = descent_of().blocks[0], scale * states()
    block.norm.eps = 0.0
    torch.testing.assert_close(energy_of(block, layer_normed(x)), energy_of(block, x), rtol=1e-12, atol=0)
    block.norm.eps = 1e-5
    shortest = x.var(-1, correction=0).min().item()
    change = (energy_of(block, layer_normed(x)) - energy_of(block, x)).abs()
    slope = gradient_by(block.energy, block.norm(layer_normed(x))).flatten(1).norm(dim=1)
    reach = block.norm.gamma.abs() * layer_normed(x).flatten(1).norm(dim=1) * (1e-5 / (2 * shortest) + 5e-6)
    assert (change <= 1.5 * slope * reach).all()


def test_the_norm_is_the_formula_and_leaves_normed_tokens_alone():
    x = torch.cat([states(), 1e-6 * states(), 1e6 * states(), torch.full((1, 6, 12), 3.0, dtype=torch.float64)])
    normed = layer_normed(x)
    torch.testing.assert_close(normed[:9], direction(x[:9]), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(layer_normed(normed), normed, rtol=1e-12, atol=1e-12)
    assert (normed[9] == 0).all()  # no direction


# ---- stationarity ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("scale", [0.01, 1.0, 1e4])
@pytest.mark.parametrize("padded", [False, True])
def test_stationarity_is_autograds(seed, scale, padded):
    descent, x = descent_of(seed=seed, steps=3), scale * states()
    valid = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [True] + [False] * 5]) if padded else None
    record = descent.record(x, valid=valid)
    for t in range(4):
        oracle = oracle_stationarity(descent.blocks[0], record.tokens[:, t], valid)
        torch.testing.assert_close(record.stationarity[:, t], oracle, rtol=1e-9, atol=1e-12)


def test_the_pulled_back_gradient_is_dE_dx_for_tokens_of_any_length():
    """dE/dx by autograd, times the token's length, without what eps leaves along the token."""
    block, x = descent_of().blocks[0], states() * torch.logspace(-2, 2, 6, dtype=torch.float64)[:, None]
    pulled = block.norm.along_sphere(x, gradient_by(block.energy, block.norm(x)))
    by_x = gradient_by(lambda at: energy_of(block, at), x) * x.std(-1, correction=0, keepdim=True)
    z = direction(x)
    torch.testing.assert_close(pulled, by_x - z * (z * by_x).mean(-1, keepdim=True), rtol=1e-9, atol=1e-12)


def test_stationarity_does_not_shrink_because_the_tokens_grew():
    descent, x = descent_of(), 10 * states()
    near, far = (descent.record(scale * x, descent.settings(steps=0)).stationarity for scale in (1, 1000))
    torch.testing.assert_close(near, far, rtol=1e-6, atol=0)
    by_x = [gradient_by(lambda at: energy_of(descent.blocks[0], at), s * x).norm().item() for s in (1, 1000)]
    assert by_x[1] == pytest.approx(by_x[0] / 1000, rel=1e-5)


# ---- the descent -------------------------------------------------------------------------------------------------


def test_a_step_on_the_sphere_is_a_fixed_step_then_the_norm():
    descent, x = descent_of(steps=6), states()
    record = descent.record(x, descent.settings(rule="sphere"))
    assert torch.equal(record.tokens[:, 0], x)  # the start stays as given
    assert (record.step_sizes == 0.5).all()
    block = descent.blocks[0]
    for t in range(7):
        here = record.tokens[:, t]
        gradient = gradient_by(block.energy, block.norm(here))
        energy = record.attention_energy[:, t].sum(-1) + record.hopfield_energy[:, t].sum(-1)
        torch.testing.assert_close(energy, energy_of(block, here).detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(record.gradient_norm[:, t], gradient.flatten(1).norm(dim=1), rtol=1e-10, atol=0)
        torch.testing.assert_close(record.stationarity[:, t], oracle_stationarity(block, here), rtol=1e-9, atol=1e-12)
        if t < 6:
            expected = direction(here - 0.5 * gradient)
            torch.testing.assert_close(record.tokens[:, t + 1], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("step_size", [0.05, 0.5, 5.0])
def test_the_descent_on_the_sphere_converges_and_the_fixed_one_does_not(step_size):
    descent = descent_of(steps=600, step_size=step_size)
    sphere, fixed = (descent.record(states(), descent.settings(rule=rule)) for rule in ("sphere", "fixed"))
    share = {name: record.stationarity[:, -1] / record.stationarity[:, 0] for name, record in
             {"sphere": sphere, "fixed": fixed}.items()}  # fmt: skip
    assert (share["sphere"] < 1e-6).all()
    assert (share["fixed"] > 100 * share["sphere"]).all()
    energy = sphere.attention_energy.sum(-1) + sphere.hopfield_energy.sum(-1)
    assert (energy[:, 1:] <= energy[:, :-1] + 1e-12 * energy.abs().max()).all()
    by_x = gradient_by(lambda at: energy_of(descent.blocks[0], at), sphere.tokens[:, -1])
    z = sphere.tokens[:, -1]
    assert ((by_x - z * (z * by_x).mean(-1, keepdim=True)).abs() < 1e-6).all()  # by autograd, at the last state


def test_backtracking_and_normalised_tokens_go_together():
    torch.manual_seed(0)
    descent = descent_of(steps=5, step_size=1e3, seed=1, normalise_tokens=True)  # gamma < 0: full steps go up
    record = descent.record(states(), descent.settings(rule="backtracking"))
    energy = record.attention_energy.sum(-1) + record.hopfield_energy.sum(-1)
    assert (energy[:, 1:] <= energy[:, :-1]).all()
    moved = record.step_sizes > 0
    torch.testing.assert_close(record.tokens[:, 1:][moved], direction(record.tokens[:, 1:][moved]))


# ---- settled -----------------------------------------------------------------------------------------------------


def shares(record, descent) -> Tensor:
    """Of the gradient along the sphere in the whole one, at every state."""
    gamma = torch.stack([block.norm.gamma.detach().abs() for block in descent.blocks])[record.block]
    return record.stationarity / (gamma * record.gradient_norm)


def test_it_stops_once_every_image_has_settled():
    descent = descent_of(steps=5000)
    record = descent.record(states(), descent.settings(rule="sphere", tolerance=1e-4))
    assert record.tokens.shape[1] == record.step_sizes.shape[1] + 1 == len(record.block) < 5001
    share = shares(record, descent)
    assert record.settled.max() == len(record.block) - 1
    for image, settled in enumerate(record.settled.tolist()):
        assert share[image, settled] <= 1e-4
        assert (share[image, :settled] > 1e-4).all()


def test_the_last_block_alone_is_judged():
    descent = descent_of(steps=2000, depth=2)
    record = descent.record(states(2), descent.settings(rule="sphere", tolerance=1e-3))
    first = int((record.block == 0).sum())  # states of the first block, and so its steps
    assert 0 < first < len(record.block) - 1 < 2 * 2000
    judged = shares(record, descent)[:, first:]
    assert record.settled.tolist() == [first + int((image <= 1e-3).nonzero()[0]) for image in judged]
    assert record.settled.max() == len(record.block) - 1


def test_growing_tokens_do_not_settle():
    """An energy that hardly changes is not enough: by the fixed rule the steps turn the tokens ever less."""
    descent = descent_of(steps=300, step_size=20.0)
    record = descent.record(states(), descent.settings(tolerance=1e-6))
    energy = record.attention_energy.sum(-1) + record.hopfield_energy.sum(-1)
    assert ((energy[:, -1] - energy[:, -2]).abs() < 1e-4 * energy[:, -1].abs()).all()
    assert record.settled.tolist() == [-1] * 3
    assert len(record.block) == 301


def test_a_descent_that_starts_settled_takes_no_step():
    descent = descent_of(steps=5000)
    settings = descent.settings(rule="sphere", tolerance=1e-5)
    end = descent.record(states(), settings).tokens[:, -1]
    again = descent.record(end, settings)
    assert torch.equal(again.tokens, end[:, None])
    assert again.settled.tolist() == [0] * 3
    assert again.step_sizes.shape == (3, 0)


def test_without_a_tolerance_nothing_settles():
    assert descent_of(steps=3).record(states()).settled.tolist() == [-1] * 3


# ---- a model of its own ------------------------------------------------------------------------------------------

KINDS = {"et": TINY, "et_asym": TINY_ASYM}


@pytest.fixture(params=KINDS)
def sphere_model(request):
    torch.manual_seed(0)
    return etviz.create_model(request.param, **KINDS[request.param], normalise_tokens=True).eval()


def test_a_model_with_normalised_tokens_descends_on_the_sphere(sphere_model):
    images, mask = torch.rand(2, 3, 32, 32), etviz.random_mask(2)
    own = sphere_model.trace(images, mask)
    torch.testing.assert_close(own.frames[:, -1], sphere_model.reconstruct(images, mask))
    torch.testing.assert_close(own.tokens[:, 1:], direction(own.tokens[:, 1:]), rtol=1e-4, atol=1e-5)
    named = sphere_model.trace(images, mask, rule="sphere")
    assert torch.equal(named.tokens, own.tokens)
    plain = copy.deepcopy(sphere_model)
    for part in plain.modules():
        if isinstance(part, EnergyDescent):
            part.normalise_tokens = False
    assert not torch.equal(plain.trace(images, mask).tokens, own.tokens)
    if own.encoder is None:
        torch.testing.assert_close(plain.trace(images, mask, rule="sphere").frames, own.frames)
    else:  # the encoder's descent is the one it was trained for
        torch.testing.assert_close(
            own.encoder.tokens[:, 1:], direction(own.encoder.tokens[:, 1:]), rtol=1e-4, atol=1e-5
        )


def test_it_learns_and_its_gradient_is_that_of_the_descent(sphere_model):
    model = sphere_model.double()
    images, mask = torch.rand(2, 3, 32, 32).double(), etviz.random_mask(2)
    loss = model.loss(images, mask)
    (gradient,) = torch.autograd.grad(loss, model.descent.blocks[0].memories)
    step = torch.zeros_like(gradient)
    step[3, 5] = 1e-5
    with torch.no_grad():
        model.descent.blocks[0].memories += step
        above = model.loss(images, mask)
        model.descent.blocks[0].memories -= 2 * step
        below = model.loss(images, mask)
    assert gradient[3, 5].item() == pytest.approx((above - below).item() / 2e-5, rel=1e-4)


def test_the_option_is_trained_recorded_and_loaded_again(archive, tmp_path):
    """As a command takes it: python -m etviz.train model.normalise_tokens=true."""
    model = [f"model.{name}={value}" for name, value in TINY.items()]
    options = ["dataset=custom", f"dataset.name={archive}", f"run={tmp_path}/run", "train.epochs=1", "test=false"]
    options += ["train.batch_size=64", "train.validation_images=8", "train.snapshots=0", "train.accelerator=cpu"]
    train.main(["model=et", *model, "model.normalise_tokens=true", *options])
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["model"]["normalise_tokens"] is True
    loaded = etviz.load_model(tmp_path / "run")
    assert loaded.descent.normalise_tokens
    tokens = loaded.trace(torch.rand(1, 3, 32, 32), etviz.random_mask(1)).tokens[:, 1:]
    torch.testing.assert_close(tokens, direction(tokens), rtol=1e-4, atol=1e-5)


def test_older_checkpoints_keep_the_papers_descent():
    assert etviz.load_model("et-small-cifar10").descent.normalise_tokens is False


def test_an_unknown_rule_is_refused_by_name():
    with pytest.raises(UsageError, match="fixed, backtracking, sphere"):
        descent_of().settings(rule="ball")


def test_analyses_follow_a_descent_on_the_sphere():
    """The line along the next step passes through the next state's energy, which the norm does not change."""
    torch.manual_seed(0)
    model = etviz.create_model("et", **TINY).double().eval()
    trace = model.trace(torch.rand(1, 3, 32, 32).double(), etviz.random_mask(1), rule="sphere")
    for step in range(1, 4):
        line = energy_along_gradient(model, trace, step=step)
        assert line.energy_next == pytest.approx(trace.energy[0, step + 1].item(), rel=1e-6)
    assert "sphere" in astuple(trace.settings)


def test_the_benchmark_compares_the_models_own_last_state_with_the_settled_one(capsys):
    torch.manual_seed(0)
    model = etviz.create_model("et", **TINY | dict(step_size=10.0)).eval()
    images, masks = torch.rand(3, 3, 32, 32), etviz.random_mask(3)
    valley.print_states(model, images, masks, steps=300)
    counted, own, settled, *differences = capsys.readouterr().out.splitlines()
    assert counted.startswith("settled within 300 further steps: 3 of 3")
    error = etviz.metrics.masked_mse(images, model.reconstruct(images, masks), masks)
    assert f"step 4: {etviz.metrics.psnr_of_mse(error.mean()):.2f} dB" in own
    trace = model.trace(images, masks)
    assert f"energy {trace.energy[:, -1].mean():.5g} " in own
    assert f"stationarity {trace.stationarity[:, -1].mean():.5g} " in own
    assert float(settled.rsplit("share of the gradient ", 1)[1].split()[0]) <= 1e-4
    assert any(line.startswith("energy, settled minus step 4: -") for line in differences)
    assert any("higher on 0% of the images" in line for line in differences)
