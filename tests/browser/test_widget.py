"""The explorer as a widget in JupyterLab: a real server, a real kernel, and Chromium."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import pytest
import torch
from playwright.sync_api import expect

import etviz
from etviz.checkpoints import save_checkpoint
from tests.browser.conftest import SIZES

pytest.importorskip("jupyterlab", reason="the notebooks' extra is not installed")

SHOW = """
import torch, etviz
from etviz.ui.widget import Explorer
model = etviz.load_model("tiny")
images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
explorer = Explorer(model, images, labels=["first", "second", "third", "fourth"])
seen = []
explorer.observe(lambda change: seen.append(etviz.mask_to_hex(change.new)), "mask")
explorer
"""
READ = """
import time
deadline = time.monotonic() + 20
while not seen and time.monotonic() < deadline:
    time.sleep(0.05)  # JupyterLab gives a widget's messages to a thread of their own, which cells do not wait for
print(etviz.mask_to_hex(explorer.mask), explorer.image_index, explorer.trace.energy[0, -1].item(), len(seen))
"""
OVERLAPS = """(root) => {
  const box = (node) => node.getBoundingClientRect();
  const seen = (selector) => [...root.querySelectorAll(selector)].filter((node) => box(node).width > 0);
  const right = box(root).right + 1;
  const scrolled = ".etviz-tabs, .etviz-pick, .etviz-spoken";
  const beyond = seen(".etviz-page *").filter((node) => box(node).right > right && !node.closest(scrolled));
  const words = (node) => { const range = document.createRange(); range.selectNodeContents(node); return box(range); };
  const meet = (a, b) => a.top < b.bottom - 1 && b.top < a.bottom - 1 && a.left < b.right - 1 && b.left < a.right - 1;
  const pairs = seen("dt").filter((dt) => dt.nextElementSibling && meet(words(dt), words(dt.nextElementSibling)));
  const titles = seen("figcaption > span");
  const touching = titles.filter((a) => titles.some((b) => a !== b && Math.abs(box(a).top - box(b).top) < 8
    && box(a).left < box(b).left && box(a).right > box(b).left + 1));
  return [...beyond, ...pairs, ...touching].map((node) => node.outerHTML.slice(0, 80));
}"""
SET = 'explorer.image_index = 2; explorer.mask = etviz.half_mask(1); explorer.settings = {"steps": 5}'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on a free port, with settings of its own and a checkpoint called "tiny"; gives address and folder."""
    folder = tmp_path_factory.mktemp("lab")
    torch.manual_seed(0)
    save_checkpoint(etviz.create_model("et", **SIZES), folder / "tiny", {"name": "tiny"})
    own = {name: str(folder / "jupyter" / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    own |= {name: str(folder / "jupyter" / name) for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}", "--no-browser", "--allow-root"]
    options += ["--IdentityProvider.token=", "--ServerApp.port_retries=0", "--LabApp.news_url=None"]
    command = [sys.executable, "-m", "jupyterlab", *options]
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | own | {"ETVIZ_CHECKPOINTS": str(folder)}
        )
        try:
            yield wait_for(f"http://127.0.0.1:{port}", server, folder / "log"), folder
        finally:
            server.terminate()  # and its kernels
            server.wait(timeout=30)


def wait_for(address, server, log, patience=120):
    for _ in range(patience * 5):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{address}/api/status", timeout=5)
            return address
        if server.poll() is not None:
            break
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


class Notebook:
    """An open notebook: a cell a source, run one by one by `run`."""

    def __init__(self, page, address, folder, *sources):
        self.page, self.complaints = page, []
        cells = [nbformat.v4.new_code_cell(source.strip()) for source in sources]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "test.ipynb")
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{address}/lab/tree/test.ipynb?reset")
        expect(page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(len(sources), timeout=90_000)
        expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible(timeout=90_000)
        self.root = page.locator(".etviz").first

    def run(self, index):
        """Run a cell for the first time and wait for its end; what it printed."""
        cell = self.page.locator(".jp-Notebook .jp-CodeCell").nth(index)
        prompt = cell.locator(".jp-InputArea-prompt").first
        for _ in range(6):  # a page that is still growing may miss keys; a cell that has begun shows [*]
            cell.locator(".cm-content").click()
            cell.locator(".cm-content").press("Control+Enter")  # wherever the click went
            with contextlib.suppress(AssertionError):
                expect(prompt).not_to_have_text("[ ]:", timeout=10_000)
                break
        expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=90_000)
        outputs = cell.locator(".jp-OutputArea-output pre").all_inner_texts()
        return "\n".join(outputs)

    def settle(self):
        expect(self.root).to_have_attribute("data-shown", self.root.get_attribute("data-mask"), timeout=20_000)
        expect(self.root).to_have_attribute("data-busy", "false", timeout=20_000)


@pytest.fixture
def notebook(browser, lab):
    address, folder = lab
    context = browser.new_context(viewport={"width": 1440, "height": 2000}, reduced_motion="reduce")
    notebook = Notebook(context.new_page(), address, folder, SHOW, READ, SET, READ)
    yield notebook
    context.close()
    assert not notebook.complaints


def energy_of(folder, mask, index, **settings):
    """The last energy by the Python API, on the pictures of the notebook's first cell."""
    model = etviz.load_model(str(folder / "tiny"))
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    trace = model.trace(images[[index]].float() / 255, etviz.mask_from_hex(mask), **settings)
    return trace.energy[0, -1].item()


def test_painting_reaches_python_and_python_reaches_the_page(notebook, lab):
    notebook.run(0)
    root = notebook.root
    expect(root).to_have_attribute("data-ready", "true", timeout=60_000)
    before = root.get_attribute("data-mask")
    cells = root.locator(".etviz-cell")
    cells.nth(9).click()
    notebook.settle()
    painted = root.get_attribute("data-mask")
    flipped = etviz.mask_from_hex(before) ^ etviz.mask_from_hex(painted)
    assert flipped[0].nonzero().flatten().tolist() == [9]
    mask, index, energy, count = notebook.run(1).split()
    assert (mask, index, count) == (painted, "0", "1")
    assert float(energy) == pytest.approx(energy_of(lab[1], painted, 0), rel=1e-6)
    shown = json.loads(root.evaluate("(root) => JSON.stringify({...root.dataset})"))
    assert shown["steps"] == "12"

    notebook.run(2)
    half = etviz.mask_to_hex(etviz.half_mask(1))
    expect(root).to_have_attribute("data-shown", half, timeout=20_000)
    expect(root).to_have_attribute("data-steps", "5", timeout=20_000)
    expect(root.locator(".etviz-caption")).to_have_text("Image 2: third")
    assert root.get_attribute("data-mask") == half
    mask, index, energy, _ = notebook.run(3).split()
    assert (mask, index) == (half, "2")
    assert float(energy) == pytest.approx(energy_of(lab[1], half, 2, steps=5), rel=1e-6)


def test_the_painter_keeps_its_keys_to_itself(notebook):
    """In JupyterLab's command mode, "1" would make a heading of the cell, and "d d" delete it."""
    notebook.run(0)
    root = notebook.root
    expect(root).to_have_attribute("data-ready", "true", timeout=60_000)
    root.locator(".etviz-cell").first.focus()
    for key in ("ArrowRight", "d", "d", "4"):
        notebook.page.keyboard.press(key)
    expect(root).to_have_attribute("data-shown", etviz.mask_to_hex(etviz.center_mask(1)), timeout=20_000)
    expect(notebook.page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(4)


@pytest.mark.parametrize("width", [1440, 1280, 720])
def test_it_fits_the_cell(notebook, width):
    """A cell is narrower than a page, and JupyterLab floats the terms of lists that it finds in an output."""
    notebook.page.set_viewport_size({"width": width, "height": 1600})
    notebook.run(0)
    root = notebook.root
    expect(root).to_have_attribute("data-ready", "true", timeout=60_000)
    for tab in ("Explore", "Energy", "Attention", "Landscape"):
        root.get_by_role("tab", name=tab).click()
        notebook.page.wait_for_timeout(800)  # the readings of the tab
        if tab == "Landscape":
            expect(root.locator(".etviz-end dd").first).to_be_visible(timeout=20_000)  # disturbed descents come last
        assert root.evaluate(OVERLAPS) == []
