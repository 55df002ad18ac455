"""The Energy Transformers: the contract of every model, and what they alone have, the trace."""

import copy
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

import etviz
from etviz import UsageError
from etviz.masks import mask_to_pixels
from etviz.models import model_options
from etviz.models.descent import CPU_IMAGES
from tests.conftest import TINY, TINY_ASYM
from tests.contract import Contract


class EnergyContract(Contract):
    """And what the trace promises."""

    def test_trace_has_the_documented_shapes(self, model, images, mask):
        trace = model.trace(images, mask)
        tokens, dim = trace.tokens.shape[2:]
        heads = model.descent.blocks[0].query.shape[0]
        assert trace.frames.shape == (4, 5, 3, 32, 32)
        assert trace.energy.shape == trace.gradient_norm.shape == (4, 5)
        assert trace.attention_energy.shape == trace.hopfield_energy.shape == (4, 5, tokens)
        assert trace.attention.shape == (4, 5, heads, tokens, tokens)
        assert trace.tokens.shape == (4, 5, 65, dim)
        assert trace.step_sizes.shape == (4, 4)
        assert len(trace) == 5
        assert trace.patch_index[0].tolist() == list(range(-1, 64))

    def test_last_frame_is_the_reconstruction(self, model, images, mask):
        torch.testing.assert_close(model.trace(images, mask).frames[:, -1], model.reconstruct(images, mask))

    def test_energy_is_exactly_the_sum_of_its_parts(self, model, images, mask):
        trace = model.trace(images, mask)
        assert torch.equal(trace.energy, trace.attention_energy.sum(-1) + trace.hopfield_energy.sum(-1))

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    def test_trace_equals_the_autograd_oracle(self, model, images, mask, dtype):
        """Energy to 1e-6 relative per image; the update is minus step_size times the oracle's gradient."""
        model = model.to(dtype)
        trace = model.trace(images.to(dtype), mask)
        block = copy.deepcopy(model.descent.blocks[0]).double()
        for t in range(len(trace)):
            g = block.norm(trace.tokens[:, t].double()).detach().requires_grad_()
            energy = block.energy(g)
            (gradient,) = torch.autograd.grad(energy.sum(), g)
            torch.testing.assert_close(trace.energy[:, t].double(), energy.detach(), rtol=1e-6, atol=0)
            norm = gradient.flatten(1).norm(dim=1)
            torch.testing.assert_close(trace.gradient_norm[:, t].double(), norm, rtol=1e-5, atol=0)
            if t + 1 < len(trace):
                update = (trace.tokens[:, t + 1] - trace.tokens[:, t]).double()
                tolerance = 1e-12 if dtype == torch.float64 else 1e-5
                torch.testing.assert_close(update, -0.1 * gradient, rtol=tolerance, atol=tolerance)

    def test_many_images_equal_one_at_a_time(self, model):
        """A CPU takes large batches in parts; nothing of it shows."""
        images = torch.rand(CPU_IMAGES + 3, 3, 32, 32)
        mask = etviz.random_mask(CPU_IMAGES + 3)
        together = model.trace(images, mask)
        for field in ("frames", "energy", "tokens", "attention", "gradient_norm", "step_sizes", "settled"):
            alone = [getattr(model.trace(images[i : i + 1], mask[i : i + 1]), field) for i in range(len(images))]
            torch.testing.assert_close(getattr(together, field), torch.cat(alone), atol=1e-4, rtol=1e-4)

    def test_settings_replace_the_models_own(self, model, images, mask):
        trace = model.trace(images, mask, steps=7, step_size=0.03, beta=0.5)
        assert len(trace) == 8
        assert (trace.step_sizes == torch.tensor(0.03)).all()
        reference = copy.deepcopy(model)
        reference.descent.blocks[0].beta = 0.5
        reference.descent.steps, reference.descent.step_size = 7, 0.03
        torch.testing.assert_close(trace.frames, reference.trace(images, mask).frames)

    def test_attention_can_be_left_out(self, model, images, mask):
        trace = model.trace(images, mask, keep_attention=False)
        assert trace.attention is None
        torch.testing.assert_close(trace.energy, model.trace(images, mask).energy)

    def test_backtracking_in_images(self, model, images, mask):
        trace = model.trace(images, mask, step_size=1e4, rule="backtracking")
        assert not trace.rises().any()

    def test_too_long_a_step_is_shown_not_hidden(self, model, images, mask):
        """Violations are reported: somewhere among these step sizes the energy rises, and rises() says where."""
        for step_size in (1.0, 10.0, 100.0, 1000.0):
            trace = model.trace(images, mask, steps=12, step_size=step_size)
            assert torch.equal(trace.rises(), trace.energy[:, 1:] > trace.energy[:, :-1])

    def test_a_descent_that_blows_up_counts_as_rising(self, model, images, mask):
        trace = model.trace(images, mask, step_size=1e30)
        assert not torch.isfinite(trace.energy[:, -1]).any()
        assert trace.rises().any(dim=1).all()

    def test_several_blocks_follow_one_another(self, images, mask):
        torch.manual_seed(0)
        model = etviz.create_model(self.name, **(self.options | dict(depth=2)))
        trace = model.trace(images, mask)
        assert len(trace) == 2 * 4 + 1
        assert trace.block.tolist() == [0] * 4 + [1] * 5
        torch.testing.assert_close(trace.frames[:, -1], model.reconstruct(images, mask))

    def test_exclude_self_has_no_diagonal(self, images, mask):
        torch.manual_seed(0)
        model = etviz.create_model(self.name, **(self.options | dict(exclude_self=True)))
        trace = model.trace(images, mask)
        assert trace.attention.diagonal(dim1=-2, dim2=-1).abs().max() == 0
        assert torch.isfinite(trace.energy).all()

    def test_a_descent_can_start_anywhere(self, model, images, mask):
        start = model.start_tokens(images, mask)
        own = model.trace(images, mask)
        torch.testing.assert_close(own.tokens[:, 0], start)
        torch.testing.assert_close(model.trace(images, mask, start=start).frames, own.frames)
        later = model.trace(images, mask, start=own.tokens[:, 1], steps=3)
        torch.testing.assert_close(later.tokens, own.tokens[:, 1:])
        with pytest.raises(UsageError, match="start must be of shape"):
            model.trace(images, mask, start=start[:, 1:])

    def test_the_energy_of_a_state_is_the_traces(self, model):
        images, mask = torch.rand(CPU_IMAGES + 3, 3, 32, 32), etviz.random_mask(CPU_IMAGES + 3)
        trace = model.trace(images, mask, beta=0.7)
        assert trace.beta == 0.7
        energies = [model.descent.energy(trace.tokens[:, t], trace.settings) for t in range(len(trace))]
        energy = torch.stack(energies, dim=1)
        torch.testing.assert_close(energy, trace.energy, rtol=1e-5, atol=0)
        assert model.trace(images[:1], mask[:1]).beta == model.descent.blocks[0].beta

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (dict(steps=-1), "steps must be a whole number"),
            (dict(steps=2.5), "steps must be a whole number"),
            (dict(step_size=0.0), "step_size must be above 0"),
            (dict(step_size=math.inf), "step_size must be above 0 and finite"),
            (dict(step_size=math.nan), "step_size must be above 0 and finite"),
            (dict(beta=-1.0), "beta must be above 0"),
            (dict(beta=math.inf), "beta must be above 0 and finite"),
            (dict(tolerance=math.inf), "tolerance must be above 0 and finite"),
            (dict(rule="newton"), "no step rule 'newton'"),
            (dict(tolerance=0.0), "tolerance must be above 0"),
        ],
    )
    def test_impossible_settings(self, model, images, mask, settings, message):
        with pytest.raises(UsageError, match=message):
            model.trace(images, mask, **settings)

    def test_settings_reach_the_prediction_too(self, model, images, mask):
        """predict_patches descends by the same settings as the trace, beta as much as the other two."""
        settings = dict(steps=3, step_size=0.05, beta=2.0)
        frames = model.to_images(model.predict_patches(images, mask, **settings))
        torch.testing.assert_close(frames, model.trace(images, mask, **settings).frames[:, -1])
        assert (
            frames - model.to_images(model.predict_patches(images, mask, steps=3, step_size=0.05))
        ).abs().max() > 1e-4

    def test_energies_of_two_blocks_are_not_compared(self, images, mask):
        trace = etviz.create_model(self.name, **(self.options | dict(depth=2))).trace(images, mask)
        trace.energy = torch.arange(9.0).expand(4, 9)  # rises all the way
        assert trace.rises().tolist() == [[True] * 3 + [False] + [True] * 4] * 4

    def test_features_are_normalised_by_the_last_block(self, images):
        model = etviz.create_model(self.name, **(self.options | dict(depth=2))).eval()
        descent = model.descent if self.name == "et" else model.encoder
        features = model.features(images)
        with torch.no_grad():
            descent.blocks[1].norm.delta.add_(3.0)  # steps=0: the descent itself does not see it
            descent.steps = 0
            moved = model.features(images)
            descent.blocks[1].norm.delta.sub_(3.0)
            torch.testing.assert_close(moved - 3.0, model.features(images))
        assert features.shape == moved.shape

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            (dict(embed_dim=1e9), "embed_dim must be a whole number, not 1000000000.0"),
            (dict(embed_dim=10**9), "embed_dim must be at most 65,536"),
            (dict(embed_dim=60_000, num_heads=60_000), "parameters: 1,000,000,000 is the most"),
            (dict(img_size=2**16, patch_size=1), "4,294,967,296 patches is too fine"),
            (dict(embed_dim="32"), "embed_dim must be a whole number, not '32'"),
            (dict(num_heads=True), "num_heads must be a whole number"),
            (dict(memory_ratio=math.nan), "memory_ratio must be a finite number"),
            (dict(memory_ratio=math.inf), "memory_ratio must be a finite number"),
            (dict(memory_ratio=1e300), "memory_ratio must be at most"),
            (dict(img_size=0), "img_size must be at least 1"),
            (dict(img_size=-32), "img_size must be at least 1"),
            (dict(mean=["a", "b", "c"]), r"mean\[0\] must be a finite number, not 'a'"),
            (dict(mean="abc"), "mean must be a list"),
            (dict(mean=None), "mean must be a list"),
            (dict(std=[0, 0, 0]), r"std\[0\] must be above 0"),
            (dict(std=[1, 1]), "one number for each of the 3 channels"),
            (dict(steps=-1), "steps must be at least 0"),
            (dict(depth=10**9), "depth must be at most"),
            (dict(exclude_self=1), "exclude_self must be true or false"),
            (dict(beta=10**400), "beta must be a finite number"),
        ],
    )
    def test_options_of_another_kind(self, option, message):
        with pytest.raises(UsageError, match=message):
            etviz.create_model(self.name, **(self.options | option))

    def test_options_become_plain_python(self):
        options = dict(embed_dim=np.int64(32), step_size=np.float64(0.1), mean=np.array([0.5, 0.5, 0.5]), beta=1)
        config = etviz.create_model(self.name, **(self.options | options)).config
        assert config["mean"] == (0.5, 0.5, 0.5)
        kinds = {name: type(config[name]) for name in options}
        assert kinds == dict(embed_dim=int, step_size=float, mean=tuple, beta=float)

    @pytest.mark.parametrize("sizes", [dict(num_heads=0), dict(head_dim=0), dict(depth=0), dict(memory_ratio=0.0)])
    def test_impossible_sizes(self, sizes):
        with pytest.raises(UsageError, match="at least 1"):
            etviz.create_model(self.name, **sizes)


class TestEnergyTransformer(EnergyContract):
    name, options = "et", TINY

    def test_defaults_are_the_reference_recipes(self):
        expected = dict(embed_dim=256, num_heads=12, head_dim=64, memory_ratio=4.0, depth=1, steps=12)
        expected |= dict(step_size=10.0, beta=0.125, exclude_self=False, patch_size=4, img_size=32)
        assert expected.items() <= model_options("et").items()

    def test_parameters_at_full_size(self):
        assert sum(p.numel() for p in etviz.create_model("et").parameters()) == 698_161


class TestAsymmetric(EnergyContract):
    name, options = "et_asym", TINY_ASYM

    def test_encoder_sees_cls_and_visible_patches_only(self, model, images, mask):
        encoder = model.trace(images, mask).encoder
        assert not hasattr(encoder, "frames")
        assert encoder.tokens.shape[2] == 1 + 10
        for index, hidden in zip(encoder.patch_index, mask, strict=True):
            assert index[0] == -1
            assert sorted(index[1:].tolist()) == (~hidden).nonzero()[:, 0].tolist()

    def test_encoder_tokens_carry_their_own_patch_and_position(self, model, images, mask):
        tokens, index, exists = model.encoder_tokens(images, mask)
        assert exists is None
        patches = model.to_patches(images)
        for i in range(len(images)):
            expected = model.embed(patches[i, index[i]]) + model.positions[1 + index[i]]
            torch.testing.assert_close(tokens[i, 1:], expected)
            torch.testing.assert_close(tokens[i, 0], model.cls_token + model.positions[0])

    def test_ragged_encoder_marks_padding(self, model, images):
        mask = torch.arange(64) < torch.tensor([[54], [60], [54], [64]])
        encoder = model.trace(images, mask).encoder
        assert ((encoder.patch_index >= 0).sum(1) == torch.tensor([10, 4, 10, 0])).all()
        assert (encoder.patch_index[3] == torch.tensor([-1] + [-2] * 10)).all()
        assert encoder.hopfield_energy[3, :, 1:].abs().max() == 0

    def test_decoder_is_smaller(self):
        model = etviz.create_model("et_asym")
        encoder, decoder = (sum(p.numel() for p in part.parameters()) for part in (model.encoder, model.descent))
        assert decoder < encoder / 2


@pytest.mark.parametrize("name", ["resnet", 3, ["et"], None])
def test_unknown_model(name):
    with pytest.raises(UsageError, match="There is no model"):
        etviz.create_model(name)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (dict(decoder_head_dim=0), "decoder_head_dim must be at least 1"),
        (dict(decoder_beta="x"), "decoder_beta must be a finite number"),
        (dict(decoder_beta=0), "decoder_beta must be above 0"),
    ],
)
def test_impossible_decoders(option, message):
    with pytest.raises(UsageError, match=message):
        etviz.create_model("et_asym", **(TINY_ASYM | option))


def test_too_many_parameters_are_refused_without_allocating_them():
    before = torch.get_rng_state()
    with pytest.raises(UsageError, match="parameters"):
        etviz.create_model("et", embed_dim=65_536, num_heads=65_536, head_dim=65_536)
    assert torch.equal(torch.get_rng_state(), before)


def test_making_a_model_loads_no_compiler():
    """Which counting sizes on PyTorch's meta device did, for a second in every new process."""
    code = "import sys, etviz; etviz.create_model('et'); sys.exit('torch._dynamo' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_complete_keeps_visible_pixels(images, mask):
    out = etviz.complete(images, torch.zeros_like(images), mask)
    hidden = mask_to_pixels(mask, 4).expand_as(images)
    assert torch.equal(out[~hidden], images[~hidden])
    assert out[hidden].abs().max() == 0


def test_another_default_precision_changes_nothing(images, mask):
    """A program may have made float64 PyTorch's default: models stay float32, and float64 images are refused."""
    torch.manual_seed(0)
    usual = etviz.create_model("et", **TINY)
    expected = usual.trace(images, mask)
    torch.set_default_dtype(torch.float64)
    try:
        model = etviz.create_model("et", **TINY)
        model.load_state_dict(usual.state_dict())
        found = model.trace(images, mask)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {p.dtype for p in model.state_dict().values()} == {torch.float32}
    assert found.energy.equal(expected.energy)
    assert found.frames.equal(expected.frames)
    with pytest.raises(UsageError, match=r"float64.*images\.float\(\)"):
        usual.reconstruct(images.double(), mask)


def test_models_are_made_on_the_cpu_whatever_the_default_device():
    with torch.device("meta"):
        model = etviz.create_model("et", **TINY)
    assert model.device.type == "cpu"
