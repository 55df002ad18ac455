"""What every masked image model promises. A test class for each model inherits `Contract`."""

import copy

import pytest
import torch
import torch.nn.functional as F

import etviz
from etviz import UsageError
from etviz.masks import mask_to_pixels
from etviz.models.size import SizeLimit
from etviz.training import State, TrainConfig, TrainStep
from etviz.training.batches import draw_batch


class Contract:
    """Inherited by a test class for each model, which names it and gives small options."""

    name: str
    options: dict
    has_cls = True

    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        return etviz.create_model(self.name, **self.options).eval()

    def test_reconstruct_keeps_shape_and_range(self, model, images, mask):
        out = model.reconstruct(images, mask)
        assert out.shape == images.shape
        assert out.dtype == torch.float32
        assert 0 <= out.min() <= out.max() <= 1
        assert not out.requires_grad

    def test_hidden_pixels_do_not_leak(self, model, images, mask):
        """Nothing computed from the visible pixels changes, whatever the hidden ones hold, NaN included."""
        hidden = mask_to_pixels(mask, model.patch_size).expand_as(images)
        other = torch.where(hidden, torch.full_like(images, torch.nan), images)
        assert torch.equal(model.reconstruct(images, mask), model.reconstruct(other, mask))

    def test_visible_pixels_matter(self, model, images, mask):
        visible = ~mask_to_pixels(mask, model.patch_size).expand_as(images)
        other = torch.where(visible, 1 - images, images)
        assert not torch.equal(model.reconstruct(images, mask), model.reconstruct(other, mask))

    def test_images_do_not_influence_one_another(self, model, images, mask):
        alone = torch.cat([model.reconstruct(images[i : i + 1], mask[i : i + 1]) for i in range(len(images))])
        torch.testing.assert_close(model.reconstruct(images, mask), alone, atol=1e-5, rtol=0)

    def test_ragged_masks_equal_one_image_at_a_time(self, model, images):
        """Painted masks hide a different number of patches in each image, up to all and down to none."""
        mask = torch.arange(64) < torch.tensor([[54], [0], [64], [5]])
        alone = torch.cat([model.reconstruct(images[i : i + 1], mask[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(model.reconstruct(images, mask), alone, atol=1e-5, rtol=0)

    @pytest.mark.parametrize(("counts", "hint"), [((54, 54, 54, 54), 54), ((31, 0, 64, 31), None)])
    def test_the_mask_used_is_the_mask_passed_in(self, model, images, counts, hint):
        """A pixel has a gradient exactly where its patch is visible: all of those are used, and no other."""
        mask = torch.rand(4, 64).argsort(dim=1) < torch.tensor(counts)[:, None]
        images.requires_grad_()
        predicted = model.predict_patches(images, mask, num_hidden=hint)
        (predicted * torch.randn(predicted.shape)).sum().backward()
        used = model.to_patches(images.grad * model.std + model.mean).abs().amax(dim=2) > 0  # cut as images are
        assert torch.equal(used, ~mask)

    def test_num_hidden_is_only_a_hint(self, model, images, mask):
        torch.testing.assert_close(model.predict_patches(images, mask, 54), model.predict_patches(images, mask))

    def test_hidden_patches_know_where_they_are(self, model, images):
        """Without positions, patches that are all hidden would all be predicted alike."""
        patches = model.predict_patches(images, torch.ones(4, 64, dtype=torch.bool))
        assert patches.std(dim=1).amax() > 1e-6

    def test_loss_is_this_models_own(self, model, images, mask):
        torch.manual_seed(7)
        expected = self.expected_loss(model, images, mask)
        for hint in (None, 54):
            torch.manual_seed(7)  # for models that draw
            torch.testing.assert_close(model.loss(images, mask, hint), expected)

    def test_loss_of_masks_that_hide_different_numbers(self, model, images):
        """Every image counts alike, however much of it is hidden; with nothing hidden there is still a number."""
        mask = torch.rand(4, 64).argsort(dim=1) < torch.tensor([[31], [0], [64], [5]])
        torch.manual_seed(7)
        expected = self.expected_loss_of_different_numbers(model, images, mask)
        torch.manual_seed(7)
        torch.testing.assert_close(model.loss(images, mask), expected)
        assert torch.isfinite(model.loss(images, torch.zeros_like(mask)))

    def expected_loss(self, model, images, mask):
        """The objective as documented, computed another way; the mean squared error on hidden patches by default."""
        return (model.predict_patches(images, mask) - model.to_patches(images)).square()[mask].mean()

    def expected_loss_of_different_numbers(self, model, images, mask):
        """Each image's own, then the mean over the images that hide something."""
        losses = [self.expected_loss(model, images[i : i + 1], mask[i : i + 1]) for i in range(len(images))]
        return torch.stack(losses)[mask.any(dim=1)].mean()

    def test_loss_reaches_every_parameter(self, model, images, mask):
        model.loss(images, mask).backward()
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, name
                assert parameter.grad.abs().sum() > 0, name
            else:
                assert parameter.grad is None, name

    def test_loss_falls_on_a_tiny_set(self, model, mask):
        """By a quarter in 30 steps, on pictures whose hidden patches follow from the visible ones."""
        smooth = F.interpolate(torch.rand(4, 3, 3, 3), 32, mode="bilinear")
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        model.train()
        first = model.loss(smooth, mask).item()
        for _ in range(30):
            optimizer.zero_grad()
            model.loss(smooth, mask).backward()
            optimizer.step()
        assert model.loss(smooth, mask).item() < 0.75 * first

    def test_features_are_one_vector_an_image(self, model, images):
        features = model.features(images)
        assert features.shape[0] == 4
        assert features.ndim == 2
        order = torch.tensor([2, 0, 3, 1])
        torch.testing.assert_close(model.features(images[order]), features[order], atol=1e-5, rtol=1e-5)

    def test_features_see_the_whole_image(self, model, images):
        """Nothing is hidden: a change in any one patch shows."""
        features = model.features(images)
        for patch in (0, 27, 63):
            row, col = 4 * (patch // 8), 4 * (patch % 8)
            changed = images.clone()
            changed[:, :, row : row + 4, col : col + 4] = 1 - changed[:, :, row : row + 4, col : col + 4]
            assert (model.features(changed) - features).abs().amax(dim=1).min() > 1e-4

    def test_patch_tokens_are_in_patch_order(self, model, images):
        """A change in a patch shows most in its own token (in that of its cell, where patches are merged)."""
        with torch.no_grad():
            before = model.encode(images[:1])[1]
        side = int(before.shape[1] ** 0.5)
        for patch in (0, 10, 27, 63):
            row, col = divmod(patch, 8)
            changed = images[:1].clone()
            changed[:, :, 4 * row : 4 * row + 4, 4 * col : 4 * col + 4] += 3
            with torch.no_grad():
                difference = (model.encode(changed)[1] - before).norm(dim=2)[0]
            assert difference.argmax() == row * side // 8 * side + col * side // 8

    def test_features_pool_the_tokens(self, model, images):
        cls_token, patches = model.encode(images)
        torch.testing.assert_close(model.features(images), patches.mean(dim=1))
        if self.has_cls:
            assert torch.equal(model.features(images, pool="cls"), cls_token)
        else:
            with pytest.raises(UsageError, match="has no CLS token"):
                model.features(images, pool="cls")
        with pytest.raises(UsageError, match="no pool 'max'"):
            model.features(images, pool="max")

    def test_same_seed_same_model_and_loss(self, images, mask):
        made = []
        for _ in range(2):
            torch.manual_seed(3)
            model = etviz.create_model(self.name, **self.options).train()
            made.append((model.loss(images, mask), model.reconstruct(images, mask)))
        assert torch.equal(made[0][0], made[1][0])
        assert torch.equal(made[0][1], made[1][1])

    def test_training_step_is_one_graph(self, model):
        """torch.compile with fullgraph=True refuses graph breaks; eager backend, so that no compiler is needed."""
        data = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8)
        step = TrainStep(model, True, True)
        batch = draw_batch(torch.arange(16), State(model, TrainConfig(batch_size=16), 1, 1, None), 0, 1)
        losses = []
        for run in (step, torch.compile(step, fullgraph=True, backend="eager")):
            torch.manual_seed(0)
            losses.append(run(data, batch))
        torch.testing.assert_close(*losses)

    @pytest.mark.filterwarnings("ignore:.*autocast")
    def test_bf16_training_gives_a_float32_loss(self, model, images, mask):
        with torch.autocast("cpu", torch.bfloat16):
            loss = model.loss(images, mask, 54)
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)

    def test_save_and_load(self, model, images, mask, tmp_path):
        with torch.no_grad():
            for parameter in model.parameters():  # as if trained: fixed parts, too, come from the file
                parameter.add_(0.01 * torch.randn_like(parameter))
        etviz.checkpoints.save_checkpoint(model, tmp_path / "saved", {})
        loaded = etviz.load_model(tmp_path / "saved")
        assert loaded.config == model.config
        assert torch.equal(loaded.reconstruct(images, mask), model.reconstruct(images, mask))

    def test_copies_do_not_share_weights(self, model):
        assert copy.deepcopy(model).config == model.config

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda i, m: (i[0], m), r"shape \(B, 3, 32, 32\)"),
            (lambda i, m: ((i * 255).byte(), m), "divide uint8 images by 255"),
            (lambda i, m: (i, m.float()), "must be boolean"),
            (lambda i, m: (i, m[:2]), r"\(4, 64\)"),
            (lambda i, m: (i[:0], m[:0]), "There are no images"),
        ],
    )
    def test_wrong_inputs_are_one_sentence(self, model, images, mask, change, message):
        with pytest.raises(UsageError, match=message):
            model.reconstruct(*change(images, mask))

    def test_its_size_is_known_before_memory_is_taken(self):
        """Every weight is counted, and hardly anything else; one number less than that is too few."""
        options = etviz.models.model_config(self.name, **self.options)
        with SizeLimit(10**9) as count:
            model = etviz.models.MODELS[self.name](**options)
        parts = [getattr(model, part) for part in model.trained_parts]  # given, not made
        weights = sum(p.numel() for p in model.parameters()) - sum(p.numel() for m in parts for p in m.parameters())
        assert weights <= count.total <= 1.1 * weights
        words = f"{count.total:,} or more parameters: {count.total - 1:,} is the most"
        with pytest.raises(UsageError, match=words), SizeLimit(count.total - 1):
            etviz.models.MODELS[self.name](**options)

    def test_unknown_option_is_one_sentence(self):
        with pytest.raises(UsageError, match=r"did you mean 'patch_size'"):
            etviz.create_model(self.name, patchsize=4)

    def test_patch_that_does_not_divide_the_image(self):
        with pytest.raises(UsageError, match="cannot be cut into"):
            etviz.create_model(self.name, patch_size=5)

    @pytest.mark.parametrize("images_in_all", [1, 3])
    def test_any_number_of_images(self, model, images, mask, images_in_all):
        assert torch.isfinite(model.loss(images[:images_in_all], mask[:images_in_all], 54))
