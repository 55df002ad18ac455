"""The Guide in a real browser: its pictures are the live state's, its buttons lead and lead back, its game hides."""

import re
from collections import Counter

import pytest
import torch
from playwright.sync_api import expect

import etviz
from etviz import analysis
from etviz.examples import CARRIED, carried_pictures
from etviz.masks import num_hidden
from etviz.ui.payload import to_bytes
from tests.browser.conftest import Visit


def open_guide(visit):
    visit.page.get_by_role("tab", name="Guide").click()
    expect(visit.page.locator(".etviz-lesson.is-memories > p")).to_contain_text("memories")


def button(visit, name):
    return visit.page.get_by_role("button", name=name)


def index_on_screen(visit):
    return int(visit.page.get_by_role("spinbutton", name="Picture number").input_value())


# ---- the five steps ----------------------------------------------------------------------------------------------


def test_its_pictures_are_drawn_from_the_live_state(visit, model):
    open_guide(visit)
    image = carried_pictures(32).images[index_on_screen(visit)]
    assert torch.equal(visit.pixels(re.compile("^The picture$")), image)
    cut = visit.pixels("The picture cut into its patches")  # (3, 39, 39): eight patches of four, and seven gaps
    inside = [place for place in range(39) if place % 5 != 4]
    assert torch.equal(cut[:, inside][:, :, inside], image)
    mask = etviz.mask_from_hex(visit.read("mask"))
    trace = model.trace(image[None].float() / 255, mask)
    expected = to_bytes(etviz.complete(image[None].float() / 255, trace.frames[:, 3], mask))[0]
    assert (visit.pixels("Step 3").int() - expected.int()).abs().max() <= 1
    visit.page.get_by_role("slider", name="Descent step").fill("5")
    told = (
        visit.page.locator(".etviz-lesson.is-energy > p").inner_text().replace("\N{MINUS SIGN}", "-").replace(",", "")
    )
    assert float(re.search(r"-?\d+\.\d+", told)[0]) == pytest.approx(trace.energy[0, 5].item(), abs=0.06)
    g = model.descent.normalized(trace.tokens[:, -1])[0]
    most = (g @ model.descent.blocks[0].memories.T).relu().square().sum(0).argmax()
    carried = (g @ model.descent.blocks[0].memories.T).relu().square().sum(0)
    share = (carried.sort(descending=True).values[:25].sum() / carried.sum()).item()
    expect(visit.page.locator(".etviz-lesson.is-memories > p")).to_contain_text(f"carry {100 * share:.0f}% of")
    sheet = visit.pixels("Memories, decoded as patches")
    assert torch.equal(sheet[:, :4, :4], to_bytes(analysis.memory_patches(model))[most])


def test_a_button_sets_the_state_and_another_leads_back(visit):
    open_guide(visit)
    before = visit.read("mask")
    button(visit, "Walk down from step 0").click()
    expect(visit.root).to_have_attribute("data-tab", "landscape")
    assert visit.read("mask") == etviz.mask_to_hex(etviz.half_mask(which="right"))
    assert visit.read("shown") == visit.read("mask")
    assert visit.read("step") == "0"
    button(visit, "Back to the Guide tab").click()
    expect(visit.root).to_have_attribute("data-tab", "guide")
    expect(button(visit, "Back to the Guide tab")).to_be_hidden()
    visit.page.go_back()
    visit.page.go_back()
    expect(visit.root).to_have_attribute("data-tab", "guide")
    expect(visit.root).to_have_attribute("data-shown", before)


def test_its_masks_and_settings(browser, address):
    context = browser.new_context(reduced_motion="reduce")
    visit = Visit(context, f"{address}?tab=guide&steps=20&beta=0.3")
    assert visit.read("steps") == "20"
    button(visit, "Hide every second patch").click()
    expect(visit.root).to_have_attribute("data-tab", "explore")
    assert visit.read("mask") == etviz.mask_to_hex(etviz.grid_mask())
    assert visit.read("steps") == visit.read("step") == "12"  # the model's own settings
    button(visit, "Back to the Guide tab").click()
    button(visit, "Hide 85% at random").click()
    expect(visit.root).to_have_attribute("data-tab", "explore")
    assert visit.read("hidden") == str(num_hidden(0.85))
    assert visit.read("step") == "0"
    drawn = visit.read("mask")
    visit.press("Undo (Ctrl+Z)")
    assert visit.read("mask") == etviz.mask_to_hex(etviz.grid_mask())
    visit.page.evaluate("Math.random = () => 0.4321")
    button(visit, "Back to the Guide tab").click()
    button(visit, "Hide 85% at random").click()
    expect(visit.root).to_have_attribute("data-tab", "explore")
    generator = torch.Generator().manual_seed(4321)
    assert visit.read("mask") == etviz.mask_to_hex(etviz.random_mask(1, generator=generator)) != drawn
    expect(visit.page.get_by_label("Seed of random masks")).to_have_value("4321")
    assert not visit.complaints
    context.close()


# ---- predict, then reveal ----------------------------------------------------------------------------------------


def start_game(visit):
    open_guide(visit)
    button(visit, "Start the game").click()
    expect(visit.page.locator(".etviz-choices button")).to_have_count(4)


def everything_drawn(visit):
    """All pixels on every visible canvas of the page: [(pixels, 3)]."""
    script = """() => [...document.querySelectorAll(".etviz canvas")]
        .filter((canvas) => canvas.checkVisibility({ visibilityProperty: true }))
        .map((canvas) => [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data])"""
    return [torch.tensor(data).reshape(-1, 4)[:, :3] for data in visit.page.evaluate(script)]


def hidden_colours(visit):
    """Colours that lie under the mask and nowhere in what is visible, of the picture asked for last."""
    image = carried_pictures(32).images[visit.questions()[-1]["picture"]["index"]]
    mask = etviz.mask_from_hex(visit.read("mask")).reshape(8, 8).repeat_interleave(4, 0).repeat_interleave(4, 1)
    split = [Counter(map(tuple, image[:, pixels].T.tolist())) for pixels in (mask, ~mask)]
    return set(split[0]) - set(split[1])


def shows_original(visit):
    """How many of the colours under the mask are anywhere on screen."""
    colours = hidden_colours(visit)
    assert len(colours) > 50
    drawn = set().union(*({tuple(colour) for colour in pixels.tolist()} for pixels in everything_drawn(visit)))
    return len(colours & drawn) / len(colours)


def test_the_original_is_nowhere_until_it_is_shown(visit):
    visit.press("Random mask")
    start_game(visit)
    assert shows_original(visit) < 0.05  # a few colours by chance
    expect(visit.page.locator(".etviz-thumbs")).to_be_hidden()
    expect(visit.page.locator(".etviz-caption")).to_have_text("Which picture is this?")
    visit.page.keyboard.press("0")  # would show all patches
    visit.page.keyboard.press("Control+z")
    assert int(visit.read("hidden")) > 16
    visit.stroke(0, 7)
    for tab in visit.page.get_by_role("tab", include_hidden=True).all():
        tab.evaluate("(node) => node.focus()")
        visit.page.keyboard.press("Enter")
    assert visit.read("tab") == "guide"
    assert shows_original(visit) < 0.05
    button(visit, "Reveal all at once").click()
    assert shows_original(visit) < 0.05
    button(visit, "Show the original").click()
    assert shows_original(visit) == 1
    expect(visit.page.locator(".etviz-thumbs")).to_be_visible()


def test_the_reconstruction_comes_step_by_step(visit, model):
    start_game(visit)
    veiled = visit.pixels("Rebuilt")
    image = carried_pictures(32).images[visit.questions()[-1]["picture"]["index"]][None].float() / 255
    mask = etviz.mask_from_hex(visit.read("mask"))
    pixels = mask.reshape(8, 8).repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert (veiled[:, pixels] == 0).all()  # holes
    assert visit.page.get_by_role("slider", name="Descent step").evaluate("(node) => !!node.closest('[inert]')")
    frames = model.trace(image, mask).frames[0]
    for step in range(3):
        button(visit, "Reveal the next step").click()
        expected = to_bytes(etviz.complete(image, frames[step : step + 1], mask))[0]
        assert visit.read("step") == str(step)
        assert (visit.pixels("Rebuilt").int() - expected.int()).abs().max() <= 1
    visit.page.get_by_role("slider", name="Descent step").fill("12")
    expect(button(visit, "Reveal the next step")).to_be_disabled()


def test_the_score_counts_guesses_and_outlives_a_game(visit):
    start_game(visit)
    for played, right in ((1, True), (2, False)):
        truth = list(CARRIED.values())[visit.questions()[-1]["picture"]["index"]]
        names = visit.page.locator(".etviz-choices button").all_inner_texts()
        assert truth in names
        guess = truth if right else next(name for name in names if name != truth)
        visit.page.get_by_role("button", name=guess, exact=True).click()
        expect(visit.page.get_by_role("button", name=guess, exact=True)).to_have_attribute("aria-pressed", "true")
        button(visit, "Reveal all at once").click()
        expect(visit.page.get_by_role("button", name=guess, exact=True)).to_be_disabled()
        button(visit, "Show the original").click()
        expect(visit.page.locator(".etviz-game-verdict")).to_contain_text(f"It is: {truth}.")
        expect(visit.page.locator(".etviz-score")).to_have_text(f"Score: 1 of {played}")
        button(visit, "Next picture").click()
        expect(visit.page.get_by_role("heading", name="What is under the mask?")).to_be_focused()
        expect(visit.page.locator(".etviz-choices button[aria-pressed=true]")).to_have_count(0)
        expect(visit.page.locator(".etviz-choices button")).to_have_count(4)
    button(visit, "End the game").click()
    expect(button(visit, "Start the game")).to_be_focused()
    button(visit, "Start the game").click()
    expect(visit.page.locator(".etviz-score")).to_have_text("Score: 1 of 2")


def test_every_round_has_another_picture_and_another_mask(visit):
    before, painted = index_on_screen(visit), visit.read("mask")
    start_game(visit)
    assert visit.read("mask") == painted  # the first round keeps what the reader painted
    pictures, masks = [before], [painted]
    for _ in range(3):
        pictures.append(visit.questions()[-1]["picture"]["index"])
        assert pictures[-1] != pictures[-2]
        button(visit, "Reveal all at once").click()
        button(visit, "Show the original").click()
        button(visit, "Next picture").click()
        expect(visit.page.locator(".etviz-choices button")).to_have_count(4)
        masks.append(visit.read("mask"))
        assert visit.read("hidden") == str(num_hidden(0.85))
    assert len(set(masks)) == 4


def test_going_back_in_history_ends_the_game(visit):
    start_game(visit)
    visit.page.go_back()
    expect(button(visit, "Start the game")).to_be_visible()
    expect(visit.page.locator(".etviz-thumbs")).to_be_visible()
    visit.stroke(0, 1)  # and everything works again
    visit.settle()


def test_a_mask_that_hides_little_is_replaced(visit):
    visit.press("Clear")
    start_game(visit)
    assert visit.read("hidden") == str(num_hidden(0.85))


def test_a_phone_shows_steps_and_game_in_one_column(phone):
    open_guide(phone)
    assert phone.sideways() <= 0
    button(phone, "Start the game").click()
    expect(phone.page.locator(".etviz-choices button")).to_have_count(4)
    assert phone.sideways() <= 0
    assert not phone.complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_text_has_contrast(browser, address, scheme):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    visit = Visit(context, address)
    open_guide(visit)
    assert visit.poor_contrast() == []
    assert visit.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    button(visit, "Start the game").click()
    expect(visit.page.locator(".etviz-choices button")).to_have_count(4)
    visit.page.locator(".etviz-choices button").first.click()
    assert visit.poor_contrast() == []
    context.close()
