"""The page's own engine in a real browser: a worker, pictures decoded by the browser, answers as typed arrays."""

import io
import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("skimage", reason="the app's extra is not installed")

from etviz.site.pages import as_classic
from etviz.ui.bundle import bundle
from etviz.ui.payload import decode_pixels
from etviz.ui.uploads import read_upload
from tests.engine.agreement import disagreements
from tests.engine.python import python_answers, serving
from tests.engine.questions import KINDS, Asker
from tests.engine.site import write_site
from tests.sites import hosting

PAGE = """<!doctype html><meta charset="utf-8"><title>engine</title><script type="module">
{code}
const read = async (path) => (await fetch(path)).text();
const catalogue = JSON.parse(await read("catalogue.json"));
const engine = startEngine({{ catalogue, base: new URL(".", location.href).href, code: read("worker.js") }});
const text = (_name, value) =>
  ArrayBuffer.isView(value) ?
    btoa(Array.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength),
      (byte) => String.fromCharCode(byte)).join("")) : value;
window.ask = async (question) => JSON.stringify(await engine.ask(question), text);
window.read = (data, model) => engine.readFile(new File([Uint8Array.from(data)], "mine"), model);
window.begun = true;
</script>"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("models")) as service:
        yield service


@pytest.fixture(scope="module")
def page(service, browser, tmp_path_factory):
    """A page that holds nothing but the engine."""
    folder = tmp_path_factory.mktemp("site")
    write_site(service, folder, sprites="png")
    (folder / "worker.js").write_text(as_classic(bundle("engine/worker.js")))
    (folder / "index.html").write_text(PAGE.format(code=bundle("engine/starting.js")))
    with hosting(folder) as host:
        page = browser.new_page()
        page.goto(host.address)
        page.wait_for_function("window.begun")
        yield page
        page.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_browser_answers_as_python_does(kind, service, page):
    question = Asker(service, seed=500 + KINDS.index(kind)).question(kind)
    theirs = json.loads(page.evaluate("(question) => ask(question)", question))
    assert not disagreements(python_answers(service, [question])[0], theirs), question


def test_painters_need_not_wait_for_a_long_computation(service, page):
    """A descent that is asked for while other starts are tried is there long before them."""
    asker = Asker(service, seed=1)
    long = {"kind": "perturbations", "noise": 0.5, "seed": 1, **asker.column("et-small-cifar10")}
    short = {"kind": "trace", **asker.column("tiny")}
    order = page.evaluate(
        """async ([long, short]) => {
            const order = [];
            const note = (name) => () => order.push(name);
            const first = ask(long).then(note("long"));
            await new Promise((resolve) => setTimeout(resolve, 50));
            await Promise.all([first, ask(short).then(note("short"))]);
            return order;
        }""",
        [question | {"picture": {"dataset": "scikit-image", "index": 1}} for question in (long, short)],
    )
    assert order == ["short", "long"]


@pytest.mark.parametrize("turn", [None, 6])  # 6: turned by 90 degrees, says EXIF
def test_an_upload_is_read_as_in_the_app(turn, page):
    across, down = np.meshgrid(np.linspace(0, 255, 150), np.linspace(0, 255, 90))
    picture = Image.fromarray(np.stack([across, down, 255 - across], axis=-1).astype(np.uint8))
    exif = Image.Exif()
    if turn:
        exif[274] = turn
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    pixels = page.evaluate("([data, model]) => read(data, model)", [list(file.getvalue()), "tiny"])["pixels"]
    expected = read_upload(file.getvalue(), 32).int()
    assert (decode_pixels(pixels, 32).int() - expected).abs().max() <= 1


def test_a_file_that_is_no_picture_gets_a_sentence(page):
    answer = page.evaluate("([data, model]) => read(data, model)", [[1, 2, 3], "tiny"])
    assert answer["error"] == "This picture is damaged and cannot be read: choose another."
