"""Pictures of any size: windows, their blend, holes wider than a window, noise, and the command."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from skimage import data as photographs

import etviz
from etviz import restoration
from etviz.checkpoints import save_checkpoint
from etviz.errors import UsageError
from etviz.models import MaskedImageModel
from etviz.pictures import read_image, read_mask
from etviz.restoration import blend_by_noise, blending_weights, denoise_image, restore_image
from etviz.restore import main
from tests.conftest import TINY


class VisibleMean(MaskedImageModel):
    """Every patch is the mean of the visible pixels: no learning, but right on a picture of one colour."""

    name = "visible_mean"

    def __init__(self):
        super().__init__(32, 4, 3, (0.0,) * 3, (1.0,) * 3)

    def predict_patches(self, images, mask, num_hidden=None):
        patches = self.visible_patches(images, mask)
        visible = (~mask).sum(dim=1).clamp(min=1)[:, None, None]
        colour = patches.reshape(*mask.shape, -1, 3).mean(dim=2)  # (B, N, 3), pixels before channels
        return (colour.sum(dim=1, keepdim=True) / visible).repeat(1, mask.shape[1], 16)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return etviz.create_model("et", **TINY).eval()


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    save_checkpoint(tiny, folder, {"name": "tiny"})
    return folder


def noise_image(height, width, seed=0):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def hole(height, width, rows, columns):
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


# ---- completion --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "stride"), [(32, 16), (33, 16), (48, 16), (100, 12), (101, 4)])
def test_the_weights_of_all_windows_sum_to_one_at_every_pixel(length, stride):
    starts, weights = blending_weights(length, 32, stride)
    total = np.zeros(length)
    for start, weight in zip(starts.tolist(), weights.numpy(), strict=True):
        total[start : start + 32] += weight
    np.testing.assert_allclose(total, 1, atol=1e-12)
    assert starts[0] == 0
    assert starts[-1] == length - 32
    assert (weights > 0).all()
    assert (starts.diff() <= stride).all()


def test_a_picture_of_one_window_is_completed_as_by_the_model_itself(tiny):
    image, mask = noise_image(32, 32), etviz.random_mask(1, generator=torch.Generator().manual_seed(1))
    pixels = etviz.masks.mask_to_pixels(mask, 4)[0, 0]
    whole = etviz.complete(image[None], tiny.reconstruct(image[None], mask), mask)[0]
    torch.testing.assert_close(restore_image(tiny, image, pixels), whole, rtol=0, atol=1e-6)


def test_two_windows_are_blended_by_squared_sines(tiny):
    image, missing = noise_image(32, 48), hole(32, 48, slice(8, 12), slice(20, 28))  # patches 5 and 6 of a row of 12
    patches = torch.zeros(8, 12, dtype=torch.bool)
    patches[2, 5:7] = True
    predictions = [
        tiny.reconstruct(
            image[None, :, :, start : start + 32], patches[None, :, start // 4 : start // 4 + 8].flatten(1)
        )
        for start in (0, 16)
    ]
    profile = np.sin(np.pi * (np.arange(32) + 0.5) / 32) ** 2
    left, right = profile[20:28], profile[4:12]
    expected = left * predictions[0][0, :, 8:12, 20:28].numpy() + right * predictions[1][0, :, 8:12, 4:12].numpy()
    found = restore_image(tiny, image, missing)
    np.testing.assert_allclose(found[:, 8:12, 20:28], expected / (left + right), atol=1e-5)


def test_given_pixels_stay_to_the_last_bit_and_missing_ones_influence_nothing(tiny):
    image, missing = noise_image(50, 61), hole(50, 61, slice(13, 30), slice(22, 41))
    spoilt = image.masked_fill(missing, torch.nan)
    found = restore_image(tiny, image, missing)
    assert torch.equal(found[:, ~missing], image[:, ~missing])
    assert torch.equal(restore_image(tiny, spoilt, missing), found)
    assert found.isfinite().all()
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("overlap", [None, 20, 28])
def test_a_hole_wider_than_two_windows_closes(overlap):
    colour = torch.tensor([0.2, 0.5, 0.8])[:, None, None]
    image, missing = colour.expand(3, 120, 130).clone(), hole(120, 130, slice(20, 100), slice(24, 110))
    told = []
    found = restore_image(
        VisibleMean(),
        image.masked_fill(missing, torch.nan),
        missing,
        overlap=overlap,
        progress=lambda *c: told.append(c),
    )
    torch.testing.assert_close(found, image, rtol=0, atol=1e-5)
    assert told[-1][0] == told[-1][1] == max(done for done, _ in told)


def test_a_picture_smaller_than_a_window_is_continued(tiny):
    image, missing = noise_image(9, 14), hole(9, 14, slice(0, 4), slice(4, 8))
    found = restore_image(tiny, image, missing)
    assert found.shape == image.shape
    assert torch.equal(found[:, ~missing], image[:, ~missing])


def test_the_batch_size_changes_nothing(tiny):
    image, missing = noise_image(70, 70), hole(70, 70, slice(20, 60), slice(20, 60))
    ones, many = (restore_image(tiny, image, missing, batch_size=size) for size in (1, 64))
    torch.testing.assert_close(ones, many, rtol=0, atol=1e-5)


def test_a_trained_model_beats_the_mean_of_what_it_sees():
    photograph = torch.from_numpy(photographs.astronaut()[::4, ::4].copy()).permute(2, 0, 1).float() / 255
    lost = torch.rand(16, 16, generator=torch.Generator().manual_seed(0)) < 0.4
    missing = lost.repeat_interleave(8, 0).repeat_interleave(8, 1)
    error = {
        name: (restore_image(model, photograph, missing) - photograph)[:, missing].square().mean().item()
        for name, model in {"et": etviz.load_model("et-small-cifar10"), "mean": VisibleMean()}.items()
    }
    assert error["et"] < 0.8 * error["mean"]


@pytest.mark.parametrize(
    ("image", "missing", "options", "message"),
    [
        (torch.rand(1, 32, 32), hole(32, 32, 3, 3), {}, "shape (3, H, W), not (1, 32, 32)"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), hole(32, 32, 3, 3), {}, "divide uint8 by 255"),
        (torch.rand(3, 32, 32), hole(32, 31, 3, 3), {}, "bool of shape (32, 32)"),
        (torch.rand(3, 32, 32), torch.zeros(32, 32, dtype=torch.bool), {}, "there is nothing to restore"),
        (torch.rand(3, 32, 32), torch.ones(32, 32, dtype=torch.bool), {}, "leave some visible"),
        (
            torch.rand(3, 32, 32),
            hole(32, 32, slice(None, None, 4), slice(None, None, 4)),
            {},
            "leave some patches whole",
        ),
        (torch.rand(3, 32, 32), hole(32, 32, 3, 3), {"overlap": 18}, "overlap must be 16 to 28 pixels in steps of 4"),
        (torch.rand(3, 32, 32), hole(32, 32, 3, 3), {"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_what_cannot_be_restored_is_refused_in_a_sentence(tiny, image, missing, options, message):
    with pytest.raises(UsageError) as error:
        restore_image(tiny, image, missing, **options)
    assert message in str(error.value)


def test_steps_are_for_models_that_descend():
    with pytest.raises(UsageError, match="descends no energy"):
        restore_image(VisibleMean(), torch.rand(3, 32, 32), hole(32, 32, 3, 3), steps=3)


# ---- denoising ---------------------------------------------------------------------------------------------------


def test_the_blend_is_the_best_of_all_averages():
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(3, 200, 200, generator=generator)
    noisy, predicted = (clean + scale * torch.randn(clean.shape, generator=generator) for scale in (0.2, 0.1))
    error = lambda image: (image - clean).square().mean().item()  # noqa: E731 - one line
    found = error(blend_by_noise(noisy, predicted, 0.2))
    best = min(error(torch.lerp(noisy, predicted, share)) for share in torch.linspace(0, 1, 101).tolist())
    assert found == pytest.approx(0.2**2 * 0.1**2 / (0.2**2 + 0.1**2), rel=0.03)
    assert found == pytest.approx(best, rel=0.01)


def test_denoising_a_picture_of_one_colour_leaves_almost_nothing_of_the_noise():
    clean = torch.full((3, 48, 40), 0.5)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    found = denoise_image(VisibleMean(), noisy, 0.1)
    assert (found - clean).square().mean() < 0.05 * 0.1**2
    assert torch.equal(found, denoise_image(VisibleMean(), noisy, 0.1))
    assert not torch.equal(found, denoise_image(VisibleMean(), noisy, 0.1, seed=1))


def test_little_noise_changes_little(tiny):
    image = noise_image(40, 40)
    assert (denoise_image(tiny, image, 0.001) - image).abs().max() < 0.001


# ---- the command -------------------------------------------------------------------------------------------------


def save(path, height=40, width=44, mode="RGB", seed=0, **options):
    pixels = (noise_image(height, width, seed) * 255).to(torch.uint8).permute(1, 2, 0).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return np.asarray(Image.open(path))


def save_mask(path, height=40, width=44):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = hole(height, width, slice(10, 20), slice(12, 24))
    Image.fromarray(mask.numpy().astype(np.uint8) * 255).save(path)
    return mask.numpy()


@pytest.fixture
def call(runs, capsys):
    def calling(*arguments):
        main([f"checkpoint={runs}", *map(str, arguments)])
        return capsys.readouterr().out.split()

    return calling


def test_a_picture_and_its_mask(call, tmp_path, tiny):
    given, mask = save(tmp_path / "in.png"), save_mask(tmp_path / "mask.png")
    printed = call(tmp_path / "in.png", tmp_path / "new" / "out.png", "--mask", tmp_path / "mask.png")
    found = np.asarray(Image.open(tmp_path / "new" / "out.png"))
    assert printed == [str(tmp_path / "new" / "out.png")]
    assert (found[~mask] == given[~mask]).all()
    image = torch.from_numpy(given.copy()).permute(2, 0, 1) / 255
    expected = restore_image(tiny, image, torch.from_numpy(mask)).permute(1, 2, 0).numpy() * 255
    assert np.abs(found - expected).max() <= 0.5 + 1e-3


def test_transparency_is_a_mask(call, tmp_path):
    given, mask = save(tmp_path / "in.png"), save_mask(tmp_path / "mask.png")
    alpha = np.where(mask, 0, 255).astype(np.uint8)
    Image.fromarray(np.dstack([given, alpha])).save(tmp_path / "cut.png")
    call(tmp_path / "in.png", tmp_path / "masked.png", f"--mask={tmp_path / 'mask.png'}")
    call(tmp_path / "cut.png", tmp_path / "cut-out.png")
    found = [np.asarray(Image.open(tmp_path / name)) for name in ("masked.png", "cut-out.png")]
    assert found[1].shape == given.shape
    assert (found[0] == found[1]).all()


def test_a_folder_with_masks_of_the_same_names(call, tmp_path):
    given = {name: save(tmp_path / "in" / name, seed=i) for i, name in enumerate(("a.png", "sub/b.webp"))}
    masks = [save_mask(tmp_path / "masks" / name) for name in ("a.png", "sub/b.png")]
    printed = call(tmp_path / "in", tmp_path / "out", "--mask", tmp_path / "masks")
    assert printed == [str(tmp_path / "out" / name) for name in ("a.png", "sub/b.png")]
    for path, pixels, mask in zip(printed, given.values(), masks, strict=True):
        assert (np.asarray(Image.open(path))[~mask] == pixels[~mask]).all()


def test_a_bad_picture_in_a_folder_stops_no_other(call, tmp_path, capsys):
    for name in ("a.png", "c.png"):
        save(tmp_path / "in" / name)
        save_mask(tmp_path / "masks" / name)
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match="1 of 3 pictures could not be restored"):
        call(tmp_path / "in", tmp_path / "out", "--mask", tmp_path / "masks")
    assert "b.png' cannot be read as a picture" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_nothing_is_replaced_unless_that_is_wished(call, tmp_path):
    save(tmp_path / "in.png")
    save_mask(tmp_path / "mask.png")
    (tmp_path / "out.png").write_bytes(b"precious")
    with pytest.raises(UsageError, match="is there already: choose another name, or replace it by --force"):
        call(tmp_path / "in.png", tmp_path / "out.png", "--mask", tmp_path / "mask.png")
    assert (tmp_path / "out.png").read_bytes() == b"precious"
    call(tmp_path / "in.png", tmp_path / "out.png", "--mask", tmp_path / "mask.png", "--force")
    assert Image.open(tmp_path / "out.png").size == (44, 40)


def test_pictures_are_turned_upright_and_greys_stay_grey(call, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    given = save(tmp_path / "in.png", 44, 40, mode="L", exif=exif)
    save_mask(tmp_path / "mask.png")
    call(tmp_path / "in.png", tmp_path / "out.png", "--mask", tmp_path / "mask.png")
    found = Image.open(tmp_path / "out.png")
    assert found.mode == "L"
    assert found.size == (44, 40)
    mask = read_mask(tmp_path / "mask.png").numpy()
    assert (np.asarray(found)[~mask] == np.rot90(given, -1)[~mask]).all()


def test_names_are_literal(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for source, mask, target in (
        ("photo,final.png", "[mask].png", "2024_01_15.png"),
        ("a=b.png", "m=1, n=2.png", "'out'.png"),
        ("null", "${mask}.png", "1e3/"),
    ):
        save(tmp_path / "in.png")
        Path("in.png").rename(source)
        save_mask(tmp_path / mask)
        printed = call(source, target, "--mask", mask)
        assert printed == [f"{target}{source}.png" if target.endswith("/") else target]
        assert Path(printed[0]).is_file()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp"])
def test_a_colour_profile_is_kept_where_there_is_room_for_one(call, tmp_path, suffix):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save(tmp_path / "in.png", icc_profile=profile)
    save_mask(tmp_path / "mask.png")
    call(tmp_path / "in.png", tmp_path / f"out{suffix}", "--mask", tmp_path / "mask.png")
    assert Image.open(tmp_path / f"out{suffix}").info.get("icc_profile") == (None if suffix == ".bmp" else profile)


def test_16_bit_greys_are_brought_down_to_8(call, tmp_path):
    given, mask = save(tmp_path / "in.png", mode="L"), save_mask(tmp_path / "mask.png")
    Image.fromarray(given.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    call(tmp_path / "deep.png", tmp_path / "out.png", "--mask", tmp_path / "mask.png")
    found = Image.open(tmp_path / "out.png")
    assert found.mode == "L"
    assert (np.asarray(found)[~mask] == given[~mask]).all()


MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "LAB", "I;16", "I;16B", "I", "F"]  # that files can have


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".bmp"])
@pytest.mark.parametrize("mode", MODES)
def test_no_given_pixel_changes_in_any_mode(call, tmp_path, mode, suffix):
    """What is written equals what any program sees of the picture, but for what was missing."""
    mask = save_mask(tmp_path / "mask.png")
    picture = of_mode(mode, noise_image(40, 44))
    picture.save(tmp_path / "in.tif")
    assert Image.open(tmp_path / "in.tif").mode == mode
    call(tmp_path / "in.tif", tmp_path / f"out{suffix}", "--mask", tmp_path / "mask.png")
    seen, found = seen_by_others(picture), np.asarray(Image.open(tmp_path / f"out{suffix}").convert("RGB"))
    assert (found[~mask] == seen[~mask]).all()
    assert (found[mask] != seen[mask]).any()


def of_mode(mode, image):
    pixels = (image * 255).to(torch.uint8).permute(1, 2, 0).numpy()
    grey = pixels[..., 0]
    wide = {
        "I;16": lambda: Image.fromarray(grey.astype(np.uint16) * 257),
        "I;16B": lambda: Image.frombytes("I;16B", (44, 40), (grey.astype(">u2") * 257).astype(">u2").tobytes()),
        "I": lambda: Image.fromarray(grey.astype(np.int32) * 257),
        "F": lambda: Image.fromarray(grey.astype(np.float32) / 255),
        "PA": lambda: Image.fromarray(pixels).convert("L").convert("PA"),
        "LAB": lambda: converted_by_colour(Image.fromarray(pixels), "sRGB", "LAB"),
    }
    return wide[mode]() if mode in wide else Image.fromarray(pixels).convert(mode)


def converted_by_colour(picture, of, to):
    profiles = ImageCms.createProfile(of), ImageCms.createProfile(to)
    return ImageCms.profileToProfile(picture, *profiles, outputMode="LAB" if to == "LAB" else "RGB")


def seen_by_others(picture):
    if picture.mode.startswith("I") or picture.mode == "F":
        grey = np.asarray(picture) * 255.0 if picture.mode == "F" else np.asarray(picture) / 257
        return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)
    return np.asarray(converted_by_colour(picture, "LAB", "sRGB") if picture.mode == "LAB" else picture.convert("RGB"))


@forall(st.integers(0, 2**32 - 1), st.sampled_from(["LA", "RGBA"]), st.sampled_from([".png", ".webp", ".tif"]))
@settings(max_examples=15, deadline=None)
def test_no_given_pixel_changes_in_a_transparent_picture(runs, tmp_path_factory, seed, mode, suffix):
    """Given is what is at least half opaque; its transparency stays too."""
    folder = tmp_path_factory.mktemp("clear")
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (40, 44, len(mode)), dtype=np.uint8)
    pixels[:16, :16, -1] = 255  # so that some patches are whole
    Image.fromarray(pixels).save(folder / "in.png")
    main([f"checkpoint={runs}", str(folder / "in.png"), str(folder / f"out{suffix}")])
    found = np.asarray(Image.open(folder / f"out{suffix}").convert("RGBA"))
    expected = np.asarray(Image.fromarray(pixels).convert("RGBA"))
    given = pixels[..., -1] >= 128
    assert (found[given] == expected[given]).all()
    assert (found[~given, 3] == 255).all()


def test_what_is_half_transparent_is_not_written_where_it_cannot_be_kept(call, tmp_path):
    pixels = np.full((40, 44, 4), 200, np.uint8)
    pixels[10:20, 10:20, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "in.png")
    for suffix in (".jpg", ".bmp"):
        with pytest.raises(UsageError, match="cannot keep what is half transparent: write a PNG, WebP or TIFF"):
            call(tmp_path / "in.png", tmp_path / f"out{suffix}")
        assert not (tmp_path / f"out{suffix}").exists()


def test_denoising_keeps_transparency(call, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 44, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    call(tmp_path / "in.png", tmp_path / "out.png", "noise=0.2", "rounds=1")
    assert (np.asarray(Image.open(tmp_path / "out.png"))[..., 3] == pixels[..., 3]).all()


@pytest.mark.parametrize("rows", [slice(0, 3), slice(50, 61), slice(97, 131), slice(0, 131)])
@pytest.mark.parametrize("overlap", [16, 24])
def test_only_what_surrounds_the_hole_is_looked_at_and_that_changes_nothing(tiny, monkeypatch, rows, overlap):
    image = noise_image(131, 150)
    mask = hole(131, 150, rows, slice(60, 71))
    part = restore_image(tiny, image, mask, overlap=overlap)
    monkeypatch.setattr(restoration, "_box", lambda *arguments: (slice(None), slice(None)))
    assert torch.equal(part, restore_image(tiny, image, mask, overlap=overlap))


def test_too_many_pixels_at_once_are_refused(tiny, monkeypatch):
    monkeypatch.setattr(restoration, "MOST_FLOATS", 10_000)
    pixels = torch.zeros(3, 200, 200, dtype=torch.uint8)
    small, wide = hole(200, 200, slice(90, 95), slice(90, 95)), hole(200, 200, slice(2, 190), slice(5, 6))
    wide[100, 190] = True
    assert restoration.restore_pixels(tiny, pixels, small).shape == pixels.shape
    with pytest.raises(UsageError, match="40,000 pixels would be held as floats, and 10,000 is the most"):
        restoration.restore_pixels(tiny, pixels, wide)


def test_a_mask_that_is_white_on_transparent(call, tmp_path):
    save(tmp_path / "in.png")
    mask = np.zeros((40, 44, 4), np.uint8)
    mask[10:20, 12:24] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    with pytest.raises(UsageError, match=r"since what is transparent counts as missing, .*opaque black background"):
        call(tmp_path / "in.png", tmp_path / "out.png", "--mask", tmp_path / "mask.png")


def test_a_deep_mask_is_not_white_where_it_is_dark(call, tmp_path):
    given = save(tmp_path / "in.png")
    mask = np.full((40, 44), 512, np.uint16)
    mask[10:20, 12:24] = 65_535
    Image.fromarray(mask).save(tmp_path / "mask.png")
    call(tmp_path / "in.png", tmp_path / "out.png", "--mask", tmp_path / "mask.png")
    assert (np.asarray(Image.open(tmp_path / "out.png"))[mask == 512] == given[mask == 512]).all()


def test_one_mask_for_a_whole_folder(call, tmp_path):
    given = [save(tmp_path / "in" / name, seed=i) for i, name in enumerate(("a.png", "sub/b.png"))]
    mask = save_mask(tmp_path / "mask.png")
    printed = call(tmp_path / "in", tmp_path / "out", "--mask", tmp_path / "mask.png")
    for path, pixels in zip(printed, given, strict=True):
        assert (np.asarray(Image.open(path))[~mask] == pixels[~mask]).all()


def test_masks_have_any_suffix_in_any_case_and_may_lie_in_the_folder(call, tmp_path):
    for name, mask in (("IMG_01.JPG", "IMG_01.PNG"), ("x.y.jpeg", "x.y.Tif"), ("b.gif", "b.bmp")):
        save(tmp_path / "in" / name)
        save_mask(tmp_path / "in" / "masks" / mask)
    printed = call(tmp_path / "in", tmp_path / "out", "--mask", tmp_path / "in" / "masks")
    assert [Path(path).name for path in printed] == ["IMG_01.png", "b.png", "x.y.png"]
    save_mask(tmp_path / "in" / "masks" / "b.png")
    with pytest.raises(UsageError, match=r"b.bmp' and '.*b.png' are both masks of b: remove one"):
        call(tmp_path / "in", tmp_path / "out", "--mask", tmp_path / "in" / "masks", "--force")


def test_hidden_files_are_not_restored(call, tmp_path):
    save(tmp_path / "in" / "a.png")
    for name in ("._a.png", ".ipynb_checkpoints/a-checkpoint.png", "__MACOSX/._a.png"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"\0\5\x16\7")
    save_mask(tmp_path / "mask.png")
    assert call(tmp_path / "in", tmp_path / "out", "--mask", tmp_path / "mask.png") == [str(tmp_path / "out" / "a.png")]


@pytest.mark.parametrize(
    "name",
    [
        *("photo,final.png", "o=1.png", "a b.png", "[a].png", "2024_01_15.png", "1e5.png", "null.png", "$x.png"),
        *("${x}.png", "~.png", "it's.png", "{a: 1}.png", "#a.png", "a;b.png", "*.png", "%.png", "n\u00e4h.png"),
    ],
)
def test_any_name_is_read_and_written(call, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    save_mask(tmp_path / f"mask {name}")
    save(Path(name))
    call(name, f"new {name}", "--mask", f"mask {name}")
    Path(name).unlink()
    call(f"new {name}", name, "--mask", f"mask {name}")
    assert Path(name).is_file()


def test_names_after_two_dashes(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "--force", format="PNG")
    save_mask(tmp_path / "mask.png")
    call("--mask", "mask.png", "--", "--force", "seed=1.png")
    assert Path("seed=1.png").is_file()


def test_a_name_that_is_like_an_option_is_an_option(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "in.png")
    with pytest.raises(UsageError, match="What is OUT"):
        call("in.png", "noize=0.1")
    with pytest.raises(UsageError, match="There is no option 'zzz'"):
        call("in.png", "out.png", "zzz=0.1")
    with pytest.raises(UsageError, match=r"There is no picture 'a=b\.png'"):
        call("a=b.png", "o.png")


def test_two_files_that_are_there_are_both_told_of(call, tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / "in" / name)
        save(tmp_path / "out" / name)
    with pytest.raises(UsageError, match=r"a.png' is there already, and so are 2 more: "):
        call(tmp_path / "in", tmp_path / "out")
    (tmp_path / "out" / "b.png").unlink()
    with pytest.raises(UsageError, match=r"a.png' is there already, and so is 1 more: "):
        call(tmp_path / "in", tmp_path / "out")


def test_denoising(call, tmp_path, tiny):
    save(tmp_path / "in.png")
    call(tmp_path / "in.png", tmp_path / "out.png", "noise=0.2", "rounds=1")
    expected = denoise_image(tiny, read_image(tmp_path / "in.png").image, 0.2, rounds=1).clamp(0, 1)
    assert (read_image(tmp_path / "out.png").image - expected).abs().max() <= 0.5 / 255 + 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in.png"], "What is OUT? Name both: python -m etviz.restore IN OUT --mask MASK.png."),
        ([], "What is IN and OUT? Name both"),
        (
            ["in.png", "out.png", "--mask", "full.png"],
            "'in.png' cannot be restored: The mask marks every pixel as missing",
        ),
        (["in.png", "out.png"], "is marked as missing: give a mask that is white there"),
        (["in.png", "out.gif", "--mask", "mask.png"], "has no picture's suffix"),
        (["in.png", "out.png", "--mask"], "--mask takes a name"),
        (["in.png", "out.png", "more.png"], "one name too many, 'more.png'"),
        (["gone.png", "out.png", "--mask", "mask.png"], "There is no picture 'gone.png'."),
        (["in.png", "out.png", "--mask", "gone.png"], "There is no mask 'gone.png'"),
        (["in.png", "out.png", "--mask", "small.png"], "is of 8x8 pixels, and in.png of 44x40."),
        (["text.png", "out.png", "--mask", "mask.png"], "'text.png' cannot be read as a picture"),
        (["in.png", "out.png", "--mask", "mask.png", "noise=0.1"], "either completed by a mask or denoised"),
        (["in.png", "out.png", "noise=-1"], "noise must be above 0"),
        ([".", "out", "--mask", "mask.png"], "lies in the folder to restore"),
        (["empty", "out"], "'empty' holds no pictures"),
        (["twins", "out"], "'a.bmp' and 'a.png' would both become 'a.png'."),
    ],
)
def test_what_the_command_refuses(call, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "in.png")
    save_mask(tmp_path / "mask.png")
    Image.new("L", (8, 8), "white").save("small.png")
    Image.new("L", (44, 40), "white").save("full.png")
    (tmp_path / "text.png").write_text("words")
    (tmp_path / "empty").mkdir()
    for name in ("a.bmp", "a.png"):
        save(tmp_path / "twins" / name)
    with pytest.raises(UsageError) as error:
        call(*arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out.png").exists()
