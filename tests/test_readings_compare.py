"""What the page compares, against the models asked directly."""

import math

import pytest
import torch

import etviz
from etviz.checkpoints import save_checkpoint, save_snapshot
from etviz.metrics import masked_mse, masked_psnr, ssim
from etviz.models import MODELS, MaskedImageModel

pytest.importorskip("skimage", reason="the app's extra is not installed")

from etviz.examples import CARRIED_GALLERY
from etviz.ui.limits import Limits
from etviz.ui.payload import to_bytes
from etviz.ui.service import Service
from tests.conftest import TINY, TINY_ASYM
from tests.test_app import pixels_of

MASK, COARSE_MASK = "ffffff0f0ffffffe", "f0f1"
PICTURE = {"dataset": CARRIED_GALLERY, "index": 1}
STEPS = TINY["steps"]


class Grey(MaskedImageModel):
    """Rebuilds every picture as grey, at once: a model without an energy."""

    def __init__(self, *, img_size: int = 32, patch_size: int = 4):
        super().__init__(img_size, patch_size, 3, (0.5,) * 3, (1.0,) * 3)
        self.level = torch.nn.Parameter(torch.zeros(1))

    def predict_patches(self, images, mask, num_hidden=None):
        return self.level.expand(len(images), self.num_patches, self.patch_dim)


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    return {
        "tiny": etviz.create_model("et", **TINY).eval(),
        "early": etviz.create_model("et", **TINY).eval(),
        "coarse": etviz.create_model("et", **TINY, patch_size=8).eval(),
        "large": etviz.create_model("et", **TINY, img_size=64, patch_size=8).eval(),
    }


@pytest.fixture
def service(models, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "grey", Grey)
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("ETVIZ_RUNS", str(tmp_path / "outputs"))
    for name in ("tiny", "coarse", "large"):
        save_checkpoint(models[name], tmp_path / "checkpoints" / name, {})
    save_snapshot(models["early"], tmp_path / "checkpoints" / "tiny", 1, 0.1, 64)
    save_checkpoint(etviz.create_model("grey"), tmp_path / "outputs" / "grey", {})
    return Service("tiny", root=str(tmp_path))


def compare(service, *columns, picture=PICTURE):
    columns = [{"model": "tiny", "mask": MASK, **column} for column in columns]
    return service.ask({"kind": "compare", "picture": picture, "columns": columns})["columns"]


def image_of(service, size=32):
    return service.pictures(CARRIED_GALLERY, size).images[1].float() / 255


def test_a_column_equals_the_python_api(service, models):
    (column,) = compare(service, {"settings": {"step_size": 0.05, "beta": 0.5}})
    image, mask = image_of(service), etviz.mask_from_hex(MASK)
    trace = models["tiny"].trace(image[None], mask, step_size=0.05, beta=0.5)
    assert column["energy"] == pytest.approx(trace.energy[0].tolist(), rel=1e-5)
    frames = pixels_of(column["frames"], STEPS + 1)
    assert (frames.int() - to_bytes(trace.frames[0]).int()).abs().max() <= 1
    assert column["mask"] == MASK
    for step in (0, STEPS):
        frame = trace.frames[:, step]
        assert column["mse"][step] == pytest.approx(masked_mse(image[None], frame, mask).item(), rel=1e-4)
        assert column["psnr"][step] == pytest.approx(masked_psnr(image[None], frame, mask).item(), rel=1e-4)
        whole = etviz.complete(image[None], frame, mask)
        assert column["ssim"][step] == pytest.approx(ssim(image[None], whole).item(), abs=1e-4)
    assert column["milliseconds"] > 0


def test_rises_are_the_steps_that_raised_the_energy(service, models, monkeypatch):
    def raised(*images_and_mask, **settings):
        trace = models["tiny"].trace(*images_and_mask, **settings)
        trace.energy[0, 2] += 1e6
        return trace

    monkeypatch.setattr(service.model("tiny"), "trace", raised)
    (column,) = compare(service, {})
    assert column["rises"] == [2]
    assert column["energy"][2] > max(column["energy"][1], column["energy"][3])


def test_a_descent_that_runs_away_is_one_sentence(service, models, monkeypatch):
    def lost(*images_and_mask, **settings):
        trace = models["tiny"].trace(*images_and_mask, **settings)
        trace.frames[0, 3] = math.nan
        return trace

    monkeypatch.setattr(service.model("tiny"), "trace", lost)
    assert "smaller step size" in compare(service, {})[0]["error"]


def test_columns_differ_by_snapshot_and_rule(service, models):
    early, backtracking = compare(
        service,
        {"snapshot": "step-00000001.safetensors"},
        {"settings": {"step_size": 300, "rule": "backtracking", "steps": 2}},
    )
    image, mask = image_of(service), etviz.mask_from_hex(MASK)
    assert early["energy"] == pytest.approx(models["early"].trace(image[None], mask).energy[0].tolist(), rel=1e-2)
    assert early["energy"] != pytest.approx(models["tiny"].trace(image[None], mask).energy[0].tolist(), rel=1e-2)
    trace = models["tiny"].trace(image[None], mask, steps=2, step_size=300, rule="backtracking")
    assert backtracking["energy"] == pytest.approx(trace.energy[0].tolist(), rel=1e-5)


def test_a_model_without_an_energy_is_one_picture(service):
    (column,) = compare(service, {"model": "outputs/grey"})
    assert torch.equal(pixels_of(column["frames"], 1), torch.full((1, 3, 32, 32), 128, dtype=torch.uint8))
    assert column["energy"] is None
    assert column["rises"] is None
    image, mask = image_of(service), etviz.mask_from_hex(MASK)
    grey = torch.full_like(image, 0.5)
    assert column["mse"] == pytest.approx([masked_mse(image[None], grey[None], mask).item()])


def test_without_an_energy_nothing_else_is_shown(service):
    question = {"model": "outputs/grey", "picture": PICTURE, "mask": MASK}
    assert "no energy" in service.politely(service.ask, question)["error"]


def test_each_column_has_its_own_grid_and_size(service, models):
    coarse, large = compare(service, {"model": "coarse", "mask": COARSE_MASK}, {"model": "large"})
    image, mask = image_of(service), etviz.mask_from_hex(COARSE_MASK, 16)
    assert coarse["energy"] == pytest.approx(models["coarse"].trace(image[None], mask).energy[0].tolist(), rel=1e-5)
    assert (coarse["size"], large["size"]) == (32, 64)
    assert torch.equal(pixels_of(large["image"], 1, 64)[0], service.pictures(CARRIED_GALLERY, 64).images[1])


def test_a_column_that_fails_leaves_the_others_whole(service, tmp_path):
    weights = tmp_path / "checkpoints" / "coarse" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    found = compare(
        service, {}, {"model": "coarse", "mask": COARSE_MASK}, {"model": "../tiny"}, {"settings": {"beta": 0}}
    )
    assert len(found[0]["energy"]) == STEPS + 1
    for column, words in zip(found[1:], ("truncated", "no model", "beta must lie"), strict=True):
        assert list(column) == ["error"]
        assert words in column["error"]


@pytest.mark.parametrize("columns", [None, [], [{}] * 5, "four", {"a": 1}])
def test_a_wrong_number_of_columns_is_one_sentence(service, columns):
    answer = service.politely(service.ask, {"kind": "compare", "picture": PICTURE, "columns": columns})
    assert "columns can be compared" in answer["error"]


@pytest.mark.parametrize("column", [None, "tiny", {"model": ["tiny"]}, {"model": "tiny", "mask": 5}])
def test_a_wrong_column_is_one_sentence(service, column):
    answer = service.politely(service.ask, {"kind": "compare", "picture": PICTURE, "columns": [column]})
    assert list(answer["columns"][0]) == ["error"]


def test_weights_that_were_written_anew_are_read_anew(service, models, tmp_path):
    (before,) = compare(service, {})
    save_checkpoint(models["early"], tmp_path / "checkpoints" / "tiny", {})
    (after,) = compare(service, {})
    assert before["energy"] != after["energy"]
    trace = models["early"].trace(image_of(service)[None], etviz.mask_from_hex(MASK))
    assert after["energy"] == pytest.approx(trace.energy[0].tolist(), rel=1e-5)
    request = {"model": "tiny", "picture": PICTURE, "mask": MASK}
    assert service.ask(request)["energy"] == pytest.approx(after["energy"], rel=1e-6)  # nor is a trace kept


def test_the_models_used_last_are_in_memory_and_no_more(service, models, tmp_path):
    names = [f"step-{step:08d}.safetensors" for step in range(3)]
    for step in range(3):
        save_snapshot(models["early"], tmp_path / "checkpoints" / "tiny", step, 0.1 * step, 64)
    service = Service("tiny", root=str(tmp_path), limits=Limits(models=2))
    first, second = (service.model("tiny", name) for name in names[:2])
    assert service.model("tiny", names[0]) is first
    service.model("tiny", names[2])
    assert service.model("tiny", names[0]) is first
    assert service.model("tiny", names[1]) is not second


def test_models_without_an_energy_are_offered_for_comparison_only(tmp_path, monkeypatch):
    """MAE and its kind fill in at once: a column each, but nothing for the views that walk down an energy."""
    torch.manual_seed(0)
    sizes = dict(embed_dim=16, depth=1, num_heads=2, decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2)
    mae = etviz.create_model("mae", **sizes).eval()
    save_checkpoint(etviz.create_model("et", **TINY), tmp_path / "tiny", {})
    save_checkpoint(mae, tmp_path / "plain", {})
    save_checkpoint(etviz.create_model("tokenizer", width=16, depth=1), tmp_path / "codes", {})
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))
    service = Service("tiny", root=str(tmp_path))
    assert [entry["name"] for entry in service.start()["models"]] == ["tiny"]
    offered = {run["name"]: run["energy"] for run in service.ask({"kind": "runs"})["runs"]}
    assert offered == {"tiny": True, "plain": False}  # a tokenizer sees what is hidden
    column = {"model": "plain", "mask": "ff00ff00ff00ff07"}
    answer = service.ask({"kind": "compare", "picture": {"index": 2}, "columns": [column]})["columns"][0]
    image = service.pictures("scikit-image", 32).images[[2]].float() / 255
    mask = etviz.mask_from_hex(column["mask"])
    expected = masked_mse(image, mae.reconstruct(image, mask), mask).item()
    assert answer["mse"] == [pytest.approx(expected, rel=1e-4)]
    assert answer["energy"] is None
    refused = service.politely(service.ask, {"kind": "trace", "picture": {"index": 2}, **column})
    assert "no energy to descend" in refused["error"]


def test_every_model_gets_the_painted_mask(tmp_path, monkeypatch):
    """All six, in one question: what comes back is what the model makes of that mask, and of no other."""
    torch.manual_seed(0)
    vit = dict(embed_dim=16, depth=1, num_heads=2)
    decoder = dict(decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2)
    codes = etviz.create_model("tokenizer", width=16, depth=1)
    models = {
        "et": etviz.create_model("et", **TINY),
        "et_asym": etviz.create_model("et_asym", **TINY_ASYM),
        "mae": etviz.create_model("mae", **vit, **decoder),
        "beit": etviz.create_model("beit", **vit, decoding="best", tokenizer=codes),
        "simmim": etviz.create_model("simmim", embed_dim=16, depths=(1, 1), num_heads=(2, 2)),
        "mixedae": etviz.create_model("mixedae", **vit, **decoder),
    }
    assert set(models) == set(MODELS) - {"tokenizer"}
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))
    for name, model in models.items():
        save_checkpoint(model.eval(), tmp_path / name, {})
    service, names = Service("et", root=str(tmp_path)), list(models)
    image, mask = image_of(service), etviz.mask_from_hex(MASK)
    other = etviz.mask_from_hex("ffffff0f0ffffff6")  # another patch shown in the last row, and another hidden
    for some in (names[:3], names[3:]):
        for name, column in zip(some, compare(service, *({"model": name} for name in some)), strict=True):
            (last,) = pixels_of(column["frames"], len(column["mse"]))[-1:].int()
            assert column["mask"] == MASK
            assert (last - to_bytes(models[name].reconstruct(image[None], mask))[0].int()).abs().max() <= 1
            assert (last - to_bytes(models[name].reconstruct(image[None], other))[0].int()).abs().max() > 1, name


def test_a_tokenizer_s_run_is_told_apart(tmp_path, monkeypatch):
    save_checkpoint(etviz.create_model("et", **TINY), tmp_path / "tiny", {})
    save_checkpoint(etviz.create_model("tokenizer", width=16, depth=1), tmp_path / "outputs" / "codes", {})
    monkeypatch.setenv("ETVIZ_RUNS", str(tmp_path / "outputs"))
    service = Service(str(tmp_path / "tiny"), root=str(tmp_path))
    told = next(run for run in service.ask({"kind": "runs"})["runs"] if run["name"] == "outputs/codes")
    assert "sees what is hidden" in told["problem"]
    column = {"model": "outputs/codes", "mask": "ff00ff00ff00ff07"}
    answer = service.ask({"kind": "compare", "picture": {"index": 2}, "columns": [column]})
    assert "sees what is hidden" in answer["columns"][0]["error"]
