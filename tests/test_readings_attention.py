"""The readings of attention and memories against the definitions, computed from the trace's tokens."""

import base64

import numpy as np
import pytest
import torch

import etviz
from etviz.checkpoints import save_checkpoint
from tests.conftest import TINY, TINY_ASYM

pytest.importorskip("skimage", reason="the app's extra is not installed")

from etviz.examples import CARRIED_GALLERY
from etviz.ui.payload import to_bytes
from etviz.ui.service import Service

MASK = "ffffff0f0ffffffe"


@pytest.fixture(scope="module", params=[("et", TINY), ("et_asym", TINY_ASYM), ("et", TINY | dict(depth=2, steps=2))])
def model(request):
    torch.manual_seed(0)
    name, sizes = request.param
    return etviz.create_model(name, **sizes).eval()


@pytest.fixture(scope="module")
def service(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    save_checkpoint(model, folder / "tiny", {})
    return Service(str(folder / "tiny"), root=str(folder))


@pytest.fixture(scope="module")
def trace(model, service):
    image = service.pictures(CARRIED_GALLERY, 32).images[1:2].float() / 255
    return model.trace(image, etviz.mask_from_hex(MASK), beta=0.5)


def ask(service, kind, **changes):
    picture = {"dataset": CARRIED_GALLERY, "index": 1}
    question = {"kind": kind, "model": "tiny", "picture": picture, "mask": MASK, "settings": {"beta": 0.5}}
    return service.politely(service.ask, question | changes)


def numbers(text, *shape):
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), dtype="<f4").reshape(shape).copy())


def states(model, trace):
    """Each state's block and g, (N, D)."""
    blocks = [model.descent.blocks[index] for index in trace.block.tolist()]
    return [(block, block.norm(x).detach()) for block, x in zip(blocks, trace.tokens[0], strict=True)]


def attention(model, trace):
    """softmax over keys of beta K . Q at every state, (T+1, H, query, key)."""
    maps = []
    for block, g in states(model, trace):
        queries, keys = (torch.einsum("hyd,nd->hny", weight, g) for weight in (block.query, block.key))
        maps.append((0.5 * torch.einsum("hqy,hky->hqk", queries, keys)).softmax(-1).detach())
    return torch.stack(maps)


def overlaps(model, trace):
    """relu(xi . g)^2 / 2 at every state, (T+1, N, M)."""
    return torch.stack([(g @ block.memories.T).detach().clamp(min=0) ** 2 / 2 for block, g in states(model, trace)])


def test_attention_is_the_softmax_in_both_roles(service, model, trace):
    answer = ask(service, "attention", patch=20)
    expected = attention(model, trace)
    shape = (answer["states"], answer["heads"], answer["tokens"])
    assert shape == (len(trace), expected.shape[1], 65)
    torch.testing.assert_close(numbers(answer["as_query"], *shape), expected[:, :, 21], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(numbers(answer["as_key"], *shape), expected[..., 21], atol=1e-5, rtol=1e-4)
    assert answer["decoder"] == (model.name == "et_asym")


def test_entropy_is_in_bits_and_at_most_that_of_an_even_share(service, model, trace):
    answer = ask(service, "attention", patch=0)
    weights = attention(model, trace).double().numpy()
    expected = -(weights * np.log2(weights)).sum(-1).mean(-1)
    shown = numbers(answer["entropy"], *expected.shape)
    np.testing.assert_allclose(shown, expected, atol=1e-4)
    assert answer["entropy_maximum"] == pytest.approx(np.log2(65))
    assert (shown <= answer["entropy_maximum"]).all()


def test_memories_carry_the_hopfield_energy_between_them(service, model, trace):
    answer = ask(service, "memories")
    energy = numbers(answer["energy"], len(trace), answer["count"])
    torch.testing.assert_close(energy, -overlaps(model, trace).sum(1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(energy.sum(1), trace.hopfield_energy[0].sum(-1), atol=1e-4, rtol=1e-4)
    assert answer["blocks"] == trace.block.tolist()


def test_memories_of_every_block_are_pictures_in_order(service, model):
    answer = ask(service, "memories")
    blocks, side = len(model.descent.blocks), answer["patch_size"]
    data = np.frombuffer(base64.b64decode(answer["patches"]), dtype=np.uint8)
    shown = torch.from_numpy(data.reshape(blocks, answer["count"], side, side, 3).copy()).movedim(-1, -3)
    for block in range(blocks):
        assert torch.equal(shown[block], to_bytes(etviz.analysis.memory_patches(model, block)))


def test_memories_of_a_patch_and_places_of_a_memory_are_the_same_terms(service, model, trace):
    terms = -overlaps(model, trace)  # (T+1, N, M)
    of_patch = ask(service, "memories_of_patch", patch=63)
    shown = numbers(of_patch["energy"], len(trace), terms.shape[2])
    torch.testing.assert_close(shown, terms[:, 64], atol=1e-5, rtol=1e-4)
    places = ask(service, "memory_places", memory=5)
    shown = numbers(places["energy"], len(trace), 65)
    torch.testing.assert_close(shown, terms[..., 5], atol=1e-5, rtol=1e-4)
    assert (of_patch["patch"], places["memory"]) == (63, 5)


@pytest.mark.parametrize("wrong", [None, -1, 64, "3", 2.0, True, [1]])
def test_a_patch_that_does_not_exist_is_one_sentence(service, wrong):
    for kind in ("attention", "memories_of_patch"):
        assert "no patch" in ask(service, kind, patch=wrong)["error"]


@pytest.mark.parametrize("wrong", [None, -1, 10**6, "3"])
def test_a_memory_that_does_not_exist_is_one_sentence(service, wrong):
    assert "no memory" in ask(service, "memory_places", memory=wrong)["error"]
