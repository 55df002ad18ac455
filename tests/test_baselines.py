"""The models beside the Energy Transformer: the contract of every model, and what each promises of itself."""

import math

import pytest
import torch
import torch.nn.functional as F
import yaml

import etviz
from etviz import UsageError
from etviz.models import mixedae
from etviz.models.positions import sincos_positions
from etviz.patches import unpatchify
from tests.contract import Contract

VIT = dict(embed_dim=32, depth=2, num_heads=2)
DECODER = dict(decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2)


class Baseline(Contract):
    """And clear errors for sizes."""

    @pytest.mark.parametrize(
        ("sizes", "message"),
        [(dict(num_heads=0), "at least 1"), (dict(num_heads=5), "cannot be shared evenly"), (dict(depth=0), "least 1")],
    )
    def test_impossible_sizes(self, sizes, message):
        with pytest.raises(UsageError, match=message):
            etviz.create_model(self.name, **(self.options | sizes))


class TestMAE(Baseline):
    name, options = "mae", VIT | DECODER

    def test_the_library_reports_the_mask_passed_in(self, model, images):
        for hidden in range(65):  # mask_ratio=0.85 alone would hide 55
            mask = torch.rand(4, 64).argsort(dim=1) < hidden
            model.encoder_tokens(images, mask, hidden)
            order = torch.arange(64)
            out = model.mae.vit(model.visible_images(images, mask), noise=mask * 64 + order)
            assert torch.equal(out.mask.bool(), mask)
            assert out.last_hidden_state.shape[1] == 1 + 64 - hidden

    def test_odd_grids_hide_exactly_what_is_asked(self):
        """49 patches: shares that are no binary fractions round."""
        model = etviz.create_model("mae", img_size=28, **self.options).eval()
        for hidden in range(50):
            mask = etviz.masks.mask_from_noise(torch.rand(1, 49), hidden)
            tokens, _ = model.encoder_tokens(torch.rand(1, 3, 28, 28), mask, hidden)
            assert tokens.shape[1] == 1 + 49 - hidden

    def test_loss_is_the_librarys_own(self, model, images, mask):
        """Which the paper's authors' code defines, without normalisation by patch."""
        noise = mask * 64 + torch.arange(64)
        model.mae.config.mask_ratio = 53.5 / 64
        out = model.mae((images - model.mean) / model.std, noise=noise)
        torch.testing.assert_close(model.loss(images, mask), out.loss)

    def test_positions_are_fixed_and_distinct(self, model):
        for table in (model.mae.vit.embeddings.position_embeddings, model.mae.decoder.decoder_pos_embed):
            assert not table.requires_grad
            distances = torch.cdist(table[0, 1:], table[0, 1:])
            assert distances[~torch.eye(64, dtype=torch.bool)].min() > 0.1


class TestSimMIM(Baseline):
    name, options, has_cls = "simmim", dict(embed_dim=16, depths=(1, 2), num_heads=(2, 4)), False

    def expected_loss(self, model, images, mask):
        """The library's own L1 loss, over pixels."""
        return model.swin((images - model.mean) / model.std, bool_masked_pos=mask).loss

    @pytest.mark.parametrize(
        ("sizes", "message"),
        [
            (dict(num_heads=(2, 0)), "at least 1"),
            (dict(num_heads=(2, 5)), "cannot be shared evenly"),
            (dict(depths=(0, 2)), "at least 1"),
            (dict(depths=(1, 2, 1)), "a number for each stage"),
            (dict(depths=(1, 1, 1, 1), num_heads=(2, 2, 2, 2)), "do not fit 8 x 8 patches"),
            (dict(window_size=3), "do not fit 8 x 8 patches"),
        ],
    )
    def test_impossible_sizes(self, sizes, message):
        with pytest.raises(UsageError, match=message):
            etviz.create_model(self.name, **(self.options | sizes))


class TestMixedAE(Baseline):
    name, options, has_cls = "mixedae", VIT | DECODER, False

    def expected_loss_of_different_numbers(self, model, images, mask):
        """A mixture decides itself what it hides."""
        return self.expected_loss(model, images, mask)

    def expected_loss(self, model, images, mask):
        """Image by image and token by token, in loops."""
        owner = model.draw_owners(1, images.device)[0]
        patches = model.to_patches(images)
        mixed = torch.stack([patches[owner[i], i] for i in range(64)])[None]
        tokens = model._encode(model.embed(mixed) + model.positions + model.segments[owner])[0]
        errors, surprises = [], []
        for image in range(4):
            others = owner != image
            predicted = model.decode(tokens[None], others[None])[0]
            errors += (predicted - patches[image])[others].square().mean(dim=1).tolist()
        cosines = F.cosine_similarity(tokens[:, None], tokens[None], dim=2).tolist()
        for i in range(64):
            total = sum(math.exp(cosines[i][k] / 0.25) for k in range(64) if k != i)
            positives = [k for k in range(64) if k != i and owner[k] == owner[i]]
            surprises += [-math.log(math.exp(cosines[i][k] / 0.25) / total) for k in positives]
        return torch.tensor(sum(errors) / len(errors) + 0.1 * sum(surprises) / len(surprises))

    def test_owners_share_a_mixture_evenly(self, model):
        owner = model.draw_owners(50, "cpu")
        assert owner.shape == (50, 64)
        assert all((owner == image).sum(dim=1).eq(16).all() for image in range(4))
        assert (owner[:, 0].unique().tolist(), len({tuple(row) for row in owner.tolist()})) == ([0, 1, 2, 3], 50)

    def test_no_patch_an_image_did_not_contribute_reaches_the_encoder(self, model, images):
        patches = model.to_patches(images)[None]
        owner = model.draw_owners(1, "cpu")
        away = owner[:, None] != torch.arange(4)[:, None]  # (1, 4, 64)
        spoiled = patches.masked_fill(away[..., None], torch.nan)
        assert torch.equal(model.encode_mixture(spoiled, owner), model.encode_mixture(patches, owner))

    def test_homologous_attention_keeps_the_best_keys(self):
        query, key, value = torch.randn(3, 2, 2, 10, 8)
        logits = query @ key.transpose(2, 3) / 8**0.5
        kept = torch.zeros_like(logits).scatter(3, logits.argsort(dim=3)[..., -3:], 1.0)
        weights = logits.exp() * kept
        expected = (weights / weights.sum(dim=3, keepdim=True)) @ value
        torch.testing.assert_close(mixedae.homologous_attention(query, key, value, 3), expected)
        everything = F.scaled_dot_product_attention(query, key, value)
        torch.testing.assert_close(mixedae.homologous_attention(query, key, value, 10), everything)

    def test_the_encoder_keeps_as_many_keys_as_an_image_gives(self, model, images, mask, monkeypatch):
        kept = []

        def spy(query, key, value, keys):
            kept.append(keys)
            return F.scaled_dot_product_attention(query, key, value)

        monkeypatch.setattr(mixedae, "homologous_attention", spy)
        model.loss(images, mask)
        assert kept == [16, 16, None]  # two layers, and the decoder's one

    def test_single_images_give_the_encoder_their_visible_patches(self, model, images, mask):
        """Each with its own position and the segment of the first of a group."""
        seen = []
        model.blocks[0].register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0]))
        model.predict_patches(images, mask)
        patches = model.to_patches(images)
        for image in range(4):
            visible = (~mask[image]).nonzero()[:, 0]
            expected = model.embed(patches[image, visible]) + model.positions[visible] + model.segments[0]
            torch.testing.assert_close(seen[0][image], expected)

    def test_features_are_what_the_decoder_gets_of_a_whole_image(self, model, images, monkeypatch):
        given = []
        monkeypatch.setattr(model, "decode", lambda encoded, hidden: given.append(encoded) or encoded)
        model.predict_patches(images, torch.zeros(4, 64, dtype=torch.bool))
        torch.testing.assert_close(model.encode(images)[1], given[0])

    def test_contrast_is_least_where_images_are_apart(self):
        owner = torch.arange(8)[None] // 4
        apart = torch.eye(2)[owner]
        together = torch.ones(1, 8, 2)
        assert mixedae.homologous_contrast(apart, owner, 0.25) < mixedae.homologous_contrast(together, owner, 0.25)
        assert mixedae.homologous_contrast(together, owner, 0.25).item() == pytest.approx(math.log(7))

    def test_groups_are_neighbours_and_independent(self, model, images, monkeypatch):
        """Eight images cost what the first four and the last four cost, on average."""
        owners, eight = model.draw_owners(2, "cpu"), torch.cat([images, images.flip(0) ** 2])
        nothing = torch.zeros(8, 64, dtype=torch.bool)

        def loss(batch, owner):
            monkeypatch.setattr(model, "draw_owners", lambda groups, device: owner)
            return model.loss(batch, nothing[: len(batch)])

        halves = [loss(eight[:4], owners[:1]), loss(eight[4:], owners[1:])]
        torch.testing.assert_close(loss(eight, owners), sum(halves) / 2)

    def test_uneven_batches_are_filled_up(self, model, images):
        """Five images make two groups, of images 0 to 3, and 4 with 0 to 2."""
        five = torch.cat([images, 1 - images[:1]])
        torch.manual_seed(5)
        loss = model.loss(five, torch.zeros(5, 64, dtype=torch.bool))
        torch.manual_seed(5)
        filled = model.loss(five[[0, 1, 2, 3, 4, 0, 1, 2]], torch.zeros(8, 64, dtype=torch.bool))
        torch.testing.assert_close(loss, filled)

    @pytest.mark.parametrize(
        ("options", "message"),
        [(dict(group=1), "group must be 2"), (dict(contrast=-1.0), "contrast"), (dict(temperature=0.0), "temperature")],
    )
    def test_impossible_mixing(self, options, message):
        with pytest.raises(UsageError, match=message):
            etviz.create_model("mixedae", **options)


def tiny_tokenizer(**options):
    return etviz.create_model("tokenizer", **(dict(width=16, depth=1) | options))


class TestBEiT(Baseline):
    name, options = "beit", VIT | dict(tokenizer=tiny_tokenizer())

    def expected_loss(self, model, images, mask):
        """The library's own cross-entropy, which takes the labels of hidden patches alone."""
        labels = model.tokenizer.codes(images)[mask]
        return model.beit((images - model.mean) / model.std, bool_masked_pos=mask, labels=labels).loss

    def test_mask_token_and_positions_are_there(self, model):
        embeddings = model.beit.beit.embeddings
        assert embeddings.mask_token.shape == (1, 1, 32)
        assert embeddings.position_embeddings.shape == (1, 65, 32)

    def test_training_leaves_the_tokenizer_alone(self, model, images, mask):
        before = [tensor.clone() for tensor in model.tokenizer.state_dict().values()]
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
        model.loss(images, mask).backward()
        optimizer.step()
        assert all(map(torch.equal, before, model.tokenizer.state_dict().values()))

    def test_pixels_are_the_decoded_predicted_codes(self, model, images, mask):
        probabilities = model.code_logits(images, mask).softmax(dim=2)
        values = sum(probabilities[..., code, None] * model.tokenizer.codebook[code] for code in range(512))
        expected = model.tokenizer.decode(values).clamp(0, 1)
        torch.testing.assert_close(model.reconstruct(images, mask), expected, atol=1e-5, rtol=1e-5)

    def test_features_are_what_the_codes_are_read_from(self, model, images):
        nothing = torch.zeros(4, 64, dtype=torch.bool)
        torch.testing.assert_close(model.beit.lm_head(model.encode(images)[1]), model.code_logits(images, nothing))

    def test_best_decoding_takes_the_likeliest_codes(self, images, mask):
        model = etviz.create_model("beit", **self.options, decoding="best").eval()
        values = model.tokenizer.quantizer.indices_to_codes(model.code_logits(images, mask).argmax(dim=2))
        torch.testing.assert_close(model.reconstruct(images, mask), model.tokenizer.decode(values).clamp(0, 1))

    def test_a_checkpoint_holds_the_tokenizer(self, images, tmp_path):
        """Its weights, and its sizes too: another tokenizer's would not load."""
        tokenizer = tiny_tokenizer(width=24, levels=(5, 5))
        model = etviz.create_model("beit", **(self.options | dict(tokenizer=tokenizer)))
        etviz.checkpoints.save_checkpoint(model, tmp_path, {})
        loaded = etviz.load_model(tmp_path)
        assert torch.equal(loaded.tokenizer.codes(images), tokenizer.codes(images))
        assert loaded.tokenizer.num_codes == 25

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            ("codes", "config.yaml' describes no model that can be made: tokenizer must be a Tokenizer, not a str"),
            ([8, 8, 8], "tokenizer must be a Tokenizer, not a list"),
            ({"width": None}, "no tokenizer's: width must be a whole number, not null"),
            ({"width": 1}, "no tokenizer's: width must be at least 2, not 1"),
            ({"depth": 10**9}, "no tokenizer's: depth must be at most 1,000"),
            ({"levels": [9999] * 9}, "no tokenizer's: levels of .* codes: 65,536 is the most"),
            ({"width": 24}, "model.safetensors' does not fit its config.yaml: 'tokenizer.encoder"),
            ({"levels": [8, 8]}, "model.safetensors' does not fit its config.yaml: 'tokenizer.encoder"),
            (None, "model.safetensors' lacks the tokenizer that its config.yaml describes: 'tokenizer.decoder"),
        ],
    )
    def test_a_damaged_tokenizer_in_a_checkpoint_is_one_sentence(self, model, tmp_path, damage, message):
        etviz.checkpoints.save_checkpoint(model, tmp_path, {})
        config = yaml.safe_load((tmp_path / "config.yaml").read_text())
        own = config["model"]["tokenizer"]
        config["model"]["tokenizer"] = own | damage if isinstance(damage, dict) else damage
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(UsageError, match=message):
            etviz.load_model(tmp_path)

    def test_a_checkpoint_without_its_tokenizers_weights_is_one_sentence(self, model, tmp_path):
        etviz.checkpoints.save_checkpoint(model, tmp_path, {})
        weights = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("tokenizer.enc")}
        etviz.checkpoints.write_tensors(tmp_path / "model.safetensors", weights)
        with pytest.raises(UsageError, match="lacks the tokenizer that its config"):
            etviz.load_model(tmp_path)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (dict(tokenizer=tiny_tokenizer(img_size=16)), "tokenizer's img_size is 16, not 32"),
            (dict(tokenizer="somewhere"), "must be a Tokenizer"),
            (dict(tokenizer={"wide": 3}), "no tokenizer's"),
            (dict(decoding="worst"), "no decoding 'worst'"),
        ],
    )
    def test_impossible_options(self, options, message):
        with pytest.raises(UsageError, match=message):
            etviz.create_model("beit", **(self.options | options))


class TestTokenizer:
    """No masked image model: its own promises."""

    @pytest.fixture
    def tokenizer(self):
        torch.manual_seed(0)
        return tiny_tokenizer().eval()

    def test_a_code_for_each_patch(self, tokenizer, images):
        codes = tokenizer.codes(images)
        assert codes.shape == (4, 64)
        assert tokenizer.num_codes == 512
        assert 0 <= codes.min() <= codes.max() < 512
        assert tokenizer.codebook.shape == (512, 3)

    def test_decoded_codes_are_the_reconstruction(self, tokenizer, images, mask):
        decoded = tokenizer.decode(tokenizer.codebook[tokenizer.codes(images)]).clamp(0, 1)
        torch.testing.assert_close(tokenizer.reconstruct(images, mask), decoded)

    def test_sees_everything_whatever_the_mask(self, tokenizer, images, mask):
        assert torch.equal(tokenizer.reconstruct(images, mask), tokenizer.reconstruct(images, ~mask))
        assert tokenizer.sees_hidden_patches
        assert not any(model.sees_hidden_patches for name, model in etviz.models.MODELS.items() if name != "tokenizer")

    def test_loss_is_the_error_on_all_pixels(self, tokenizer, images, mask):
        restored = unpatchify(tokenizer.predict_patches(images, mask), 4)
        expected = (restored - (images - tokenizer.mean) / tokenizer.std).square().mean()
        torch.testing.assert_close(tokenizer.loss(images, mask), expected)

    def test_codes_are_in_patch_order(self, tokenizer):
        """What a patch changes in the codes' values is centred on its own."""
        images = torch.rand(64, 3, 32, 32)
        grid = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"))
        for row, col in ((2, 3), (5, 4), (5, 2)):
            changed = images.clone()
            changed[:, :, 4 * row : 4 * row + 4, 4 * col : 4 * col + 4] = torch.rand(64, 3, 4, 4)
            change = (tokenizer.encoder(changed) - tokenizer.encoder(images)).square().mean(dim=(0, 1))  # (8, 8)
            centre = (grid * change).sum(dim=(1, 2)) / change.sum()
            torch.testing.assert_close(centre, torch.tensor([row, col]).float(), atol=0.6, rtol=0)

    def test_learns(self, tokenizer, images, mask):
        smooth = F.interpolate(torch.rand(4, 3, 4, 4), 32, mode="bilinear")
        optimizer = torch.optim.AdamW(tokenizer.parameters(), lr=3e-3)
        first = tokenizer.loss(smooth, mask).item()
        for _ in range(60):
            optimizer.zero_grad()
            tokenizer.loss(smooth, mask).backward()
            optimizer.step()
        assert tokenizer.loss(smooth, mask).item() < 0.5 * first

    def test_save_and_load(self, tokenizer, images, mask, tmp_path):
        etviz.checkpoints.save_checkpoint(tokenizer, tmp_path, {})
        loaded = etviz.load_model(tmp_path)
        assert torch.equal(loaded.reconstruct(images, mask), tokenizer.reconstruct(images, mask))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (dict(img_size=33, patch_size=3), "halves the image"),
            (dict(levels=(2, 8)), "levels must be"),
            (dict(levels=()), "levels must be"),
            (dict(depth=0), "depth must be at least 1"),
        ],
    )
    def test_impossible_sizes(self, options, message):
        with pytest.raises(UsageError, match=message):
            tiny_tokenizer(**options)


@pytest.mark.parametrize(("tests", "default"), [(TestBEiT, 0.1), (TestSimMIM, 0.0)])
def test_drop_path_is_the_papers_and_for_training_alone(tests, default, images, mask):
    assert etviz.models.model_options(tests.name)["drop_path"] == default
    for drop_path, mode, same in ((0.5, True, False), (0.5, False, True), (0.0, True, True)):
        torch.manual_seed(0)
        model = etviz.create_model(tests.name, **(tests.options | dict(drop_path=drop_path))).train(mode)
        first, *others = [model.predict_patches(images, mask) for _ in range(4)]
        assert all(torch.equal(first, other) for other in others) == same


def test_positions_are_sines_and_cosines_of_row_and_column():
    table = sincos_positions(64, 8, cls_token=True)
    assert table.shape == (65, 8)
    assert table[0].abs().max() == 0
    for patch in range(64):
        row, col = divmod(patch, 8)
        expected = [f(axis * w) for axis in (col, row) for f in (math.sin, math.cos) for w in (1.0, 0.01)]
        torch.testing.assert_close(table[1 + patch], torch.tensor(expected), atol=1e-6, rtol=1e-5)


def test_positions_need_a_width_of_a_multiple_of_four():
    with pytest.raises(UsageError, match="multiple of 4"):
        sincos_positions(64, 30)
