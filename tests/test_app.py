"""The explorer without a browser: what it answers, what it refuses, and the command that starts it."""

import base64
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import etviz
from etviz.checkpoints import save_checkpoint, save_snapshot
from etviz.metrics import masked_mse, masked_psnr

pytest.importorskip("skimage", reason="the app's extra is not installed")

from etviz.examples import (
    CARRIED,
    CARRIED_GALLERY,
    carried_pictures,
    carried_pieces,
    example_dataset,
    galleries,
    load_pictures,
)
from etviz.ui.bundle import PAGE, bundle, imports
from etviz.ui.limits import LIMITS, Limits
from etviz.ui.opening import opening_mask, typical_picture
from etviz.ui.payload import decode_pixels, encode_pixels, payload, to_bytes
from etviz.ui.request import FAILED
from etviz.ui.service import Service
from etviz.ui.uploads import read_upload

APP = Path(__file__).parent.parent / "app.py"
MASK = "ffffff0f0ffffffe"


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    sizes = dict(embed_dim=64, num_heads=2, head_dim=32, step_size=0.1, init_scale=0.1)
    return etviz.create_model("et", **sizes).eval()


@pytest.fixture(scope="module")
def checkpoint(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    save_checkpoint(
        tiny, folder, {"parameters": 35_313, "dataset": "cifar10", "metrics": {"test": {"masked_psnr": 10.5}}}
    )
    return str(folder)


@pytest.fixture(scope="module")
def service(checkpoint, tmp_path_factory):
    """With no dataset at hand, so on scikit-image's pictures."""
    return Service(checkpoint, root=str(tmp_path_factory.mktemp("empty")))


def question(**changes):
    picture = {"dataset": CARRIED_GALLERY, "index": 1}
    return {"seq": 7, "model": "tiny", "picture": picture, "mask": MASK, **changes}


def pixels_of(text, steps=13, size=32):
    """base64 -> (steps, 3, S, S) uint8."""
    data = np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(steps, size, size, 3)
    return torch.from_numpy(data.copy()).permute(0, 3, 1, 2)


# ---- payload -----------------------------------------------------------------------------------------------------


def test_payload_equals_the_python_api(tiny):
    image, mask = torch.rand(3, 32, 32), etviz.mask_from_hex(MASK)
    trace = tiny.trace(image[None], mask)
    answer = payload(trace, image, mask)
    frames = pixels_of(answer["frames"])
    assert frames.shape == (13, 3, 32, 32)
    assert (frames.float() / 255 - trace.frames[0]).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(pixels_of(answer["image"], 1)[0], to_bytes(image))
    assert answer["energy"] == trace.energy[0].tolist()
    assert answer["attention_energy"] == trace.attention_energy[0].sum(-1).tolist()
    assert answer["hopfield_energy"] == trace.hopfield_energy[0].sum(-1).tolist()
    assert answer["gradient_norm"] == trace.gradient_norm[0].tolist()
    assert answer["stationarity"] == trace.stationarity[0].tolist()
    for step in (0, 12):
        frame = trace.frames[:, step]
        assert answer["mse"][step] == pytest.approx(masked_mse(image[None], frame, mask).item())
        assert answer["psnr"][step] == pytest.approx(masked_psnr(image[None], frame, mask).item())


def test_payload_is_small_json_with_the_mask_in_it(tiny):
    image, mask = torch.rand(3, 32, 32), etviz.mask_from_hex(MASK)
    text = json.dumps(payload(tiny.trace(image[None], mask), image, mask), allow_nan=False)
    assert len(text) < 70_000
    assert torch.equal(etviz.mask_from_hex(json.loads(text)["mask"]), mask)


def test_payload_names_the_steps_that_rose(tiny):
    image, mask = torch.rand(3, 32, 32), etviz.mask_from_hex(MASK)
    trace = tiny.trace(image[None], mask)
    trace.energy[0, 3] += 1e6
    assert payload(trace, image, mask)["rises"] == [3]


def test_nothing_hidden_has_no_masked_error(tiny):
    image, mask = torch.rand(3, 32, 32), etviz.mask_from_hex("0" * 16)
    answer = payload(tiny.trace(image[None], mask), image, mask)
    assert answer["mse"] == answer["psnr"] == [None] * 13


def test_pixels_survive_the_way_to_the_browser_and_back():
    picture = torch.randint(256, (3, 32, 32), dtype=torch.uint8)
    assert torch.equal(decode_pixels(encode_pixels(picture), 32), picture)


# ---- service -----------------------------------------------------------------------------------------------------


def test_an_answer_echoes_its_question_and_equals_the_model(service, tiny):
    answer = service.ask(question())
    image = service.pictures(CARRIED_GALLERY, 32).images[1].float() / 255
    trace = tiny.trace(image[None], etviz.mask_from_hex(MASK), keep_attention=False)
    assert {key: answer[key] for key in question()} == question()
    assert answer["energy"] == pytest.approx(trace.energy[0].tolist(), rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({"steps": 3}, {"steps": 3}),
        ({"step_size": 0.02, "beta": 0.5}, {"step_size": 0.02, "beta": 0.5}),
        ({"step_size": 5, "rule": "backtracking"}, {"step_size": 5.0, "rule": "backtracking"}),
        ({"rule": "sphere"}, {"rule": "sphere"}),
        ({"settle": True, "steps": 3}, {"steps": LIMITS.settling_steps, "tolerance": LIMITS.settled}),
    ],
)
def test_settings_reach_the_descent(service, tiny, settings, arguments):
    answer = service.ask(question(settings=settings))
    image = service.pictures(CARRIED_GALLERY, 32).images[1].float() / 255
    trace = tiny.trace(image[None], etviz.mask_from_hex(MASK), **arguments)
    assert answer["energy"] == pytest.approx(trace.energy[0].tolist(), rel=1e-5)
    assert answer["step_sizes"] == pytest.approx(trace.step_sizes[0].tolist())
    assert answer["settled"] == (trace.settled[0].item() if trace.settled[0] >= 0 else None)
    own = {"steps": 12, "step_size": 0.1, "beta": 0.125}
    assert answer["settings"] == {**own, "rule": "fixed", "settle": False, **settings, "own": own}


def test_the_traces_used_last_are_kept_and_no_more(checkpoint, tmp_path, monkeypatch):
    service = Service(checkpoint, root=str(tmp_path), limits=Limits(traces=2))
    model, descents = service.model("tiny"), []
    descend = model.trace
    monkeypatch.setattr(model, "trace", lambda *parts, **settings: descents.append(1) or descend(*parts, **settings))
    counts = []
    for index in (0, 1, 0, 2, 0, 1):  # 0 is used again, so that 1 is dropped for 2
        service.ask(question(picture={"index": index}))
        counts.append(len(descents))
    assert counts == [1, 2, 2, 3, 3, 4]


def test_a_snapshot_answers_with_its_own_weights(tiny, tmp_path):
    run = tmp_path / "run"
    save_checkpoint(tiny, run, {})
    early = etviz.create_model("et", **tiny.config)
    save_snapshot(early, run, 1, 0.1, 64)
    service = Service(str(run), root=str(tmp_path))
    answer = service.ask(question(model="run", snapshot="step-00000001.safetensors"))
    image = service.pictures(CARRIED_GALLERY, 32).images[1].float() / 255
    expected = early.eval().trace(image[None], etviz.mask_from_hex(MASK)).energy[0].tolist()
    assert answer["energy"] == pytest.approx(expected, rel=1e-3)
    assert answer["snapshot"] == "step-00000001.safetensors"


def test_an_uploaded_picture_is_asked_for_by_its_pixels(service):
    picture = {"pixels": encode_pixels(service.pictures(CARRIED_GALLERY, 32).images[1]), "name": "cat.png"}
    mine, theirs = service.ask(question(picture=picture)), service.ask(question())
    assert mine["frames"] == theirs["frames"]
    assert mine["picture"] == picture
    assert "cat.png" in mine["caption"]


def test_the_page_starts_with_a_descent_and_says_where_its_pictures_are_from(service):
    start = service.start()
    assert len(start["answer"]["energy"]) == 13
    assert bin(int(start["answer"]["mask"], 16)).count("1") == 21  # a third, as a hand paints it
    assert len(start["gallery"]["thumbs"]) == start["gallery"]["total"] == len(CARRIED)
    assert start["datasets"] == [{"name": CARRIED_GALLERY, "title": "scikit-image"}]
    assert "CIFAR-10 is not on this machine" in start["note"]
    assert start["models"][0] == {
        "name": "tiny",
        "facts": "35,313 parameters · trained on cifar10 · test masked PSNR 10.50 dB",
        "patches": 64,
        "size": 32,
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mask": "xyz"}, "hexadecimal"),
        ({"mask": None}, "hexadecimal"),
        ({"model": "../../etc"}, "no model"),
        ({"model": ["tiny"]}, "no model"),
        ({"picture": {"index": 10**9}}, "no picture"),
        ({"picture": {"index": -1}}, "no picture"),
        ({"picture": {"index": "1"}}, "no picture"),
        ({"picture": {}}, "no picture"),
        ({"picture": None}, "reload"),
        ({"picture": {"pixels": "AAAA"}}, "did not arrive"),
        ({"picture": {"pixels": "A" * 4 * 32 * 31}}, "did not arrive"),
        ({"picture": {"pixels": "not base64!"}}, "did not arrive"),
        ({"picture": {"pixels": 5}}, "did not arrive"),
        ({"picture": {"dataset": "../etc", "index": 0}}, "no pictures of"),
        ({"picture": {"dataset": ["cifar10"], "index": 0}}, "no pictures of"),
        ({"snapshot": "../../model.safetensors"}, "no snapshot"),
        ({"snapshot": 5}, "no snapshot"),
        ({"kind": "none such"}, "reload"),
        ({"kind": ["trace"]}, "reload"),
        ({"settings": "fast"}, "reload"),
        ({"settings": {"steps": 61}}, "from 1 to 60"),
        ({"settings": {"steps": 2.5}}, "whole number"),
        ({"settings": {"steps": True}}, "whole number"),
        ({"settings": {"step_size": 0}}, "step size must lie between"),
        ({"settings": {"step_size": "0.1"}}, "step size must be a number"),
        ({"settings": {"step_size": float("nan")}}, "step size must be a number"),
        ({"settings": {"step_size": float("inf")}}, "step size must be a number"),
        ({"settings": {"step_size": 10**400}}, "step size must lie between"),
        ({"settings": {"beta": -(10**400)}}, "beta must lie between"),
        ({"settings": {"steps": 10**400}}, "from 1 to 60"),
        ({"settings": {"beta": -1}}, "beta must lie between"),
        ({"settings": {"rule": "newton"}}, "fixed, backtracking, sphere"),
        ({"settings": {"rule": []}}, "fixed, backtracking, sphere"),
    ],
)
def test_a_wrong_question_is_answered_by_one_sentence(service, changes, words):
    answer = service.politely(service.ask, question(**changes))
    assert list(answer) == ["error"]
    assert words in answer["error"]


def test_a_question_that_is_no_question_is_answered_too(service):
    assert "error" in service.politely(service.ask, ["not", "a", "question"])


def test_a_run_may_share_its_name_with_a_shipped_checkpoint(tiny, checkpoint, tmp_path, monkeypatch):
    save_checkpoint(tiny, tmp_path / "tiny", {})
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))
    service = Service(checkpoint, root=str(tmp_path))
    assert service.checkpoints == {checkpoint: checkpoint, "tiny": "tiny"}
    assert service.first == checkpoint


def test_a_broken_checkpoint_is_left_out_of_the_menu(tiny, tmp_path, monkeypatch):
    for name in ("good", "broken"):
        save_checkpoint(tiny, tmp_path / name, {})
    (tmp_path / "broken" / "config.yaml").write_text("model: {}")
    monkeypatch.setenv("ETVIZ_CHECKPOINTS", str(tmp_path))
    assert list(Service("good", root=str(tmp_path)).checkpoints) == ["good"]


def test_a_crowd_is_turned_away_politely(checkpoint, tmp_path):
    service = Service(checkpoint, root=str(tmp_path), limits=Limits(waiting=2))

    def ask_while(others):
        """Ask while so many other questions wait."""
        if others == 0:
            return service.politely(service.ask, question())
        return service.politely(ask_while, others - 1)

    assert "error" not in ask_while(1)
    assert "Too many" in ask_while(2)["error"]
    assert "error" not in ask_while(1)


def test_the_page_gets_the_limits_of_its_service(checkpoint, tmp_path):
    service = Service(checkpoint, root=str(tmp_path), limits=Limits(steps=5, file_side=100))
    limits = service.start()["limits"]
    assert (limits["steps"], limits["file"]["side"]) == (5, 100)
    assert "from 1 to 5" in service.politely(service.ask, question(settings={"steps": 6}))["error"]


def picture_file(kind="PNG", size=(40, 40)):
    """A red picture as the bytes of a file."""
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, kind)
    return file.getvalue()


def test_an_upload_is_read_from_its_question_and_leaves_no_file(service, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = base64.b64encode(picture_file()).decode()
    answer = service.read_file({"data": data, "model": "tiny"})
    assert decode_pixels(answer["pixels"], 32)[:, 0, 0].tolist() == [255, 0, 0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [None, 5, ["a"], {"path": "/etc/passwd"}, "/etc/passwd", "é", "AAA", "%00", b"AAAA"])
def test_an_upload_that_is_no_base64_is_one_sentence(service, data):
    answer = service.politely(service.read_file, {"data": data, "model": "tiny"})
    assert list(answer) == ["error"]
    assert answer["error"].count(".") == 1


def test_one_picture_may_come_from_many_at_once(service):
    """Uploads were files named by their content: whoever read the picture first deleted it for the others."""
    question = {"data": base64.b64encode(picture_file(size=(600, 600))).decode(), "model": "tiny"}
    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(lambda _: service.politely(service.read_file, question), range(40)))
    assert all(answer == answers[0] for answer in answers)
    assert "pixels" in answers[0]


@pytest.mark.parametrize("key", ["mask", "model", "kind", "seq"])
def test_nothing_long_comes_back_as_it_was_sent(service, key):
    answer = service.politely(service.ask, question(**{key: "z" * 100_000}))
    assert len(json.dumps(answer)) < (80_000 if key == "seq" else 500)


def test_a_mistake_of_the_apps_own_is_a_sentence_and_a_line_in_the_log(service, caplog):
    def broken(_):
        raise RuntimeError("/home/somebody/secret")

    assert service.politely(broken, {}) == {"error": FAILED}
    assert "secret" in caplog.text


# ---- pictures ----------------------------------------------------------------------------------------------------


def test_a_dataset_on_this_machine_is_used(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), dtype=np.uint8)
    labels = np.array([3, 3, 0, 0, 1, 1])
    np.savez(tmp_path / "cifar10.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    pictures = load_pictures("cifar10", str(tmp_path), 32)
    assert pictures.caption(0) == "CIFAR-10 test image 0: cat"
    assert pictures.arranged() == [2, 4, 0, 3, 5, 1]  # airplane, automobile, cat, airplane, ...
    assert pictures.arranged("cat") == [0, 1]
    assert pictures.classes == ["airplane", "automobile", "cat"]
    assert galleries("cifar10", str(tmp_path)) == (["cifar10"], "")
    assert galleries("cifar100", str(tmp_path))[0] == [CARRIED_GALLERY, "cifar10"]


def test_a_dataset_that_cannot_be_fetched_is_an_error(tmp_path):
    with pytest.raises(etviz.UsageError, match="no dataset"):
        load_pictures("cifar11", str(tmp_path), 32)


def test_carried_pictures_fit_the_model():
    pictures = carried_pictures(48)
    assert pictures.images.shape == (len(CARRIED), 3, 48, 48)
    assert pictures.images.dtype == torch.uint8


def test_pieces_to_train_on_are_cut_from_the_carried_pictures_and_to_test_on_from_elsewhere():
    dataset = carried_pieces(16)
    assert dataset.class_names == list(CARRIED.values())
    squares = carried_pictures(12 * 16).images
    for images, labels, left in (
        (dataset.train_images, dataset.train_labels, (0, 9 * 16)),
        (dataset.test_images, dataset.test_labels, (9 * 16, 12 * 16)),
    ):
        columns, rows = range(left[0], left[1] - 15, 4), range(0, 12 * 16 - 15, 4)
        assert labels.bincount().tolist() == [len(columns) * len(rows)] * len(CARRIED)
        cut = {squares[n, :, y : y + 16, x : x + 16].numpy().tobytes() for n in (0, 6) for y in rows for x in columns}
        chosen = (labels == 0) | (labels == 6)
        assert {image.numpy().tobytes() for image in images[chosen]} == cut


def test_a_dataset_to_train_on_is_the_one_asked_for_where_it_lies(tmp_path, archive):
    assert example_dataset("cifar10", str(tmp_path)).name == "scikit-image pieces"
    shutil.copy(archive, tmp_path / "cifar100.npz")
    found = example_dataset("cifar100_coarse", str(tmp_path))
    assert (found.name, len(found.train_images), len(found.class_names)) == ("cifar100_coarse", 200, 20)


# ---- uploads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_uploads_are_cropped_from_the_centre(tmp_path, kind):
    picture = Image.new("RGB", (300, 100), "blue")
    picture.paste("red", (100, 0, 200, 100))
    picture.save(tmp_path / "picture", format=kind)
    pixels = read_upload((tmp_path / "picture").read_bytes(), 32)
    assert pixels.shape == (3, 32, 32)
    assert pixels[0, 4:-4, 4:-4].min() > 200
    assert pixels[2, 4:-4, 4:-4].max() < 60


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGBA", "I;16", "1"])
def test_uploads_of_every_mode_become_colour(tmp_path, mode):
    Image.fromarray(np.full((50, 50), 255 * 256, np.uint16)).save(tmp_path / "grey.png")
    if mode != "I;16":
        Image.new("L", (50, 50), 255).convert(mode).save(tmp_path / "grey.png")
    assert read_upload((tmp_path / "grey.png").read_bytes(), 32).min() >= 254


def test_transparency_is_laid_on_white(tmp_path):
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_upload((tmp_path / "clear.png").read_bytes(), 32).min() == 255


def bomb(side):
    """A PNG whose header promises side x side pixels: 17 KB for hundreds of megabytes, in earnest."""
    buffer = io.BytesIO()
    Image.new("1", (8, 8)).save(buffer, format="PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def truncated():
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()[:2000]


def gif():
    buffer = io.BytesIO()
    Image.new("P", (32, 32)).save(buffer, format="GIF")
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # pytest undoes the filter in uploads.py
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG" + b"0" * LIMITS.file_bytes, "larger than 2 MB"),
        (bomb(5_000), "4096x4096"),
        (bomb(12_000), "4096x4096"),
        (bomb(60_000), "4096x4096"),
        (truncated(), "damaged"),
        (gif(), "no PNG, JPEG or WebP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG, JPEG or WebP"),
        (b"", "no PNG, JPEG or WebP"),
    ],
    ids=["oversized", "wide", "bomb", "huge-bomb", "truncated", "gif", "svg", "empty"],
)
def test_a_bad_upload_is_one_sentence(content, words):
    with pytest.raises(etviz.UsageError, match=words):
        read_upload(content, 32)


# ---- the command -------------------------------------------------------------------------------------------------


def run_app(*options):
    return subprocess.run(
        [sys.executable, str(APP), *options], capture_output=True, text=True, timeout=600, check=False, cwd=APP.parent
    )


def test_help_needs_nothing_heavy():
    assert "--checkpoint" in run_app("--help").stdout


def test_an_unknown_checkpoint_is_one_sentence():
    done = run_app("--checkpoint", "no-such-model")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no-such-model" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "99999"], "a port is a number from 1 to 65535, not '99999'"),
        (["--port", "-1"], "a port is a number from 1 to 65535, not '-1'"),
        (["--host", "banana"], "'banana' is no address of this machine"),
        (["--host", "192.0.2.1"], "'192.0.2.1' is no address of this machine"),  # reserved for examples: nobody's
        (["--checkpoint", "~nosuch/x"], "There is no checkpoint '~nosuch/x'"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(options, message):
    done = run_app(*options)
    assert done.returncode == 2
    assert message in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_one_sentence(checkpoint, tmp_path):
    pytest.importorskip("gradio", reason="the app's extra is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run_app("--checkpoint", checkpoint, "--data-root", str(tmp_path), "--port", port)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith(f"Port {port} on 127.0.0.1 is taken")
    assert "Traceback" not in done.stderr


# ---- the page's code ---------------------------------------------------------------------------------------------


ENTRIES = ("explorer.js", "widget.js", "site.js", "live.js", "engine/worker.js")
ALONE = "serviceworker.js"  # a file of its own, which imports nothing


def modules_in(code):
    return re.findall(r"^// ([\w/-]+\.js)$", code, re.MULTILINE)


def test_every_module_is_in_one_of_the_pages():
    used = {ALONE}.union(*(modules_in(bundle(entry)) for entry in ENTRIES))
    assert used == {path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*.js")}


@pytest.mark.parametrize("entry", ENTRIES)
def test_modules_become_one_in_the_order_of_their_needs(entry):
    code = bundle(entry)
    modules = modules_in(code)
    assert len(modules) == len(set(modules))
    assert modules[-1] == entry
    assert not re.search(r"^import ", code, re.MULTILINE)
    for module in modules:
        for needed in imports(module, (PAGE / module).read_text()):
            assert modules.index(needed) < modules.index(module)


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_two_modules_declare_one_name(entry):
    """One scope holds them all."""
    names = re.findall(r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", bundle(entry), re.MULTILINE)
    assert len(names) > 30
    assert len(names) == len(set(names))


def test_no_two_sheets_style_one_class():
    """A rule that begins with a bare class is for every view: only one sheet may have it."""
    owners = {}
    for sheet in PAGE.rglob("*.css"):
        for name in set(re.findall(r"^\s*\.(etviz-[\w-]+)", sheet.read_text(), re.MULTILINE)):
            owners.setdefault(name, []).append(sheet.name)
    assert len(owners) > 50
    assert {name: sheets for name, sheets in owners.items() if len(sheets) > 1} == {}


def test_the_first_picture_is_typical_for_the_model(tiny):
    """Its error lies within the middle half of those that could have been chosen."""
    model = tiny
    torch.manual_seed(0)
    images = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8)
    images[1::2] //= 8  # dark ones, which are easy
    mask = opening_mask(model.num_patches)
    with torch.no_grad():
        rebuilt = model.reconstruct(images.float() / 255, mask.expand(12, -1))
    hidden = mask.reshape(8, 8).repeat_interleave(4, 0).repeat_interleave(4, 1)
    errors = (rebuilt - images.float() / 255).square()[:, :, hidden].mean((1, 2))
    least, most = errors.quantile(torch.tensor([0.25, 0.75]))
    assert least <= errors[typical_picture(model, images, mask)] <= most
