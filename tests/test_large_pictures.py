"""Models of large pictures: what is sent of them, the first steps before the rest, and pictures of other sizes."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

import etviz
from etviz.checkpoints import save_checkpoint
from etviz.examples import Pictures
from etviz.ui.limits import LIMITS
from etviz.ui.payload import SENT_BYTES, encode_pixels, encode_sheet, raw_pixels, to_bytes
from etviz.ui.service import Service

SIZES = dict(embed_dim=32, num_heads=2, head_dim=16, step_size=0.1, init_scale=0.1)
LARGE = dict(img_size=224, patch_size=16)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service with a model of 32 pixels and one of 224, untrained, and no dataset."""
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    for name, sizes in (("small", {}), ("large", LARGE)):
        model = etviz.create_model("et", **SIZES, **sizes).eval()
        with torch.no_grad():
            model.decoder[1].weight.mul_(0.05)  # noise of full contrast would be no picture to compress
        save_checkpoint(model, folder / name, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETVIZ_CHECKPOINTS", str(folder))
        yield Service("small", "cifar10", str(folder))


def question(**changes):
    picture = {"dataset": "scikit-image", "index": 1}
    return {"seq": 1, "model": "large", "picture": picture, "mask": "f" * 20 + "0" * 29} | changes


def unpacked(sheet):
    """The pictures of a sheet, (n, 3, S, S) uint8, in plain NumPy."""
    image = np.array(Image.open(io.BytesIO(base64.b64decode(sheet["webp"]))).convert("RGB"))
    size = sheet["size"]
    places = [divmod(i, sheet["columns"]) for i in range(sheet["count"])]
    tiles = [image[r * size : (r + 1) * size, c * size : (c + 1) * size] for r, c in places]
    return torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("count", [1, 2, 5, 13])
def test_a_sheet_holds_every_picture_in_order(count):
    images = torch.randint(0, 256, (count, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sheet = encode_sheet(images)
    assert sheet["lossless"]
    assert torch.equal(unpacked(sheet), images)


def test_what_does_not_fit_is_compressed_until_it_does():
    noise = torch.randint(0, 256, (20, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sheet = encode_sheet(noise, share=0.25)
    assert not sheet["lossless"]
    assert len(base64.b64decode(sheet["webp"])) <= SENT_BYTES / 4
    smooth = torch.linspace(0, 255, 224).to(torch.uint8).expand(20, 3, 224, 224)
    assert (unpacked(encode_sheet(smooth)).int() - smooth.int()).abs().max() <= 4


def test_small_pictures_are_sent_as_their_bytes():
    assert encode_pixels(torch.zeros(13, 3, 32, 32, dtype=torch.uint8)) == raw_pixels(
        torch.zeros(13, 3, 32, 32, dtype=torch.uint8)
    )


def test_a_descent_of_large_pictures_is_sent_to_the_bit(service):
    answer = service.ask(question())
    request = service.read_request(question())
    assert answer["exact"]
    assert torch.equal(unpacked(answer["image"])[0], to_bytes(request.image))
    assert torch.equal(unpacked(answer["frames"]), to_bytes(request.compute_trace().frames[0]))


@pytest.mark.parametrize("settings", [{"steps": 60}, {}])
@pytest.mark.parametrize("kind", ["trace", "memories", "attention", "compare", "epochs"])
def test_no_answer_exceeds_three_megabytes(service, kind, settings):
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    picture = {"pixels": base64.b64encode(noise.tobytes()).decode(), "name": "noise.png"}
    columns = [{"model": "large", "mask": "f" * 49, "settings": settings}] * 4
    more = {"compare": {"columns": columns}, "epochs": {"run": "large"}, "attention": {"patch": 5}}.get(kind, {})
    answer = service.ask(question(kind=kind, picture=picture, settings=settings, **more))
    assert "error" not in answer
    assert len(json.dumps(answer)) < 3_000_000


# ---- the first steps ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"rule": "sphere"}, {"rule": "backtracking", "step_size": 5.0}, {"steps": 3}])
def test_the_first_steps_come_first_and_the_rest_goes_on_from_them(service, settings):
    asked = question(picture={"dataset": "scikit-image", "index": 2}, settings=settings)
    first = service.ask(asked | {"kind": "first_steps"})
    assert first["step"] == LIMITS.first_steps
    request = service.read_request(asked)
    whole, joined = request.compute_trace(), service.trace(request)
    assert torch.equal(unpacked(first["frame"])[0], to_bytes(whole.frames[0, first["step"]]))
    for name in ("frames", "energy", "attention_energy", "hopfield_energy", "tokens", "step_sizes", "stationarity"):
        assert torch.equal(getattr(joined, name), getattr(whole, name)), name
    assert (joined.settings, joined.block.tolist()) == (whole.settings, whole.block.tolist())


@pytest.mark.parametrize("settings", [{"steps": 1}, {"settle": True, "rule": "sphere"}])
def test_there_are_none_where_nothing_is_gained(service, settings):
    assert service.ask(question(kind="first_steps", settings=settings)) == {"seq": 1}


def test_there_are_none_once_the_descent_is_there(service):
    service.ask(question(mask="0" * 48 + "f"))
    assert service.ask(question(mask="0" * 48 + "f", kind="first_steps")) == {"seq": 1}


# ---- pictures of other sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "words"), [(32, "enlarged from 32x32 to 224x224"), (300, "shrunk from 300x300")])
def test_an_upload_in_another_models_size_is_resized_and_says_so(service, side, words):
    pixels = raw_pixels(torch.full((3, side, side), 200, dtype=torch.uint8))
    answer = service.ask(question(picture={"pixels": pixels, "name": "mine.png"}))
    assert words in answer["caption"]
    assert (unpacked(answer["image"]) == 200).all()


def test_small_pictures_are_enlarged_one_by_one():
    small = torch.randint(0, 256, (10, 3, 32, 32), dtype=torch.uint8)
    pictures = Pictures(small, ["cat"] * 10, "CIFAR-10 test image", enlarged=224)
    assert (len(pictures), pictures.at([3, 4]).shape) == (10, (2, 3, 224, 224))
    assert pictures.caption(3) == "CIFAR-10 test image 3: cat, enlarged from 32x32"


def test_thumbnails_stay_small(service):
    gallery = service.ask({"kind": "gallery", "model": "large", "dataset": "scikit-image", "page": 0})
    assert all(len(base64.b64decode(thumb["image"])) <= 3 * 64 * 64 for thumb in gallery["thumbs"])


def test_the_page_begins_with_small_pictures_enlarged_for_a_large_model(tmp_path):
    images, labels = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), np.uint8), np.arange(10)
    splits = {
        f"{split}_{part}": data
        for split in ("train", "test")
        for part, data in (("images", images), ("labels", labels))
    }
    np.savez(tmp_path / "cifar10.npz", **splits)
    save_checkpoint(etviz.create_model("et", **SIZES, img_size=64), tmp_path / "large", {})
    start = Service(str(tmp_path / "large"), "cifar10", root=str(tmp_path)).start()
    assert start["answer"]["size"] == 64
    assert "enlarged from 32x32" in start["answer"]["caption"]
