"""What the first view asks for: pages of pictures, and metrics beside the floors."""

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio
from skimage.restoration import inpaint_biharmonic
from torchmetrics.image import StructuralSimilarityIndexMeasure

import etviz
from etviz.checkpoints import save_checkpoint
from etviz.inpainting import mean_fill
from etviz.ui.payload import decode_pixels
from etviz.ui.readings import quality
from etviz.ui.service import Service
from tests.conftest import TINY

MASK = "ffffff0f0ffffffe"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """An untrained model, and 30 random pictures of three classes."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    save_checkpoint(etviz.create_model("et", **TINY).eval(), folder / "tiny", {})
    images = np.random.default_rng(0).integers(0, 255, (30, 32, 32, 3), dtype=np.uint8)
    labels = np.repeat([0, 1, 3], [15, 14, 1])
    split = dict(train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    for name in ("cifar10", "cifar100"):
        np.savez(folder / f"{name}.npz", **split)
    return Service(str(folder / "tiny"), root=str(folder))


# ---- pictures to choose from -------------------------------------------------------------------------------------


def gallery(service, **changes):
    return service.ask({"kind": "gallery", "model": "tiny", "dataset": "cifar10", "label": None, "page": 0, **changes})


def test_pages_hold_every_picture_once(service):
    pages = [gallery(service, page=page) for page in range(3)]
    assert [len(page["thumbs"]) for page in pages] == [12, 12, 6]
    assert sorted(thumb["index"] for page in pages for thumb in page["thumbs"]) == list(range(30))
    assert [thumb["index"] for thumb in pages[0]["thumbs"]][:5] == [0, 15, 29, 1, 16]  # the classes take turns
    assert {(page["pages"], page["count"], page["total"]) for page in pages} == {(3, 30, 30)}


def test_a_class_has_pages_of_its_own(service):
    page = gallery(service, label="automobile", page=1)
    assert [thumb["index"] for thumb in page["thumbs"]] == [27, 28]
    assert (page["pages"], page["count"], page["classes"]) == (2, 14, ["airplane", "automobile", "cat"])
    assert {thumb["caption"].split(": ")[1] for thumb in page["thumbs"]} == {"automobile"}


def test_a_thumbnail_is_the_picture(service):
    thumb = gallery(service)["thumbs"][1]
    assert torch.equal(decode_pixels(thumb["image"], 32), service.pictures("cifar10", 32).images[15])


def test_both_cifars_are_offered_where_both_are_found(service):
    titles = [entry["title"] for entry in service.start()["datasets"]]
    assert titles == ["CIFAR-10", "CIFAR-100"]
    assert "apple" in gallery(service, dataset="cifar100")["classes"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": "unicorn"}, "no class"),
        ({"label": ["cat"]}, "no class"),
        ({"page": 3}, "choose 0 to 2"),
        ({"page": -1}, "no page"),
        ({"page": "0"}, "no page"),
        ({"page": None}, "no page"),
        ({"dataset": "../etc"}, "no pictures of"),
        ({"model": "none"}, "no model"),
    ],
)
def test_a_wrong_page_is_one_sentence(service, changes, words):
    with pytest.raises(etviz.UsageError, match=words):
        gallery(service, **changes)


# ---- metrics beside the floors -----------------------------------------------------------------------------------


def ask_quality(service, **changes):
    picture = {"dataset": "cifar10", "index": 3}
    return service.ask({"kind": "quality", "model": "tiny", "picture": picture, "mask": MASK, **changes})


def measured(image, picture, hidden):
    """{mse, psnr, ssim} of (3, 32, 32) arrays by scikit-image and torchmetrics' module."""
    at = np.broadcast_to(hidden, image.shape)
    ssim = StructuralSimilarityIndexMeasure(data_range=1.0)
    return {
        "mse": pytest.approx(mean_squared_error(image[at], picture[at]), rel=1e-4),
        "psnr": pytest.approx(peak_signal_noise_ratio(image[at], picture[at], data_range=1), abs=1e-3),
        "ssim": pytest.approx(ssim(torch.tensor(picture)[None], torch.tensor(image)[None]).item(), abs=1e-4),
    }


def test_quality_equals_an_independent_computation(service):
    cv2 = pytest.importorskip("cv2", reason="the app's extra is not installed")
    answer = ask_quality(service)
    pixels = service.pictures("cifar10", 32).images[3]
    image = pixels.numpy().astype(np.float32) / 255
    hidden = np.kron(etviz.mask_from_hex(MASK).numpy().reshape(8, 8), np.ones((4, 4))).astype(bool)
    mean = np.where(hidden, image[:, ~hidden].mean(1)[:, None, None], image)
    filled = {"visible mean": mean.astype(np.float32)}
    blank = np.where(hidden, 128, pixels.numpy()).astype(np.uint8).transpose(1, 2, 0)
    for name, method in (("Navier-Stokes", cv2.INPAINT_NS), ("Telea", cv2.INPAINT_TELEA)):
        found = cv2.inpaint(np.ascontiguousarray(blank), hidden.astype(np.uint8), 3, method)
        filled[name] = found.transpose(2, 0, 1).astype(np.float32) / 255
    smooth = inpaint_biharmonic(np.where(hidden, 0, image), hidden, channel_axis=0)
    filled["biharmonic"] = smooth.clip(0, 1).astype(np.float32)
    at = np.broadcast_to(hidden, image.shape)
    others = [name for name in filled if name != "visible mean"]
    best = min(others, key=lambda name: np.square(filled[name] - image)[at].mean())
    for key, name in (("mean_fill", "visible mean"), ("best_fill", best)):
        assert answer[key] == {"name": name} | measured(image, filled[name], hidden)
    frames = service.model("tiny").trace(torch.tensor(image)[None], etviz.mask_from_hex(MASK)).frames[0].numpy()
    assert len(answer["ssim"]) == len(frames) == TINY["steps"] + 1
    for value, frame in zip(answer["ssim"], frames, strict=True):
        assert value == measured(image, np.where(hidden, frame, image), hidden)["ssim"]


def test_the_best_fill_is_that_of_the_picture():
    """A curved surface is continued best by biharmonic inpainting, and noise worst: nothing is as good as the mean."""
    mask = etviz.random_mask(1, 0.25, generator=torch.Generator().manual_seed(0))
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 32)] * 2, indexing="ij")
    surface = (0.5 + 0.2 * (y * y + x)).expand(1, 3, -1, -1)
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert quality.floors_of(surface, mask)["best_fill"]["name"] == "biharmonic"
    found = quality.floors_of(noise, mask)
    assert found["best_fill"]["name"] not in ("biharmonic", "visible mean")
    assert found["best_fill"]["mse"] > found["mean_fill"]["mse"]


def test_nothing_hidden_has_no_masked_error_and_a_perfect_ssim(service):
    answer = ask_quality(service, mask="0" * 16)
    for fill in (answer["mean_fill"], answer["best_fill"]):
        assert fill["mse"] is fill["psnr"] is None
    assert answer["ssim"] == pytest.approx([1.0] * (TINY["steps"] + 1))


def test_floors_are_computed_once_whatever_the_settings(service, monkeypatch):
    fills = []
    monkeypatch.setitem(quality.FLOORS, "visible mean", lambda image, mask: fills.append(1) or mean_fill(image, mask))
    for steps in (2, 3, 4):
        ask_quality(service, mask="0123456789abcdef", settings={"steps": steps})
    assert len(fills) == 1
    ask_quality(service, mask="fedcba9876543210")
    assert len(fills) == 2


def test_a_wrong_request_is_one_sentence(service):
    with pytest.raises(etviz.UsageError, match="hexadecimal"):
        ask_quality(service, mask="xyz")
