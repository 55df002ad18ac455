"""Attention by role, its entropy, and the band of energies over images; numbers computed once more by other means."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import entropy

import etviz
from etviz import UsageError, analysis
from tests.conftest import TINY_ASYM


@pytest.fixture
def trace(tiny_model, images, mask):
    return tiny_model.trace(images, mask)


# ---- attention ---------------------------------------------------------------------------------------------------


def test_roles_are_a_row_and_a_column(trace):
    roles = analysis.attention_roles(trace, patch=20, image=2)
    assert roles.as_query.shape == roles.as_key.shape == (5, 2, 65)
    for token in (0, 7, 21):
        assert torch.equal(roles.as_query[..., token], trace.attention[2, :, :, 21, token])
        assert torch.equal(roles.as_key[..., token], trace.attention[2, :, :, token, 21])
    assert not torch.equal(roles.as_query, roles.as_key)
    torch.testing.assert_close(roles.as_query.sum(2), torch.ones(5, 2))


def test_entropy_is_scipys_in_bits(trace):
    result = analysis.attention_entropy(trace, image=1)
    expected = entropy(trace.attention[1].double().numpy(), base=2, axis=3).mean(2)
    assert np.allclose(result.bits, expected, rtol=1e-5)
    assert result.maximum == pytest.approx(np.log2(65))
    assert (result.bits < result.maximum).all()


def test_entropy_runs_from_nothing_to_its_maximum(trace):
    one, all_alike = torch.zeros_like(trace.attention), torch.full_like(trace.attention, 1 / 65)
    one[..., 3] = 1.0
    assert analysis.attention_entropy(replace(trace, attention=one)).bits.abs().max() == 0
    widest = analysis.attention_entropy(replace(trace, attention=all_alike))
    assert widest.bits.numpy() == pytest.approx(widest.maximum, rel=1e-5)


def test_an_encoders_padding_has_no_entropy(images):
    torch.manual_seed(0)
    model = etviz.create_model("et_asym", **TINY_ASYM)
    mask = torch.arange(64) < torch.tensor([[54], [60], [54], [64]])
    together = analysis.attention_entropy(model.trace(images, mask).encoder, image=1)
    alone = analysis.attention_entropy(model.trace(images[1:2], mask[1:2]).encoder)
    torch.testing.assert_close(together.bits, alone.bits, atol=1e-4, rtol=0)
    assert together.maximum == alone.maximum == pytest.approx(np.log2(5))


def test_attention_that_is_not_there_is_refused(trace):
    for call, message in [
        (lambda: analysis.attention_roles(replace(trace, attention=None), 0), "keep_attention=True"),
        (lambda: analysis.attention_entropy(replace(trace, attention=None)), "keep_attention=True"),
        (lambda: analysis.attention_roles(trace, 64), "no patch 64: they are numbered 0 to 63"),
        (lambda: analysis.attention_roles(trace, 0, image=4), "no image 4"),
    ]:
        with pytest.raises(UsageError, match=message):
            call()
    if trace.encoder is not None:
        with pytest.raises(UsageError, match="this trace has 10"):
            analysis.attention_roles(trace.encoder, 0)


# ---- band --------------------------------------------------------------------------------------------------------


def test_the_band_is_numpys_quantiles_of_single_descents(tiny_model, mask):
    images = torch.rand(7, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    band = analysis.energy_band(tiny_model, images, mask[:1], chunk=3, steps=3, step_size=0.05)
    single = [tiny_model.trace(image[None], mask[:1], steps=3, step_size=0.05) for image in images]
    parts = {
        "total": [t.energy[0] for t in single],
        "attention": [t.attention_energy[0].sum(1) for t in single],
        "hopfield": [t.hopfield_energy[0].sum(1) for t in single],
    }
    for name, energies in parts.items():
        expected = np.quantile(torch.stack(energies).double().numpy(), [0.1, 0.5, 0.9], axis=0)
        assert np.allclose(getattr(band, name), expected, rtol=1e-5)
    assert band.count == 7


def test_chunks_come_one_at_a_time(tiny_model, mask):
    """A server that holds a lock for each chunk must not wait for all of them."""
    calls = []
    trace = tiny_model.trace
    tiny_model.trace = lambda *args, **kwargs: calls.append(len(args[0])) or trace(*args, **kwargs)
    chunks = analysis.energies_in_chunks(tiny_model, torch.rand(5, 3, 32, 32), mask[:1], chunk=2)
    assert calls == []
    first = next(chunks)
    assert calls == [2]
    assert first.shape == (3, 2, 5)
    assert [chunk.shape[1] for chunk in chunks] == [2, 1]


def test_a_band_of_stored_images_and_their_own_masks(tiny_model, mask):
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    band = analysis.energy_band(tiny_model, pixels, mask)
    expected = tiny_model.trace(pixels / 255, mask).energy.median(dim=0)  # the lower of the middle two
    assert (band.total[1] >= expected.values.double() - 1e-3).all()
    torch.testing.assert_close(band.total, analysis.energy_band(tiny_model, pixels / 255, mask).total)


def test_an_impossible_band(tiny_model, images, mask):
    for call, message in [
        (lambda: analysis.energies_in_chunks(tiny_model, images, mask[:1], chunk=0), "chunk must be at least 1"),
        (lambda: analysis.energies_in_chunks(tiny_model, images, mask[:3]), "shape"),
        (lambda: analysis.energy_band(tiny_model, images[:0], mask[:1]), "at least one image"),
        (lambda: analysis.energy_band(tiny_model, images, mask[:1], steps=-1), "steps must be"),
    ]:
        with pytest.raises(UsageError, match=message):
            call()
