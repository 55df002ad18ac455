"""Pages of the running app in a real browser, with everything that they ask for and complain about."""

import os
from urllib.parse import urlsplit

import pytest
import torch
from playwright.sync_api import expect, sync_playwright

import etviz
from etviz.checkpoints import save_checkpoint, save_snapshot
from etviz.files import write_text
from etviz.training import history_csv
from etviz.ui.payload import decode_pixels
from tests.browser.app import CHROMIUM, FLAGS, serving
from tests.browser.contrast import poor_contrast

NO_CHROMIUM = "the browser tests need chromium on the PATH"
SIZES = dict(embed_dim=64, num_heads=2, head_dim=32, step_size=0.1, init_scale=0.1)


@pytest.fixture(scope="session")
def model():
    torch.manual_seed(0)
    return etviz.create_model("et", **SIZES).eval()


def history_row(epoch):
    """A validation as a training writes it."""
    counts = {"step": 100 * epoch, "epoch": float(epoch), "images": 6400 * epoch, "seconds": 60.0 * epoch}
    rates = {
        "lr": 0.005 / epoch,
        "train_loss": 0.6 - 0.1 * epoch,
        "gradient_norm": 0.5,
        "images_per_second": 90.5 + epoch,
    }
    return counts | rates | {"masked_mse": 0.04, "masked_psnr": 13.0 + epoch}


@pytest.fixture(scope="session")
def epochs():
    """Models of a training: two snapshots, then the final weights."""
    torch.manual_seed(1)
    return [etviz.create_model("et", **SIZES).eval() for _ in range(3)]


@pytest.fixture(scope="session")
def run(epochs, tmp_path_factory):
    """A training of four epochs, after two of them."""
    folder = tmp_path_factory.mktemp("home") / "outputs" / "begun"
    save_checkpoint(epochs[2], folder, {"model": "et", "epochs": 2.0, "planned_epochs": 4}, {"train": {"epochs": 4}})
    save_snapshot(epochs[0], folder, 10, 0.1, 640)
    save_snapshot(epochs[1], folder, 100, 1.0, 6400)
    write_text(folder / "history.csv", history_csv([history_row(1), history_row(2)]))
    return folder


@pytest.fixture(scope="session")
def steep():
    """A model whose keys are opposed to its queries: a long step goes too far, and the energy rises."""
    torch.manual_seed(0)
    model = etviz.create_model("et", **SIZES).eval()
    block = model.descent.blocks[0]
    with torch.no_grad():
        block.key.copy_(-block.query)
        block.memories.mul_(0.1)
    return model


@pytest.fixture(scope="session")
def address(model, steep, run, browser, tmp_path_factory):
    """The app as a user starts it, on a free port, with untrained models (one of them cut short) and no dataset."""
    folder = tmp_path_factory.mktemp("app")
    for name in ("cut", "tiny", "twin"):
        save_checkpoint(model, folder / name, {"name": name})
    save_checkpoint(steep, folder / "steep", {})
    save_checkpoint(etviz.create_model("et", **SIZES, patch_size=8), folder / "coarse", {})
    weights = folder / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    places = {"ETVIZ_CHECKPOINTS": str(folder), "ETVIZ_RUNS": str(run.parent)}
    with serving("--checkpoint", "tiny", "--data-root", str(folder), **places) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """Chromium; skips where there is none, and fails where ETVIZ_REQUIRE_BROWSER says that there must be."""
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("ETVIZ_REQUIRE_BROWSER") == "1" else pytest.skip)(NO_CHROMIUM)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Visit:
    """One page, with everything that it asked for and complained about."""

    def __init__(self, context, address):
        self.page = context.new_page()
        self.requests, self.complaints, self.answers, self.qualities = [], [], [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        self.page.on("response", self.listen)
        self.page.goto(address)
        self.root = self.page.locator(".etviz")
        expect(self.root).to_have_attribute("data-ready", "true", timeout=30_000)

    def listen(self, response):
        """Keep the answers, and apart from them those to what the page asks by itself after every descent."""
        if "component_server" in response.url:
            itself = response.request.post_data_json["data"].get("kind") == "quality"
            (self.qualities if itself else self.answers).append(response)

    def questions(self):
        return [answer.request.post_data_json["data"] for answer in self.answers]

    def read(self, name):
        return self.root.get_attribute(f"data-{name}")

    def settle(self):
        """Wait until what is on screen belongs to the mask as painted."""
        expect(self.root).to_have_attribute("data-shown", self.read("mask"), timeout=10_000)
        expect(self.root).to_have_attribute("data-busy", "false")

    def middle(self, patch):
        """Where to put the pointer for a patch."""
        box = self.page.locator(".etviz-cell").nth(patch).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def stroke(self, *patches):
        self.page.mouse.move(*self.middle(patches[0]))
        self.page.mouse.down()
        for patch in patches[1:]:
            self.page.mouse.move(*self.middle(patch), steps=3)
        self.page.mouse.up()

    def press(self, button):
        self.page.get_by_role("button", name=button, exact=True).click()
        self.settle()

    def pixels(self, tile):
        """What a tile's canvas holds: (3, S, S) uint8."""
        script = """(canvas) => {
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return btoa(String.fromCharCode(...data.filter((_, i) => i % 4 < 3)));
        }"""
        canvas = self.page.get_by_role("img", name=tile)
        return decode_pixels(canvas.evaluate(script), canvas.evaluate("(canvas) => canvas.width"))

    def curve(self, line="total"):
        return self.page.locator(f"path[data-line={line}]").get_attribute("d")

    def poor_contrast(self):
        """Texts on screen with less than 4.5 to 1 on their own background (WCAG AA)."""
        return poor_contrast(self.page)

    def sideways(self):
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")


@pytest.fixture
def visit(browser, address):
    """A page in a fresh session; afterwards, nothing may have gone wrong or left the machine."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    visit = Visit(context, address)
    yield visit
    host = urlsplit(address).netloc
    over_the_wire = [url for url in visit.requests if not url.startswith(("blob:", "data:"))]
    strangers = [url for url in over_the_wire if urlsplit(url).netloc != host]
    context.close()
    assert not strangers
    assert not visit.complaints


@pytest.fixture
def phone(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce")
    yield Visit(context, address)
    context.close()
