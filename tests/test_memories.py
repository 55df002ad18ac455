"""Hopfield memories: their pictures, and their shares of the energy, each computed once more another way."""

import pytest
import torch

import etviz
from etviz import UsageError, analysis
from tests.conftest import TINY


@pytest.fixture
def double_model(tiny_model):
    """In float64, with a layer norm that is not the identity."""
    model = tiny_model.double()
    with torch.no_grad():
        model.descent.blocks[0].norm.gamma.fill_(-1.3)
        model.descent.blocks[0].norm.delta.normal_(std=0.2)
        model.decoder[0].weight.normal_(1, 0.2)
        model.decoder[0].bias.normal_(0, 0.2)
    return model


@pytest.fixture
def double_trace(double_model, images, mask):
    return double_model.trace(images.double(), mask)


def overlaps(block, tokens):
    """xi . g written out, (..., N, D) -> (..., N, M)."""
    centred = tokens - tokens.mean(-1, keepdim=True)
    g = block.norm.gamma * centred / (centred.square().mean(-1, keepdim=True) + block.norm.eps).sqrt()
    return torch.einsum("md,...nd->...nm", block.memories, g + block.norm.delta).detach()


def test_shares_are_the_papers_terms_and_sum_to_the_traces_energy(double_model, double_trace):
    energy = analysis.memory_energy(double_model, double_trace, image=2)
    expected = overlaps(double_model.descent.blocks[0], double_trace.tokens[2]).clamp(min=0) ** 2 / -2
    torch.testing.assert_close(energy, expected.sum(1), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(energy.sum(1), double_trace.hopfield_energy[2].sum(1), rtol=1e-10, atol=0)
    for token in (0, 40):
        of_token = analysis.memory_energy_of_token(double_model, double_trace, token, image=2)
        torch.testing.assert_close(of_token, expected[:, token], rtol=1e-10, atol=1e-12)
        total = double_trace.hopfield_energy[2, :, token]
        torch.testing.assert_close(of_token.sum(1), total, rtol=1e-10, atol=1e-12)
    for memory in (0, 63):
        by_token = analysis.memory_energy_by_token(double_model, double_trace, memory, image=2)
        torch.testing.assert_close(by_token, expected[..., memory], rtol=1e-10, atol=1e-12)


def test_each_state_is_evaluated_by_its_own_block(images, mask):
    torch.manual_seed(0)
    model = etviz.create_model("et", **TINY | dict(depth=2, steps=2)).double()
    trace = model.trace(images.double(), mask)
    energy = analysis.memory_energy(model, trace)
    torch.testing.assert_close(energy.sum(1), trace.hopfield_energy[0].sum(1), rtol=1e-10, atol=0)


def test_top_memories_are_the_most_negative(double_model, double_trace):
    indices, energies = analysis.top_memories(double_model, double_trace, token=7, count=5, image=1)
    of_token = analysis.memory_energy_of_token(double_model, double_trace, 7, image=1)
    for step in range(len(double_trace)):
        assert energies[step].tolist() == sorted(of_token[step].tolist())[:5]
        assert torch.equal(of_token[step, indices[step]], energies[step])


def test_a_memorys_token_is_the_one_it_overlaps_most(double_model):
    """The decoded direction beats random tokens, its own neighbourhood included, whatever the sign of gamma."""
    block = double_model.descent.blocks[0]
    best = -(block.memories - block.memories.mean(1, keepdim=True)).detach()  # gamma is negative here
    best = best / best.std(1, keepdim=True, correction=0)
    own = overlaps(block, best).diagonal()
    for scale in (0.1, 1.0, 10.0):
        others = overlaps(block, best + scale * torch.randn_like(best)).diagonal()
        assert (others < own).all()
    patches = double_model.decoder(best).reshape(len(best), 4, 4, 3).permute(0, 3, 1, 2)
    expected = (patches * double_model.std + double_model.mean).clamp(0, 1).detach()
    pictures = analysis.memory_patches(double_model)
    assert pictures.shape == (len(best), 3, 4, 4)
    torch.testing.assert_close(pictures, expected, atol=1e-4, rtol=0)  # the decoder's epsilon apart


def test_a_memorys_picture_does_not_depend_on_its_length(double_model):
    before = analysis.memory_patches(double_model)
    with torch.no_grad():
        double_model.descent.blocks[0].memories.mul_(1e-4)
    torch.testing.assert_close(analysis.memory_patches(double_model), before)
    assert before.std() > 0.1


def test_what_has_no_memories_is_refused(images, mask):
    model = etviz.models.MaskedImageModel(32, 4, 3, (0.5,) * 3, (0.2,) * 3)
    with pytest.raises(UsageError, match="no energy"):
        analysis.memory_patches(model)


def test_places_that_do_not_exist_are_refused(tiny_model, images, mask):
    trace = tiny_model.trace(images, mask)
    for call, message in [
        (lambda: analysis.memory_patches(tiny_model, block=1), "no block 1: they are numbered 0 to 0"),
        (lambda: analysis.memory_energy(tiny_model, trace, image=4), "no image 4"),
        (lambda: analysis.memory_energy_of_token(tiny_model, trace, 65), "no token 65"),
        (lambda: analysis.memory_energy_by_token(tiny_model, trace, -1), "no memory -1"),
        (lambda: analysis.top_memories(tiny_model, trace, 0, count=0), "count must lie between 1 and"),
    ]:
        with pytest.raises(UsageError, match=message):
            call()


def test_another_models_trace_is_refused(tiny_model, images, mask):
    other = etviz.create_model("et", **TINY | dict(embed_dim=48)).trace(images, mask)
    with pytest.raises(UsageError, match="another model"):
        analysis.memory_energy(tiny_model, other)
    asymmetric = tiny_model.trace(images, mask)
    if asymmetric.encoder is not None:
        with pytest.raises(UsageError, match="trace of an encoder"):
            analysis.memory_energy(tiny_model, asymmetric.encoder)


# ---- orders ------------------------------------------------------------------------------------------------------


def test_use_over_a_dataset_is_what_each_descent_ends_with(tiny_model, images, mask):
    found = list(analysis.memory_use(tiny_model, images, mask[:1], steps=2))
    assert len(found) == len(images)
    for index, image in enumerate(images):
        trace = tiny_model.trace(image[None], mask[:1], steps=2)
        torch.testing.assert_close(found[index], analysis.memory_energy(tiny_model, trace)[-1])
    as_bytes = (images * 255).round().to(torch.uint8)
    again = next(analysis.memory_use(tiny_model, as_bytes, mask, steps=2))
    assert torch.equal(again, next(analysis.memory_use(tiny_model, as_bytes.float() / 255, mask, steps=2)))


def test_frequency_orders_patterns_from_plain_to_fine():
    row = torch.arange(8)
    plain, slow = torch.full((8, 8), 0.3), (0.5 + 0.5 * torch.cos(2 * torch.pi * row / 8)).expand(8, 8)
    stripes, chess = (row % 2).float().expand(8, 8), ((row[:, None] + row) % 2).float()
    patches = torch.stack([plain, slow, stripes, chess])[:, None].expand(-1, 3, -1, -1)
    expected = torch.tensor([0.0, 1 / 8, 0.5, 0.5**0.5])
    torch.testing.assert_close(analysis.memory_frequency(patches), expected, atol=1e-5, rtol=0)
