"""The Share menu: files that arrive, and a page that replays the descent with no server behind."""

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import Visit


def saved(visit, name):
    if not visit.page.locator(".etviz-share[open]").count():
        visit.page.get_by_text("Share", exact=True).click()
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name=name).click()
    return download.value


def test_the_zip_holds_what_is_on_screen(visit):
    visit.stroke(3, 4)
    visit.settle()
    download = saved(visit, "Everything (ZIP)")
    number = visit.page.get_by_role("spinbutton", name="Picture number").input_value()
    assert download.suggested_filename == f"etviz-tiny-scikit-image-{number}-{visit.read('mask')}.zip"
    archive = zipfile.ZipFile(io.BytesIO(download.path().read_bytes()))
    picture = torch.from_numpy(np.array(Image.open(archive.open("reconstruction.png")))).permute(2, 0, 1)
    assert (picture.int() - visit.pixels("Reconstruction").int()).abs().max() <= 1


def test_the_gif_is_one(visit):
    assert Image.open(saved(visit, "Film (GIF)").path()).n_frames == 13


def test_the_link_is_copied(visit):
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.page.wait_for_timeout(400)
    visit.page.get_by_text("Share", exact=True).click()
    visit.page.get_by_role("button", name="Copy link").click()
    expect(visit.page.get_by_text("Link copied")).to_be_visible()
    assert visit.page.evaluate("navigator.clipboard.readText()") == visit.page.url
    visit.page.keyboard.press("Escape")
    expect(visit.page.get_by_role("button", name="Copy link")).to_be_hidden()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_saved_page_replays_offline(visit, browser, tmp_path, width):
    visit.stroke(3, 4)
    visit.settle()
    saved(visit, "Page that replays it").save_as(tmp_path / "replay.html")
    context = browser.new_context(viewport={"width": width, "height": 844}, offline=True, reduced_motion="reduce")
    page, complaints, requests = context.new_page(), [], []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"file://{tmp_path}/replay.html")
    root = page.locator(".etviz")
    expect(root).to_have_attribute("data-ready", "true")
    assert root.get_attribute("data-mask") == visit.read("mask")
    slider = page.get_by_role("slider", name="Descent step")
    slider.fill("4")
    visit.page.get_by_role("slider", name="Descent step").fill("4")
    read = """(canvas) => [...canvas.getContext("2d").getImageData(0, 0, 32, 32).data]"""
    canvases = [p.get_by_role("img", name="Reconstruction") for p in (page, visit.page)]
    assert canvases[0].evaluate(read) == canvases[1].evaluate(read)
    page.keyboard.press("6")  # nothing can be asked for here
    assert root.get_attribute("data-mask") == visit.read("mask")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert complaints == []
    context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_saved_page_computes_offline(visit, browser, tmp_path, width):
    visit.stroke(3, 4)
    visit.settle()
    saved(visit, "Page that computes").save_as(tmp_path / "live.html")
    context = browser.new_context(viewport={"width": width, "height": 844}, offline=True, reduced_motion="reduce")
    live = Visit(context, f"file://{tmp_path}/live.html")
    assert live.read("mask") == visit.read("mask")
    for each in (live, visit):
        each.stroke(20, 30, 40)
        each.settle()
    assert live.read("mask") == visit.read("mask")
    ours, theirs = (each.pixels("Reconstruction").int() for each in (live, visit))
    assert (ours - theirs).abs().max() <= 2  # half precision, and rounding
    if width == 1440:
        tabs = live.page.get_by_role("tab")
        for tab in tabs.all():
            tab.click()
            live.settle()
            expect(live.page.get_by_role("alert")).to_be_hidden()
        assert tabs.count() == 7  # a file carries no trainings
    assert live.sideways() <= 0
    assert [url for url in live.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert live.complaints == []
    context.close()
