"""The explorer as static files: on a plain host, without one, and where hosts and browsers are at their worst."""

import json
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

from etviz.checkpoints import save_checkpoint, save_snapshot, write_history
from etviz.files import write_text
from etviz.site.build import build, write
from etviz.site.service import SiteService
from tests.browser.app import CHROMIUM, FLAGS
from tests.browser.conftest import Visit, history_row
from tests.browser.test_share import saved
from tests.browser.test_uploads import PICTURE
from tests.sites import hosting

KEPT = """async () => {
    const ready = await navigator.serviceWorker.ready;
    while (ready.active?.state !== "activated") await new Promise((resolve) => setTimeout(resolve, 20));
}"""
WATCH = """
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => violations.push(event.effectiveDirective));
"""


@pytest.fixture(scope="session")
def trained(epochs, tmp_path_factory):
    """Two models with a history; the first one has two snapshots."""
    folder = tmp_path_factory.mktemp("trained")
    for name, model in {"tiny": epochs[2], "other": epochs[1]}.items():
        save_checkpoint(model, folder / name, {"name": name, "model": "et", "epochs": 2.0, "dataset": "nothing"})
        write_history(folder / name, [history_row(1), history_row(2)])
    save_snapshot(epochs[0], folder / "tiny", 10, 0.1, 640)
    save_snapshot(epochs[1], folder / "tiny", 100, 1.0, 6400)
    return folder


@pytest.fixture(scope="session")
def make_site(trained, tmp_path_factory):
    """Builds a site of some of the models, with the pictures that come with scikit-image."""

    def make(*names, out=None, **changes):
        out = out or tmp_path_factory.mktemp("site")
        places = tuple(str(trained / name) for name in names)
        write(build(SiteService(places, "cifar10", str(trained), 8), **changes), out)
        return out

    return make


@pytest.fixture(scope="session")
def site(make_site):
    """The folder that ETVIZ_SITE names, as CI builds it with the shipped models; else a site of small models."""
    return Path(os.environ["ETVIZ_SITE"]) if os.environ.get("ETVIZ_SITE") else make_site("tiny", "other")


@pytest.fixture
def host(site):
    with hosting(site) as host:
        yield host


@pytest.fixture
def context(browser):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.add_init_script(WATCH)
    yield context
    context.close()


def visit_kept(context, address):
    """A visit, until the page could open offline."""
    visit = Visit(context, address)
    visit.page.evaluate(KEPT)
    return visit


def paints(visit, *patches):
    before = visit.read("mask")
    visit.stroke(*patches)
    visit.settle()
    return visit.read("mask") != before


def assert_quiet(visit, host):
    """Nothing went wrong, and nobody else was asked."""
    over_the_wire = [url for url in visit.requests if not url.startswith(("blob:", "data:"))]
    assert {urlsplit(url).netloc for url in over_the_wire} == {urlsplit(host.address).netloc}
    assert visit.page.evaluate("violations") == []
    assert not visit.complaints


def test_every_tab_works_and_nobody_else_is_asked(context, host):
    visit = Visit(context, host.address)
    assert paints(visit, 3, 12)
    tabs = visit.page.get_by_role("tab")
    for tab in tabs.all():
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        visit.page.wait_for_load_state("networkidle")
        visit.settle()
        expect(visit.page.get_by_role("alert")).to_be_hidden()
    assert tabs.count() == 8
    assert_quiet(visit, host)


def test_the_policy_forbids_other_scripts_and_hosts(context, host):
    visit = Visit(context, host.address)
    tried = visit.page.evaluate("""async () => {
        const script = document.createElement("script");
        script.textContent = "window.evil = true";
        document.head.append(script);
        await fetch("http://127.0.0.2:9/?" + document.title).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 50));
        return [window.evil ?? false, ...violations.map((directive) => directive.replace("-elem", ""))];
    }""")
    assert tried == [False, "script-src", "connect-src"]


def test_a_link_shows_what_its_sender_saw(context, host):
    visit = Visit(context, host.address)
    visit.stroke(3, 12)
    visit.settle()
    visit.page.get_by_role("tab", name="Attention").click()
    visit.page.wait_for_timeout(300)  # the address is written once scrubbing rests
    link, mask = visit.page.url, visit.read("mask")
    other = Visit(context, link)  # a second tab, while the first is open
    other.settle()
    assert other.read("mask") == mask
    expect(other.page.get_by_role("tab", name="Attention")).to_have_attribute("aria-selected", "true")
    assert paints(visit, 40, 41)
    assert paints(other, 50, 51)


def test_a_page_that_a_phone_dropped_comes_back_as_it_was(context, host):
    visit = Visit(context, host.address)
    visit.stroke(3, 12)
    visit.settle()
    mask = visit.read("mask")
    visit.page.reload()
    expect(visit.root).to_have_attribute("data-ready", "true")
    assert visit.read("mask") == mask


def test_the_page_opens_and_computes_without_its_host(context, site):
    with hosting(site) as host:
        visit_kept(context, host.address).page.close()
        first = list(host.asked)
    visit = Visit(context, f"{host.address}?tab=energy")
    assert paints(visit, 3, 12)
    expect(visit.page.get_by_role("tab", name="Energy")).to_have_attribute("aria-selected", "true")
    twice = {path for path in first if path and first.count(path) > 1 and "icon" not in path}
    assert not twice  # keeping the page fetched no file again


@pytest.mark.parametrize("media_type", ["application/octet-stream", "text/plain"])
def test_a_host_that_knows_no_media_types(context, site, media_type):
    with hosting(site, media_type=media_type) as host:
        visit = Visit(context, host.address)
        assert paints(visit, 3, 12)


def test_a_renewed_site_is_never_mixed_with_the_old_one(context, make_site, tmp_path):
    old, new = make_site("tiny", out=tmp_path / "old"), make_site("other", "tiny", out=tmp_path / "new")
    os.utime(new / "index.html", (time.time() + 60,) * 2)  # a plain host goes by whole seconds
    with hosting(old) as host:
        visit = visit_kept(context, host.address)
    with hosting(new, host.server_port) as host:
        assert paints(visit, 3, 12)  # the open page goes on as it was
        assert visit.page.locator(".etviz-model").inner_text().startswith("tiny")
        visit.page.goto(host.address)
        expect(visit.root).to_have_attribute("data-ready", "true")
        assert visit.page.get_by_label("Model", exact=True).input_value() == "other"
        assert paints(visit, 40, 41)
        visit.page.wait_for_function("async () => (await caches.keys()).length === 2")
    visit.page.reload()  # no host: the version that was kept whole is shown
    expect(visit.root).to_have_attribute("data-ready", "true")
    assert paints(visit, 50, 51)
    assert not visit.complaints


@pytest.fixture
def forgetful(browser, tmp_path):
    """A browser in which all cookies are blocked: Chromium then refuses pages every kind of storage."""
    settings = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    write_text(tmp_path / "Default" / "Preferences", json.dumps(settings))
    context = browser.browser_type.launch_persistent_context(
        tmp_path, executable_path=CHROMIUM, args=FLAGS, reduced_motion="reduce"
    )
    yield context
    context.close()


def test_a_browser_that_stores_nothing(forgetful, host):
    visit = Visit(forgetful, host.address)
    assert paints(visit, 3, 12)
    kept = visit.page.evaluate("caches.keys().then((names) => names.length, (problem) => problem.name)")
    assert kept == "SecurityError"  # it is as forgetful as this test believes
    assert not visit.complaints


def test_a_browser_without_webassembly(context, make_site, tmp_path):
    """A policy that forbids it stands for such a browser."""
    index = make_site("tiny", out=tmp_path / "site") / "index.html"
    index.write_text(index.read_text().replace(" &#39;wasm-unsafe-eval&#39;", ""))
    assert "wasm" not in index.read_text()
    with hosting(tmp_path / "site") as host:
        visit = Visit(context, host.address)
        assert paints(visit, 3, 12)


def test_an_upload_stays_in_the_browser(context, host, tmp_path):
    colours = torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8)
    Image.fromarray(colours.numpy()).save(tmp_path / "mine.png")
    visit = Visit(context, host.address)
    before = len(host.asked)
    visit.page.locator(PICTURE).set_input_files(tmp_path / "mine.png")
    expect(visit.page.get_by_text("Your mine.png, cropped and resized to 32x32")).to_be_visible()
    visit.settle()
    assert torch.equal(visit.pixels("Original"), colours.permute(2, 0, 1))
    assert not [path for path in host.asked[before:] if path and not path.startswith(("assets/", "sw.js"))]
    visit.page.reload()  # as when a phone drops the page: the picture is in the tab's history
    expect(visit.page.get_by_text("Your mine.png, cropped and resized to 32x32")).to_be_visible()


def test_a_part_that_is_gone_is_said_and_the_page_goes_on(context, make_site):
    with hosting(make_site("tiny", "other")) as host:
        visit = Visit(context, host.address)
        assert paints(visit, 3, 12)
    visit.page.get_by_label("Model", exact=True).select_option("other")
    expect(visit.page.get_by_role("alert")).to_contain_text("could not fetch a part of itself")
    assert visit.page.get_by_label("Model", exact=True).input_value() == "tiny"
    assert paints(visit, 40, 41)


def test_a_page_opened_as_a_file_says_what_to_do(context, site):
    page = context.new_page()
    page.goto(f"file://{site}/index.html")
    expect(page.get_by_role("alert")).to_contain_text("python -m http.server")


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_needs_no_scrolling_sideways(browser, host, width):
    context = browser.new_context(viewport={"width": width, "height": 844}, reduced_motion="reduce")
    visit = Visit(context, host.address)
    assert visit.sideways() <= 0
    assert not visit.poor_contrast()
    context.close()


def test_a_saved_page_goes_on_without_the_site(context, browser, site, tmp_path):
    with hosting(site) as host:
        visit = Visit(context, f"{host.address}?image=3")
        assert paints(visit, 3, 12)
        file = saved(visit, "Page that computes")
        file.save_as(tmp_path / "live.html")
    assert file.suggested_filename.endswith(f"-3-{visit.read('mask')}.live.html")
    other = browser.new_context(offline=True, reduced_motion="reduce")
    live = Visit(other, f"file://{tmp_path}/live.html")
    assert live.read("mask") == visit.read("mask")
    assert torch.equal(live.pixels("Original"), visit.pixels("Original"))
    assert torch.equal(live.pixels("Reconstruction"), visit.pixels("Reconstruction"))
    for each in (live, visit):
        each.stroke(40, 41)
        each.settle()
    assert torch.equal(live.pixels("Original"), visit.pixels("Original"))  # now from the file's own sprite
    assert torch.equal(live.pixels("Reconstruction"), visit.pixels("Reconstruction"))
    live.page.get_by_text("Share", exact=True).click()
    live.page.get_by_role("button", name="Page that computes").click()
    expect(live.page.get_by_role("alert")).to_contain_text("send it on as it is")
    assert not live.complaints
    other.close()
