"""What is on the first screen, at the sizes of a notebook, a projector, a tablet and a phone."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit

SIZES = {"notebook": (1440, 900), "projector": (1280, 720), "tablet": (820, 1180), "phone": (390, 844)}
TABS = ["Explore", "Energy", "Attention", "Memories", "Landscape", "Compare", "Training", "Guide"]


def opened(browser, address, size):
    context = browser.new_context(viewport=dict(zip(("width", "height"), size, strict=True)), reduced_motion="reduce")
    return Visit(context, address)


def on_screen(visit, locator):
    """Whether all of an element is in the window, and nothing lies over its middle."""
    script = """(node) => {
        const {left, right, top, bottom} = node.getBoundingClientRect();
        const above = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
        const within = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
        return within && (node === above || node.contains(above) || above.contains(node));
    }"""
    return locator.evaluate(script)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_picture_painter_result_and_play_share_the_first_screen(browser, address, size):
    visit = opened(browser, address, size)
    result = visit.page.locator(".is-result canvas:visible").first
    narrow = visit.page.locator(".etviz-preview").is_visible()
    picture = visit.page.get_by_role("img", name="Picture" if narrow else "Original", exact=True)
    play = visit.page.get_by_role("button", name="Play the descent")
    painter = visit.page.locator(".etviz-paint")
    wanted = {"painter": painter, "result": result, "picture": picture, "play": play}
    assert {name: on_screen(visit, locator) for name, locator in wanted.items()} == dict.fromkeys(wanted, True)
    assert visit.sideways() <= 0
    visit.page.context.close()


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_play_is_on_screen_on_every_tab(browser, address, size):
    visit = opened(browser, address, size)
    for tab in TABS:
        visit.page.get_by_role("tab", name=tab).evaluate("(node) => node.click()")
        visit.page.evaluate("scrollTo(0, 0)")
        assert on_screen(visit, visit.page.get_by_role("button", name="Play the descent")), tab
    visit.page.context.close()


def test_the_result_beside_the_painter_is_that_of_the_view(browser, address):
    visit = opened(browser, address, SIZES["phone"])
    for step in ("12", "3"):
        visit.page.get_by_role("slider", name="Descent step").fill(step)
        assert (visit.pixels("Result") == visit.pixels("Reconstruction")).all()
        expect(visit.page.locator(".etviz-preview")).to_contain_text(f"step {step}")
    assert (visit.pixels("Picture") == visit.pixels("Original")).all()
    visit.page.context.close()


@pytest.mark.parametrize("width", [1200, 1240, 1280, 1320, 1366, 1400])
def test_no_number_lies_over_another(browser, address, width):
    visit = opened(browser, f"{address}?model=tiny", (width, 800))
    expect(visit.page.locator(".etviz-comparison .is-best").first).to_be_visible()
    script = """() => {
        const parts = ".is-explore :is(.etviz-readout :is(dt, dd), .etviz-comparison :is(th, td), figcaption span)";
        const boxes = [...document.querySelectorAll(parts)].filter((node) => node.checkVisibility()).map((node) => {
            const range = document.createRange();
            range.selectNodeContents(node);
            return [node.textContent, range.getBoundingClientRect()];
        });
        const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
            Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
        return boxes.flatMap(([name, box], i) => boxes.slice(i + 1)
            .filter(([, other]) => over(box, other)).map(([other]) => `${name} / ${other}`));
    }"""
    assert visit.page.evaluate(script) == []
    visit.page.context.close()


def test_the_step_cursor_leaves_room_on_an_enlarged_page(browser, address):
    visit = opened(browser, address, (320, 256))
    transport = visit.page.locator(".etviz-transport")
    assert transport.evaluate("(node) => getComputedStyle(node).position") == "static"
    visit.page.context.close()
