"""The page's address holds its state: a link shows what its sender saw, back and forward work."""

import re
from urllib.parse import parse_qs, urlsplit

import torch
from playwright.sync_api import expect

from tests.browser.conftest import Visit

LINK = "dataset=scikit-image&image=3&mask=ff00ff00ff00ff07&model=twin&steps=20&step_size=0.05&beta=0.2&seed=7&step=9"


def parameters(visit):
    return {name: values[0] for name, values in parse_qs(urlsplit(visit.page.url).query).items()}


def resting(visit):
    """The address, once scrubbing has come to rest."""
    visit.page.wait_for_timeout(400)
    return parameters(visit)


def test_a_link_shows_its_state(browser, address):
    context = browser.new_context(reduced_motion="reduce")
    visit = Visit(context, f"{address}?{LINK}")
    asked = visit.questions()[0]
    assert (asked["model"], asked["picture"]["index"], asked["mask"]) == ("twin", 3, "ff00ff00ff00ff07")
    assert visit.answers[0].json()["settings"]["beta"] == 0.2
    assert (visit.read("steps"), visit.read("step")) == ("20", "9")
    assert resting(visit) == {name: value[0] for name, value in parse_qs(LINK).items()} | {"tab": "explore"}
    context.close()


def test_opening_the_address_again_gives_the_same_picture(visit, browser):
    visit.press("Random mask")
    visit.page.get_by_role("button", name="scikit-image picture 3: rocket").click()
    expect(visit.page.get_by_text("scikit-image picture 3: rocket")).to_be_visible()
    visit.page.get_by_role("slider", name="Descent step").fill("5")
    resting(visit)
    context = browser.new_context(reduced_motion="reduce")
    other = Visit(context, visit.page.url)
    assert (other.read("mask"), other.read("step")) == (visit.read("mask"), "5")
    assert torch.equal(other.pixels("Reconstruction"), visit.pixels("Reconstruction"))
    context.close()


def test_back_and_forward(visit):
    resting(visit)
    first = visit.read("mask")
    visit.press("Clear")
    visit.press("Invert")
    assert parameters(visit)["mask"] == "f" * 16
    for go, mask in (("go_back", "0" * 16), ("go_back", first), ("go_forward", "0" * 16)):
        getattr(visit.page, go)()
        expect(visit.root).to_have_attribute("data-shown", mask)
        assert visit.read("mask") == parameters(visit)["mask"] == mask


def test_a_link_brings_what_the_views_show(browser, address):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    visit = Visit(context, f"{address}?tab=attention&head=1&memory=5&axis=mse&scale=value")
    expect(visit.page.locator(".etviz-heads button").nth(2)).to_have_attribute("aria-pressed", "true")
    visit.page.locator(".etviz-heads button").nth(1).click()
    visit.page.get_by_role("tab", name="Memories").click()
    expect(visit.page.get_by_role("heading", name="Where memory 5 fires")).to_be_visible()
    visit.page.get_by_role("tab", name="Energy").click()
    expect(visit.page.get_by_label("Right axis")).to_have_value("mse")
    value = visit.page.locator(".is-energy").get_by_role("button", name="Value of the energy")
    expect(value).to_have_attribute("aria-pressed", "true")
    visit.page.get_by_label("Right axis").select_option("psnr")
    linked = {name: resting(visit).get(name) for name in ("head", "memory", "axis", "scale")}
    assert linked == {"head": "0", "memory": "5", "axis": "psnr", "scale": "value"}
    assert not visit.complaints
    context.close()


def test_a_burst_of_strokes_is_one_entry_of_the_history(visit):
    resting(visit)
    first, before = visit.read("mask"), visit.page.evaluate("history.length")
    visit.page.clock.install(time=0)
    visit.page.clock.pause_at(1_000)  # however slow the machine is, the strokes follow each other at once
    for patch in range(6):
        visit.stroke(patch, patch + 8)
        visit.settle()
    assert visit.page.evaluate("history.length") == before + 1
    assert parameters(visit)["mask"] == visit.read("mask") != first
    visit.page.clock.run_for(3_000)
    visit.stroke(60)
    visit.settle()
    assert visit.page.evaluate("history.length") == before + 2
    visit.page.go_back()
    visit.page.go_back()
    expect(visit.root).to_have_attribute("data-shown", first)


def test_going_back_to_an_upload(visit, tmp_path):
    from PIL import Image

    Image.new("RGB", (40, 40), (200, 30, 40)).save(tmp_path / "mine.png")
    visit.page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.png")
    expect(visit.page.get_by_text("Your mine.png")).to_be_visible()
    assert parameters(visit)["dataset"] == "upload"
    visit.page.get_by_role("button", name="scikit-image picture 3: rocket").click()
    expect(visit.page.get_by_text("scikit-image picture 3: rocket")).to_be_visible()
    visit.page.go_back()
    expect(visit.page.get_by_text("Your mine.png")).to_be_visible()


def test_a_link_to_somebody_elses_upload_says_so(browser, address):
    context = browser.new_context(reduced_motion="reduce")
    visit = Visit(context, f"{address}?dataset=upload&mask=ff00ff00ff00ff07&model=tiny")
    expect(visit.page.get_by_role("alert")).to_contain_text("uploaded picture")
    assert visit.read("mask") == "ff00ff00ff00ff07"
    context.close()


def test_a_wrong_link_is_one_sentence(browser, address):
    for query, words in (
        ("model=none", "no model"),
        ("image=123456789", "no picture"),
        ("dataset=nowhere&image=1", "no pictures of"),
        ("mask=xyz", "no mask of 64"),
        ("steps=1000", "from 1 to 60"),
        ("step_size=nan", "step size must be"),
    ):
        context = browser.new_context(reduced_motion="reduce")
        visit = Visit(context, f"{address}?{query}")
        expect(visit.page.get_by_role("alert")).to_contain_text(words)
        expect(visit.root).to_have_attribute("data-steps", re.compile("12"))
        context.close()
