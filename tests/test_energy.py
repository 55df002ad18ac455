"""The closed form against the definition, and the definition against the paper's sums written out in loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from etviz import UsageError
from etviz.models.descent import EnergyDescent
from etviz.models.energy import EnergyBlock, EnergyLayerNorm
from etviz.models.projection import PackedProjection

SIZES = dict(embed_dim=12, num_heads=3, head_dim=5, num_memories=7, beta=0.4, init_scale=0.5)


def block(seed: int = 0, **overrides) -> EnergyBlock:
    torch.manual_seed(seed)
    made = EnergyBlock(**(SIZES | overrides)).double()
    with torch.no_grad():
        made.norm.gamma.fill_(1.3)
        made.norm.delta.normal_(std=0.3)
    return made


def states(batch: int = 3, tokens: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(batch, tokens, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def oracle_gradient(energy_block: EnergyBlock, g: Tensor, **kwargs) -> Tensor:
    g = g.clone().requires_grad_()
    return torch.autograd.grad(energy_block.energy(g, **kwargs).sum(), g)[0]


def energy_in_loops(b: EnergyBlock, g: Tensor, exclude_self: bool) -> float:
    """The two sums of the paper for one image (N, D), one scalar at a time."""
    heads, head_dim, _ = b.query.shape
    energy = 0.0
    for h in range(heads):
        for query in range(len(g)):
            terms = []
            for key in range(len(g)):
                if exclude_self and key == query:
                    continue
                q = [float(b.query[h, y].detach() @ g[query]) for y in range(head_dim)]
                k = [float(b.key[h, y].detach() @ g[key]) for y in range(head_dim)]
                terms.append(math.exp(b.beta * sum(x * y for x, y in zip(q, k, strict=True))))
            energy -= math.log(sum(terms)) / b.beta
    for token in g:
        for memory in b.memories:
            energy -= 0.5 * max(0.0, float(memory.detach() @ token)) ** 2
    return energy


@pytest.mark.parametrize("exclude_self", [False, True])
def test_the_energy_is_the_papers(exclude_self):
    b, g = block(exclude_self=exclude_self), states(2)
    for image, energy in zip(g, b.energy(g), strict=True):
        assert energy.item() == pytest.approx(energy_in_loops(b, image, exclude_self), rel=1e-10)


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("beta", [None, 0.05, 3.0])
@pytest.mark.parametrize("padded", [False, True])
def test_closed_form_equals_autograd(exclude_self, beta, padded):
    b, g = block(exclude_self=exclude_self), states()
    valid = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [True] + [False] * 5]) if padded else None
    oracle = oracle_gradient(b, g, beta=beta, valid=valid)
    evaluation = b.evaluate(g, b.projection(), beta, valid)
    torch.testing.assert_close(b.gradient(g, b.projection(), beta, valid), oracle, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(evaluation.gradient, oracle, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(evaluation.attention_energy, b.attention_energy(g, beta, valid), rtol=1e-12, atol=0)
    torch.testing.assert_close(evaluation.hopfield_energy, b.hopfield_energy(g, valid), rtol=1e-12, atol=0)


def test_padding_changes_nothing():
    """Tokens that do not exist leave energy and gradient of the others as they are without them."""
    b, g = block(), states(1)
    valid = torch.tensor([[True] * 4 + [False] * 2])
    alone, padded = g[:, :4], b.evaluate(g, b.projection(), valid=valid)
    torch.testing.assert_close(padded.gradient[:, :4], oracle_gradient(b, alone))
    torch.testing.assert_close(padded.attention_energy.sum(), b.attention_energy(alone).sum())
    assert padded.gradient[:, 4:].abs().max() == 0
    assert padded.attention[:, :, 4:].abs().max() == 0
    assert padded.attention[:, :, :, 4:].abs().max() == 0


def test_packed_products_equal_the_plain_ones():
    """oneDNN's, taken for inference on a CPU, against the differentiable ones."""
    b, g = block().float(), states().float()
    plain = b.gradient(g, b.projection())
    with torch.no_grad():
        projection = b.projection()
        packed = b.gradient(g, projection)
    assert type(projection) is PackedProjection or not torch.backends.mkldnn.is_available()
    torch.testing.assert_close(packed, plain, rtol=1e-5, atol=1e-5)
    assert plain.requires_grad


def test_attention_is_a_softmax_over_keys():
    attention = block().evaluate(states(), block().projection()).attention
    torch.testing.assert_close(attention.sum(-1), torch.ones_like(attention.sum(-1)))


def test_one_image_does_not_depend_on_its_batch():
    b, g = block(), states()
    together = b.evaluate(g, b.projection()).gradient
    torch.testing.assert_close(together[1:2], b.evaluate(g[1:2], b.projection()).gradient, rtol=1e-12, atol=1e-14)


def test_layer_norm_has_a_scalar_gain_and_the_papers_epsilon():
    norm = EnergyLayerNorm(12).double()
    with torch.no_grad():
        norm.gamma.fill_(0.7)
        norm.delta.normal_()
    x = states()
    centred = x - x.mean(-1, keepdim=True)
    expected = 0.7 * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() + norm.delta
    torch.testing.assert_close(norm(x), expected)
    assert norm.gamma.shape == ()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 8), st.floats(0.05, 2.0))
def test_a_small_step_never_raises_the_energy(seed, tokens, beta):
    descent = EnergyDescent(depth=1, steps=1, step_size=1e-4, **SIZES).double()
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in descent.parameters():
            parameter.normal_(std=0.5)
        descent.blocks[0].norm.gamma.uniform_(0.2, 2.0)
    record = descent.record(states(2, tokens, seed), descent.settings(beta=beta))
    energy = record.attention_energy.sum(-1) + record.hopfield_energy.sum(-1)
    assert (energy[:, 1] <= energy[:, 0]).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e6), st.booleans())
def test_backtracking_never_raises_the_energy(seed, step_size, double):
    """At any step size, for either sign of the layer norm's gain, in both precisions."""
    torch.manual_seed(seed)
    descent = EnergyDescent(depth=1, steps=5, step_size=step_size, **SIZES)
    with torch.no_grad():
        for parameter in descent.parameters():
            parameter.normal_(std=0.5)
    descent = descent.double() if double else descent.float()
    x = states(4, 6, seed) if double else states(4, 6, seed).float()
    record = descent.record(x, descent.settings(rule="backtracking"))
    energy = record.attention_energy.sum(-1) + record.hopfield_energy.sum(-1)
    assert (energy[:, 1:] <= energy[:, :-1]).all()
    assert (record.step_sizes <= step_size * (1 + 1e-6)).all()


def test_backtracking_still_moves():
    """It halves a step that is too long rather than giving up."""
    torch.manual_seed(0)
    descent = EnergyDescent(depth=1, steps=3, step_size=1e3, **(SIZES | dict(init_scale=0.02))).double()
    record = descent.record(states(4) * 1e-3, descent.settings(rule="backtracking"))
    assert (record.step_sizes > 0).all()
    energy = record.attention_energy.sum(-1) + record.hopfield_energy.sum(-1)
    assert (energy[:, -1] < energy[:, 0]).all()


def test_backtracked_step_sizes_are_those_taken():
    """Each image's step is the one asked for, halved some times, and it is as long as the state's move says."""
    torch.manual_seed(0)
    descent = EnergyDescent(depth=1, steps=3, step_size=100.0, **(SIZES | dict(init_scale=0.1))).double()
    record = descent.record(states(4), descent.settings(rule="backtracking"))
    moved = torch.linalg.vector_norm((record.tokens[:, 1:] - record.tokens[:, :-1]).flatten(2), dim=2)
    torch.testing.assert_close(record.step_sizes * record.gradient_norm[:, :-1], moved, rtol=1e-9, atol=0)
    halvings = torch.log2(100.0 / record.step_sizes)
    torch.testing.assert_close(halvings, halvings.round())
    assert halvings.max() > 0
    energy = record.attention_energy.sum(-1) + record.hopfield_energy.sum(-1)
    block = descent.blocks[0]
    for image, step in (halvings > 0.5).nonzero().tolist():  # twice as far it would have risen: no halving too many
        g = block.norm(record.tokens[image, step][None])
        twice = record.tokens[image, step] - 2 * record.step_sizes[image, step] * oracle_gradient(block, g)
        assert block.energy(block.norm(twice)).item() > energy[image, step]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(num_heads=0), "num_heads must be at least 1"),
        (dict(beta=0), "beta must be above 0"),
        (dict(num_memories=0), "num_memories"),
    ],
)
def test_impossible_sizes(options, message):
    with pytest.raises(UsageError, match=message):
        EnergyBlock(**(SIZES | options))
