"""Attention and Memories in a real browser: numbers against the Python API, choosing, scrubbing, keys, a phone."""

import re

import pytest
import torch
from playwright.sync_api import expect

import etviz
from etviz import analysis
from etviz.ui.payload import decode_pixels
from tests.browser.conftest import Visit

TABS = ("attention", "memories")


def open_tab(visit, name):
    """A view of a new descent, and that descent by the Python API's account."""
    visit.press("Random mask")
    trace = visit.answers[-1].json()
    visit.page.get_by_role("tab", name=name).click()
    expect(visit.page.locator(".is-waiting")).to_have_count(0)
    image = decode_pixels(trace["image"], 32)[None].float() / 255
    return image, etviz.mask_from_hex(trace["mask"])


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))


def option(visit, panel, patch):
    name = re.compile(f"^row {patch // 8 + 1}, column {patch % 8 + 1}(:|$)")
    return visit.page.locator(f".etviz-{panel}").get_by_role("option", name=name)


def scrub(visit, step):
    visit.page.get_by_role("slider", name="Descent step").fill(str(step))


def test_attention_on_screen_equals_the_python_api(visit, model):
    image, mask = open_tab(visit, "Attention")
    option(visit, "attention", 10).first.click()
    expect(visit.page.get_by_role("heading", name="Row 2, column 3")).to_be_visible()
    scrub(visit, 3)
    roles = analysis.attention_roles(model.trace(image, mask), 10)
    for place, weights in enumerate((roles.as_query, roles.as_key)):
        shown = option(visit, "attention", 50).nth(place).get_attribute("aria-label")
        assert number(shown.split(": ")[1].split(",")[0]) == pytest.approx(weights[3].mean(0)[51].item(), abs=6e-5)
        cls = visit.page.locator(".etviz-attention .etviz-cls b").nth(place).inner_text()
        assert number(cls) == pytest.approx(weights[3].mean(0)[0].item(), abs=6e-4)


def test_the_first_patch_is_a_hidden_one_and_the_address_keeps_another(visit):
    _, mask = open_tab(visit, "Attention")
    chosen = visit.page.locator(".etviz-attention [role=option][aria-selected=true]").first
    row, column = map(int, re.match(r"row (\d), column (\d)", chosen.get_attribute("aria-label")).groups())
    hidden = mask[0].nonzero()[:, 0]
    distance = torch.hypot(hidden // 8 - 3.5, hidden % 8 - 3.5)
    assert (row - 1) * 8 + column - 1 == hidden[distance.argmin()]
    chosen.focus()
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("ArrowDown")
    expect(visit.page).to_have_url(re.compile(rf"[?&]patch={row * 8 + column}(&|$)"))
    expect(option(visit, "attention", row * 8 + column).first).to_be_focused()
    visit.page.get_by_role("tab", name="Memories").click()
    expect(visit.page.get_by_role("heading", name=f"Strongest at row {row + 1}, column {column + 1}")).to_be_visible()


def test_a_head_is_enlarged_and_its_entropy_is_that_of_the_python_api(visit, model):
    image, mask = open_tab(visit, "Attention")
    option(visit, "attention", 30).first.click()
    expect(visit.page.get_by_role("heading", name="Row 4, column 7")).to_be_visible()
    trace = model.trace(image, mask)
    card = visit.page.get_by_role("button", name="Head 1")
    bits = analysis.attention_entropy(trace).bits[12, 1].item()
    assert f"entropy {bits:.2f} of at most 6.02 bits at step 12" in card.get_attribute("aria-label")
    card.focus()
    visit.page.keyboard.press("Enter")
    expect(card).to_have_attribute("aria-pressed", "true")
    shown = option(visit, "attention", 50).first.get_attribute("aria-label")
    weight = analysis.attention_roles(trace, 30).as_query[12, 1, 51].item()
    assert number(shown.split(": ")[1].split(",")[0]) == pytest.approx(weight, abs=6e-5)


def test_memories_on_screen_equal_the_python_api(visit, model):
    image, mask = open_tab(visit, "Memories")
    option(visit, "memories", 10).click()
    expect(visit.page.get_by_role("heading", name="Strongest at row 2, column 3")).to_be_visible()
    scrub(visit, 5)
    trace = model.trace(image, mask)
    energy = analysis.memory_energy(model, trace)[5]
    carried = (energy.sort().values[:20].sum() / energy.sum()).item()
    expect(visit.page.locator(".etviz-carried .is-picture b")).to_have_text(f"{100 * carried:.0f}%")
    top, values = analysis.top_memories(model, trace, token=11)
    card = visit.page.locator(".etviz-top-memories button").nth(2)
    assert card.get_attribute("aria-label").startswith(f"Memory {top[5, 2]}: ")
    assert number(card.locator("b").inner_text()) == pytest.approx(values[5, 2].item(), rel=1e-3)
    card.click()
    expect(visit.page.get_by_role("heading", name=f"Where memory {top[5, 2]} fires")).to_be_visible()
    shown = option(visit, "memories", 10).get_attribute("aria-label")
    assert number(shown.split("energy ")[1]) == pytest.approx(values[5, 2].item(), rel=1e-3)


def test_memories_are_walked_by_keyboard_in_the_order_of_their_use(visit, model):
    image, mask = open_tab(visit, "Memories")
    order = analysis.memory_energy(model, model.trace(image, mask))
    grid = visit.page.get_by_role("slider", name="Memories by use")
    grid.focus()
    for key in ("Home", "ArrowRight", "ArrowRight"):
        grid.press(key)
    for name, energy in (("At this step", order[12]), ("Over the descent", order.mean(0))):
        visit.page.get_by_role("button", name=name).click()
        grid.press("Home")
        grid.press("ArrowRight")
        expect(grid).to_have_attribute("aria-valuetext", re.compile(f"^Memory {energy.argsort()[1]}, number 2 by use"))
    first = visit.page.get_by_role("slider", name="Number of memories")
    first.fill("100")
    share = (order.mean(0).sort().values[:100].sum() / order.mean(0).sum()).item()
    sentence = f"The 100 strongest of 256 memories carry {100 * share:.0f}%"
    expect(visit.page.locator(".etviz-carried")).to_contain_text(sentence)


@pytest.mark.parametrize(("name", "readings"), [("Attention", 1), ("Memories", 3)])
def test_scrubbing_asks_nobody_and_a_new_mask_asks_once_a_reading(visit, name, readings):
    open_tab(visit, name)
    visit.page.wait_for_timeout(300)
    panel = visit.page.get_by_role("tabpanel", name=name)
    asked, before = len(visit.answers), panel.inner_text()
    assert asked == 1 + readings
    scrub(visit, 2)
    assert panel.inner_text() != before
    assert len(visit.answers) == asked
    visit.press("Invert")
    expect(visit.page.locator(".is-waiting")).to_have_count(0)
    visit.page.wait_for_timeout(300)
    assert len(visit.answers) == asked + 1 + readings


def test_a_model_with_another_grid_has_both_views(visit):
    open_tab(visit, "Memories")
    visit.page.locator(".etviz-model select").select_option("coarse")
    expect(visit.root).to_have_attribute("data-hidden", re.compile(r"^1?\d$"))
    expect(visit.page.locator(".is-waiting")).to_have_count(0)
    expect(visit.page.locator(".etviz-memories [role=option]")).to_have_count(16)
    visit.page.get_by_role("tab", name="Attention").click()
    expect(visit.page.locator(".etviz-attention [role=option]")).to_have_count(32)


@pytest.mark.parametrize("tab", TABS)
def test_a_phone_has_no_sideways_scroll(browser, address, tab):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce")
    visit = Visit(context, f"{address}?tab={tab}&patch=28")
    expect(visit.page.locator(".is-waiting")).to_have_count(0)
    for patch in (0, 28, 36, 63):
        option(visit, tab, patch).first.tap()
        visit.page.wait_for_timeout(100)
        assert visit.sideways() <= 0
    if tab == "memories":
        visit.page.get_by_role("slider", name="Memories by use").tap(position={"x": 150, "y": 20})
        assert visit.sideways() <= 0
    assert not visit.complaints
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("tab", TABS)
def test_the_view_fits_and_its_text_has_contrast(browser, address, tab, scheme):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    visit = Visit(context, f"{address}?tab={tab}")
    expect(visit.page.locator(".is-waiting")).to_have_count(0)
    visit.page.wait_for_timeout(500)  # the last transition
    assert visit.poor_contrast() == []
    assert visit.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    context.close()
