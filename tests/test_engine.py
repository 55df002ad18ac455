"""The page's own engine computes what Python computes: the same questions to both, and its parts one by one."""

import base64
import io
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import etviz
from tests.engine.agreement import disagreements
from tests.engine.node import ask, node, run_script
from tests.engine.python import python_answers, serving
from tests.engine.questions import KINDS, Asker

pytest.importorskip("skimage", reason="the app's extra is not installed")

from PIL import Image, ImageOps

from etviz.inpainting import biharmonic_fill
from etviz.plots.film import complete_frames
from etviz.ui.bundle import bundle
from etviz.ui.service import Service
from tests.engine.site import write_site

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / "etviz/ui/page/engine"
CLANG = 14  # the version of the compiler that made kernel.wasm
FEW, MANY = 2, 50  # questions of each kind
LONG = ("quality", "gradient_lines", "energy_plane", "energy_band", "perturbations")  # one of each will do


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("models")) as service:
        yield service


@pytest.fixture(scope="module")
def site(service, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write_site(service, folder)
    return folder


def assert_agreement(service: Service, site: Path, questions: list[dict]) -> None:
    ours, theirs = python_answers(service, questions), ask(site, questions)
    for question, *pair in zip(questions, ours, theirs, strict=True):
        assert not disagreements(*pair), (question, disagreements(*pair)[:5])


@pytest.mark.parametrize("kind", KINDS)
def test_both_hosts_answer_alike(kind, service, site):
    asker = Asker(service, seed=KINDS.index(kind))
    assert_agreement(service, site, [asker.question(kind) for _ in range(1 if kind in LONG else FEW)])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_both_hosts_answer_many_questions_alike(kind, service, site):
    asker = Asker(service, seed=100 + KINDS.index(kind))
    assert_agreement(service, site, [asker.question(kind) for _ in range(MANY)])


QUESTION = {"model": "tiny", "picture": {"dataset": "scikit-image", "index": 0}, "mask": "ffffffffffffff00"}


WRONG = [
    {"kind": "nonsense"},
    {"model": "nobody"},
    {"mask": "ff"},
    {"mask": "g" * 16},
    {"settings": {"steps": 0}},
    {"settings": {"steps": 10**9}},
    {"settings": {"step_size": -1}},
    {"settings": {"beta": "high"}},
    {"settings": {"rule": "uphill"}},
    {"settings": []},
    {"picture": {"dataset": "mnist", "index": 0}},
    {"picture": {"dataset": "scikit-image", "index": 99}},
    {"picture": {"pixels": "AAAA", "name": "mine"}},
    {"snapshot": "none.safetensors"},
    {"kind": "attention", "patch": 64},
    {"kind": "memory_places", "memory": -1},
    {"kind": "perturbations", "noise": 3, "seed": 0},
    {"kind": "perturbations", "noise": 1, "seed": 2**32},
    {"kind": "gallery", "dataset": "scikit-image", "page": 7},
    {"kind": "gallery", "dataset": "scikit-image", "page": 0, "label": "dragon"},
    {"kind": "compare", "columns": []},
    {"kind": "energy_plane", "settings": {"steps": 1}},
]


def test_a_question_that_cannot_be_answered_gets_the_same_sentence(service, site):
    questions = [QUESTION | wrong for wrong in WRONG]
    for wrong, ours, theirs in zip(WRONG, python_answers(service, questions), ask(site, questions), strict=True):
        assert "error" in ours, wrong
        assert ours == theirs, wrong


def test_an_upload_is_answered_alike(service, site):
    pixels = np.random.default_rng(0).integers(0, 256, 32 * 32 * 3, dtype=np.uint8).tobytes()
    picture = {"pixels": base64.b64encode(pixels).decode(), "name": "mine.png"}
    kinds = ({}, {"kind": "energy_band"}, {"kind": "choices"}, {"kind": "perturbations", "noise": 0.2, "seed": 3})
    assert_agreement(service, site, [QUESTION | {"picture": picture} | more for more in kinds])


PRODUCTS = """
        import { createKernel, matrixOf, transposed, columnsOf } from "engine/kernel.js";
        const numbers = (count, seed) => Float32Array.from({ length: count }, (_, i) => Math.sin(seed + i * 1.7) * 3);
        const results = [true, false].map((simd) => {
          const kernel = createKernel(200000, simd);
          const found = [];
          for (const [rows, inner, columns] of [[1, 1, 1], [5, 3, 16], [6, 300, 17], [13, 600, 40], [65, 32, 65]]) {
            const a = kernel.matrixOf(numbers(rows * inner, 1), rows, inner);
            const b = kernel.matrixOf(numbers(inner * columns, 2), inner, columns);
            const product = kernel.product(a, kernel.packed(b), { scale: 0.5 });
            const back = kernel.product(transposed(product), kernel.packed(product));
            const part = kernel.product(columnsOf(a, 0, Math.ceil(inner / 2)),
              kernel.packed(transposed(columnsOf(a, 0, Math.ceil(inner / 2)))));
            const logits = kernel.matrixOf(numbers(rows * columns, 3), rows, columns);
            logits.data[0] = -Infinity;
            const sums = kernel.softmax(logits);
            found.push(...[product, back, part, logits].map(({ data }) => Array.from(data)), Array.from(sums));
          }
          return found;
        });
        console.log(JSON.stringify(results));
        """


def assert_same_products(engine: Path) -> None:
    """The kernel of an engine's folder computes what its plain JavaScript computes."""
    for pair in zip(*run_script(PRODUCTS, engine=engine), strict=True):
        fast, plain = (np.array([np.nan if x is None else x for x in values]) for values in pair)
        np.testing.assert_allclose(fast, plain, rtol=2e-5, atol=2e-5 * np.nanmax(np.abs(plain), initial=1e-9))


def test_plain_javascript_computes_what_webassembly_computes():
    assert_same_products(ENGINE)


def test_the_worker_is_one_script(tmp_path):
    (tmp_path / "worker.mjs").write_text(bundle("engine/worker.js"))
    checked = subprocess.run([node(), "--check", tmp_path / "worker.mjs"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr  # a name that two modules declare would be an error


def test_a_softmax_of_what_is_not_a_number_is_not_a_number():
    rows = run_script(
        """
        import { createKernel } from "engine/kernel.js";
        const kernel = createKernel(100);
        const logits = kernel.matrixOf([1, NaN, 2, 3, 4, -200, 0, 1, 2, 3, Infinity, 1, 1, 1, 1], 3, 5);
        kernel.softmax(logits);
        console.log(JSON.stringify([0, 5, 10].map((i) => Array.from(logits.data.subarray(i, i + 5)))));
        """
    )
    assert rows[0] == [None] * 5
    np.testing.assert_allclose(rows[1], torch.tensor([-200.0, 0, 1, 2, 3]).softmax(0).numpy(), rtol=1e-6)
    assert rows[1][0] == 0
    assert None in rows[2]


def test_normal_numbers_are_those_of_torch():
    counts, seeds = [1, 2, 7, 15, 16, 17, 31, 32, 100, 65 * 128], [0, 7, 2**31, 2**32 - 1, 3 * 2**32 + 5]
    script = """
        import { randn } from "engine/randn.js";
        const pairs = JSON.parse(process.argv[1]);
        console.log(JSON.stringify(pairs.map(([count, seed]) => Array.from(randn(count, seed)))));
        """
    pairs = [(count, seed) for count in counts for seed in seeds]
    for (count, seed), numbers in zip(pairs, run_script(script, json.dumps(pairs)), strict=True):
        expected = torch.randn(count, generator=torch.Generator().manual_seed(seed))
        np.testing.assert_allclose(numbers, expected.numpy(), rtol=2e-5, atol=5e-6)


@pytest.mark.parametrize("hidden", [0.1, 0.5, 0.85, 1.0])
def test_the_smooth_fill_is_that_of_scikit_image(hidden):
    generator = torch.Generator().manual_seed(5)
    image = torch.rand(1, 3, 32, 32, generator=generator)
    mask = etviz.random_mask(1, hidden, generator=generator)
    script = """
        import { biharmonicFill } from "engine/fills.js";
        const [picture, mask] = process.argv.slice(1).map((text) => JSON.parse(text));
        console.log(JSON.stringify(Array.from(biharmonicFill(Float32Array.from(picture), mask))));
        """
    filled = run_script(script, str(image.flatten().tolist()), str(mask[0].int().tolist()))
    np.testing.assert_allclose(filled, biharmonic_fill(image, mask).flatten().numpy(), atol=2e-5)


@pytest.mark.parametrize(("width", "height"), [(32, 32), (64, 64), (100, 67), (33, 200), (20, 50), (7, 7)])
def test_an_upload_shrinks_as_in_the_app(width, height):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = np.asarray(ImageOps.fit(Image.fromarray(pixels), (32, 32), Image.Resampling.LANCZOS)).astype(int)
    script = """
        import { fitted } from "engine/resample.js";
        const [width, height, data] = process.argv.slice(1).map((text) => JSON.parse(text));
        console.log(JSON.stringify(Array.from(fitted({ data, width, height }, 32))));
        """
    shrunk = run_script(script, str(width), str(height), str(pixels.flatten().tolist()))
    assert np.abs(np.array(shrunk).reshape(32, 32, 3) - expected).max() <= 1


def test_weights_of_16_bits_are_read(tmp_path):
    from safetensors.torch import save_file

    values = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, 6.1e-5, float("inf"), -float("inf"), float("nan")])
    save_file({"half": values.half(), "whole": values, "one": torch.tensor(3.0)}, tmp_path / "w.safetensors")
    script = """
        import { readFileSync } from "node:fs";
        import { readWeights } from "engine/weights.js";
        const read = readWeights(new Uint8Array(readFileSync(process.argv[1])));
        const text = ({ data, shape }) => [Array.from(data, String), shape];
        console.log(JSON.stringify([read.half, read.whole, read.one].map(text)));
        """
    half, whole, one = run_script(script, str(tmp_path / "w.safetensors"))
    np.testing.assert_array_equal(np.array(half[0], dtype=float), values.half().double().numpy())
    np.testing.assert_array_equal(np.array(whole[0], dtype=float), values.double().numpy())
    assert one == [["3"], []]


def test_the_kernel_is_built_from_its_source(tmp_path):
    """By the compiler that made it, to the last byte; by another one, to the same results."""
    if shutil.which("clang") is None or shutil.which("wasm-ld") is None:
        missing = "rebuilding the kernel needs clang and lld: apt install clang lld"
        (pytest.fail if os.environ.get("ETVIZ_REQUIRE_CLANG") == "1" else pytest.skip)(missing)
    rebuilt = tmp_path / "engine"
    shutil.copytree(ENGINE, rebuilt)
    shutil.copytree(ENGINE.parent / "lib", tmp_path / "lib")
    subprocess.run(["make", "-s", "kernel", f"KERNEL_OUT={rebuilt}"], cwd=ROOT, check=True)
    version = subprocess.run(["clang", "--version"], capture_output=True, text=True, check=True).stdout
    if f"version {CLANG}." in version:
        for name in ("kernel.wasm", "kernelbytes.js"):
            assert (rebuilt / name).read_bytes() == (ENGINE / name).read_bytes(), f"{name} is stale: make kernel"
    assert_same_products(rebuilt)
    assert (ENGINE / "kernel.wasm").stat().st_size < 8192


@pytest.mark.parametrize("side", [5, 24, 40, 64])
def test_an_upload_of_another_size_is_answered_alike(side, service, site):
    pixels = np.random.default_rng(side).integers(0, 256, 3 * side * side, dtype=np.uint8).tobytes()
    picture = {"pixels": base64.b64encode(pixels).decode(), "name": "mine.png"}
    ours, theirs = (
        python_answers(service, [QUESTION | {"picture": picture}])[0],
        ask(site, [QUESTION | {"picture": picture}])[0],
    )
    assert theirs["caption"] == ours["caption"]
    seen = [np.frombuffer(base64.b64decode(answer["image"]), np.uint8).astype(int) for answer in (ours, theirs)]
    assert np.abs(seen[0] - seen[1]).max() <= 1


def exported(site: Path, format: str, **more) -> bytes:
    answer = ask(site, [QUESTION | {"kind": "export", "format": format} | more])[0]
    assert answer["name"] == f"etviz-tiny-scikit-image-0-{QUESTION['mask']}.{format}"
    return base64.b64decode(answer["data"])


def test_a_zip_holds_what_the_app_saves(service, site):
    archives = [
        exported(site, "zip"),
        base64.b64decode(service.ask(QUESTION | {"kind": "export", "format": "zip"})["data"]),
    ]
    theirs, ours = (zipfile.ZipFile(io.BytesIO(archive)) for archive in archives)
    assert theirs.testzip() is None
    assert theirs.namelist() == ours.namelist()
    for name in ("mask.png", "original.png", "masked.png", "reconstruction.png"):
        pictures = (np.asarray(Image.open(io.BytesIO(archive.read(name)))).astype(int) for archive in (theirs, ours))
        np.testing.assert_allclose(*pictures, atol=1)
    assert theirs.read("mask.txt") == ours.read("mask.txt")
    arrays, expected = (np.load(io.BytesIO(archive.read("arrays.npz"))) for archive in (theirs, ours))
    assert sorted(arrays) == sorted(expected)
    for name in expected:
        np.testing.assert_allclose(arrays[name], expected[name], rtol=1e-3, atol=1e-4, err_msg=name)
    config, ours_config = (json.loads(archive.read("config.json")) for archive in (theirs, ours))
    assert {name: config[name] for name in ("mask", "settings", "picture")} == {
        name: ours_config[name] for name in ("mask", "settings", "picture")
    }


def test_a_gif_is_the_apps_film(service, site):
    question = QUESTION | {"kind": "export", "format": "gif"}
    theirs, ours = (
        Image.open(io.BytesIO(film))
        for film in (exported(site, "gif"), base64.b64decode(service.ask(question)["data"]))
    )
    assert (theirs.size, theirs.n_frames, theirs.info["loop"]) == (ours.size, ours.n_frames, 0)
    request = service.read_request(question)
    truth = complete_frames(service.trace(request), request.image[None])[0].permute(0, 2, 3, 1).numpy() * 255
    for frame in range(theirs.n_frames):
        errors = []
        for film in (theirs, ours):
            film.seek(frame)
            pixels = np.asarray(film.convert("RGB"))[::8, ::8][34:66, 1:33].astype(float)  # the picture in the middle
            errors.append(np.abs(pixels - truth[frame]).mean())
        assert theirs.info["duration"] == ours.info["duration"]
        assert errors[0] < 1.2 * errors[1] + 1  # of 255: as good a palette


def test_a_saved_page_carries_the_descent(site):
    (site / "replay.html").write_text('<title>%CAPTION%</title><script>"%ANSWER%"</script>')
    catalogue = json.loads((site / "catalogue.json").read_text())
    (site / "catalogue.json").write_text(json.dumps(catalogue | {"replay": "replay.html"}))
    page = exported(site, "html").decode()
    answer = json.loads(page.split("<script>")[1].removesuffix("</script>"))
    assert answer["caption"] in page.split("</title>")[0]
    assert len(base64.b64decode(answer["frames"])) == 5 * 3 * 32 * 32


def test_files_are_named_as_in_the_app(service, site):
    names = ["my cat.jpg", "../../etc/passwd", "é.png", "a.b.webp", "--", "x" * 90]
    pixels = base64.b64encode(bytes(32 * 32 * 3)).decode()
    questions = [
        QUESTION | {"kind": "export", "format": "gif", "picture": {"pixels": pixels, "name": n}} for n in names
    ]
    named = [answer["name"] for answer in ask(site, questions)]
    assert named == [answer["name"] for answer in python_answers(service, questions)]


def test_a_format_that_there_is_not_is_refused(site):
    assert "not as 'pdf'" in ask(site, [QUESTION | {"kind": "export", "format": "pdf"}])[0]["error"]
