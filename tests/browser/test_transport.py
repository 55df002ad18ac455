"""The step cursor: single steps, slow motion, keys, and on to 60 steps."""

import pytest
import torch
from playwright.sync_api import expect

import etviz
from etviz.models import complete
from etviz.ui.payload import decode_pixels, to_bytes


def test_single_steps_by_button_and_by_key(visit):
    press = visit.page.keyboard.press
    visit.page.get_by_role("button", name="Step back").click()
    assert visit.read("step") == "11"
    visit.page.locator(".etviz-cell").first.focus()
    for key, step in ((",", "10"), (",", "9"), (".", "10")):
        press(key)
        assert visit.read("step") == step
    visit.page.get_by_role("button", name="Step forward").click()
    visit.page.get_by_role("button", name="Step forward").click()
    expect(visit.page.get_by_role("button", name="Step forward")).to_be_disabled()
    press(".")
    assert visit.read("step") == "12"
    assert not visit.answers  # the keys paint nothing


def test_keys_work_where_nothing_has_the_focus(visit):
    visit.page.keyboard.press(",")
    assert visit.read("step") == "11"
    visit.page.locator(".etviz-panel.is-explore h2").first.click()  # nothing there takes the focus
    visit.page.keyboard.press(".")
    assert visit.read("step") == "12"
    visit.page.mouse.click(3, 3)
    visit.page.keyboard.press("0")
    visit.settle()
    assert visit.read("hidden") == "0"
    visit.page.keyboard.press("Control+z")
    visit.settle()
    assert visit.read("hidden") == "21"


def test_keys_are_characters_where_one_types(visit):
    visit.page.get_by_text("More masks").click()
    field = visit.page.get_by_role("textbox", name="Mask in hexadecimal")
    field.focus()
    field.press(",")
    field.press("p")
    assert visit.read("step") == "12"
    expect(field).to_have_value(",p")
    expect(visit.page.get_by_role("button", name="Pause")).to_have_count(0)


def test_p_plays_and_pauses(visit):
    visit.page.locator(".etviz-cell").first.focus()
    visit.page.keyboard.press("p")
    expect(visit.page.get_by_role("button", name="Pause")).to_be_visible()
    visit.page.keyboard.press("P")
    expect(visit.page.get_by_role("button", name="Play the descent")).to_be_visible()


def stop_the_clock(visit):
    visit.page.clock.install(time=0)
    visit.page.clock.pause_at(1_000)


def test_slow_motion_is_as_slow_as_it_says(visit):
    """The page's clock is the test's: a step takes 170 ms at full speed."""
    stop_the_clock(visit)
    for name, duration in (("Quarter speed", 680), ("Half speed", 340), ("Full speed", 170)):
        visit.page.get_by_role("button", name=name).click()
        expect(visit.page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
        visit.page.get_by_role("slider", name="Descent step").fill("0")
        visit.page.get_by_role("button", name="Play the descent").click()
        visit.page.clock.run_for(3 * duration + duration // 2)
        visit.page.get_by_role("button", name="Pause").click()
        assert visit.read("step") == "3"


def test_a_change_of_speed_while_playing_holds_at_once(visit):
    stop_the_clock(visit)
    visit.page.get_by_role("button", name="Play the descent").click()
    visit.page.get_by_role("button", name="Quarter speed").click()
    visit.page.clock.run_for(2 * 680 + 100)
    visit.page.get_by_role("button", name="Pause").click()
    assert visit.read("step") == "2"


def test_the_cursor_goes_on_to_step_60_and_back(visit, model):
    twelfth = visit.pixels("Reconstruction")
    visit.page.get_by_role("button", name="Continue to step 60").click()
    expect(visit.root).to_have_attribute("data-steps", "60")
    expect(visit.page.get_by_role("button", name="Pause")).to_be_visible()  # it walks on from step 12
    assert 12 <= int(visit.read("step")) < 30
    slider = visit.page.get_by_role("slider", name="Descent step")
    slider.fill("12")
    assert torch.equal(visit.pixels("Reconstruction"), twelfth)
    slider.fill("47")
    answer = visit.answers[-1].json()
    image, mask = decode_pixels(answer["image"], 32)[None].float() / 255, etviz.mask_from_hex(visit.read("mask"))
    frame = model.trace(image, mask, steps=60).frames[:, 47]
    assert (visit.pixels("Reconstruction").int() - to_bytes(complete(image, frame, mask))[0].int()).abs().max() <= 1
    visit.page.get_by_role("button", name="Back to 12 steps").click()
    expect(visit.root).to_have_attribute("data-steps", "12")


@pytest.mark.parametrize("step", [0, 60])
def test_a_link_holds_a_step_beyond_the_model_s_own(visit, address, step):
    visit.page.goto(f"{address}?steps=60&step={step}")
    expect(visit.root).to_have_attribute("data-ready", "true")
    assert (visit.read("steps"), visit.read("step")) == ("60", str(step))
