"""The energy view in a real browser: curves before the band, tokens over the picture, and other ways to descend."""

import re

import numpy as np
import pytest
import torch
from playwright.sync_api import expect

import etviz
from etviz.examples import carried_pictures
from etviz.metrics import masked_mse
from etviz.ui.limits import LIMITS
from etviz.ui.payload import decode_pixels
from tests.browser.conftest import Visit
from tests.browser.contrast import poor_contrast
from tests.browser.test_address import parameters, resting

STEPS = "Steps, as a number"
STEP_SIZE = "Step size \N{GREEK SMALL LETTER ALPHA}, as a number"
BETA = "Beta \N{GREEK SMALL LETTER BETA}, as a number"
CHIP = ".etviz-chip"
READOUT = [f".etviz-panel.is-energy .etviz-readout div:nth-child({i}) dd" for i in range(1, 8)]


def open_energy(visit):
    visit.page.get_by_role("tab", name="Energy").click()
    return visit.page.locator(".etviz-panel.is-energy")


@pytest.fixture
def panel(visit):
    return open_energy(visit)


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))


def trace_of(visit, model, **settings):
    """The descent on screen, by Python."""
    answer = next(a for a in (answer.json() for answer in reversed(visit.answers)) if "frames" in a)
    image = decode_pixels(answer["image"], 32)[None].float() / 255
    return image, model.trace(image, etviz.mask_from_hex(visit.read("mask")), **settings)


def set_number(visit, name, value):
    """Type a value and wait for the descent that follows, or for its refusal."""
    field = visit.page.get_by_role("spinbutton", name=name)
    field.fill(str(value))
    with visit.page.expect_response(lambda response: '"kind":"trace"' in response.request.post_data):
        field.press("Enter")
    expect(visit.root).to_have_attribute("data-busy", "false", timeout=20_000)  # a descent may take 200 steps
    visit.settle()


def choose_steep(visit):
    visit.page.get_by_role("combobox", name="Model").select_option("steep")
    expect(visit.root).to_have_attribute("data-seq", "1")
    visit.press("Random mask")


def shown(visit):
    return [number(visit.page.locator(cell).inner_text()) for cell in READOUT]


def hover_step(visit, step, last):
    """The tooltip's rows at a step, as lists of numbers."""
    box = visit.page.locator(".is-energy .etviz-chart").bounding_box()
    visit.page.mouse.move(box["x"] + 74 + step / last * (box["width"] - 74 - 14), box["y"] + 30)
    rows = visit.page.locator(".is-energy .etviz-chart .etviz-tip span")
    return [[number(cell) for cell in row.locator("i").all_inner_texts()] for row in rows.all()]


def test_curves_and_numbers_are_those_of_python(visit, panel, model):
    visit.press("Invert")
    image, trace = trace_of(visit, model)
    visit.page.get_by_role("slider", name="Descent step").fill("5")
    expected = [
        trace.energy[0, 5],
        trace.attention_energy[0, 5].sum(),
        trace.hopfield_energy[0, 5].sum(),
        trace.energy[0, 4] - trace.energy[0, 5],
        trace.stationarity[0, 5],
        masked_mse(image, trace.frames[:, 5], trace.mask)[0],
        trace.step_sizes[0, 4],
    ]
    assert np.allclose(shown(visit), [float(value) for value in expected], rtol=1e-3)
    assert ("every step went down" in panel.inner_text()) == (not trace.rises().any())


def test_the_band_is_that_of_the_gallery(visit, panel, model):
    visit.press("Invert")
    expect(panel).to_contain_text("90% of 8 scikit-image pictures")
    assert panel.locator("path[data-band]").count() == panel.locator("path[data-median]").count() == 3
    mask = etviz.mask_from_hex(visit.read("mask"))
    energy = model.trace(carried_pictures(32).images.float() / 255, mask.expand(8, -1)).energy
    median = np.median(energy - energy[:, :1], axis=0)
    total = hover_step(visit, 12, 12)[0]
    assert total[2] == pytest.approx(median[12], rel=1e-3)
    asked = len(visit.answers)
    panel.get_by_role("button", name="vs. median").click()
    expect(panel.get_by_role("button", name="vs. median")).to_have_attribute("aria-pressed", "true")
    assert hover_step(visit, 12, 12)[0][2] == pytest.approx(np.median(energy[:, 12]), rel=1e-3)
    assert len(visit.answers) == asked


def test_the_band_is_asked_for_only_while_the_tab_is_open(visit):
    visit.press("Invert")
    visit.page.wait_for_timeout(900)
    assert not [q for q in visit.questions() if q["kind"] != "trace"]
    panel = open_energy(visit)
    expect(panel.locator("path[data-band]")).to_have_count(3, timeout=20_000)
    visit.stroke(0, 1)
    expect(panel.locator("path[data-band]")).to_have_count(0)  # of another mask
    expect(panel.locator("path[data-band]")).to_have_count(3, timeout=20_000)
    kinds = [q["kind"] for q in visit.questions()]
    assert kinds.count("energy_band") == 2


def test_tokens_lie_over_the_picture_and_follow_the_step(visit, panel, model):
    visit.press("Invert")
    _, trace = trace_of(visit, model)
    cells = panel.locator(".is-attention .etviz-map-cell")
    expect(cells.first).to_have_attribute("aria-label", re.compile("row 1, column 1: .*[0-9]"))
    expect(panel.locator("path[data-band]")).to_have_count(3, timeout=20_000)  # the last that is asked for
    asked = len(visit.requests)
    bar = panel.locator(".is-attention .etviz-bar").inner_text()
    low, high = trace.attention_energy.min(), trace.attention_energy.max()
    assert [number(end) for end in bar.split()] == pytest.approx([float(low), float(high)], rel=5e-3)
    seen = []
    for step in (2, 12):
        visit.page.get_by_role("slider", name="Descent step").fill(str(step))
        for key in ("attention", "hopfield"):
            energy = getattr(trace, f"{key}_energy")[0, step]
            labels = panel.locator(f".is-{key} .etviz-map-cell").evaluate_all(
                "(cells) => cells.map((cell) => cell.ariaLabel)"
            )
            values = [number(text.split(": ")[1]) for text in labels]
            assert np.allclose(values, energy[1:], rtol=1e-3)
            cls = panel.locator(f".is-{key} .etviz-token-value").first.inner_text()
            assert number(cls.split()[-1]) == pytest.approx(energy[0].item(), rel=1e-3)
        seen.append(cells.nth(9).get_attribute("style"))
    assert seen[0] != seen[1]
    assert panel.locator(".is-attention .etviz-bar").inner_text() == bar  # one scale for all steps
    assert len(visit.requests) == asked


def test_a_patch_is_chosen_by_keyboard_in_both_maps(visit, panel):
    cells = panel.locator(".is-attention .etviz-map-cell")
    expect(cells.first).to_have_attribute("aria-label", re.compile("column 1: "))  # its energy has come
    cells.first.focus()
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("ArrowDown")
    expect(cells.nth(9)).to_be_focused()
    assert panel.locator(".etviz-map-cell.is-chosen").count() == 2
    for key in ("attention", "hopfield"):
        told = panel.locator(f".is-{key} .etviz-token-value").nth(1).inner_text()
        label = panel.locator(f".is-{key} .etviz-map-cell").nth(9).get_attribute("aria-label")
        assert told.split() == ["Patch", "9", label.split(": ")[1]]


def test_settings_reach_the_descent_the_address_and_every_tab(visit, panel, model):
    set_number(visit, STEPS, 60)
    set_number(visit, STEP_SIZE, 0.03)
    set_number(visit, BETA, 0.5)
    _, trace = trace_of(visit, model, steps=60, step_size=0.03, beta=0.5)
    visit.page.get_by_role("slider", name="Descent step").fill("60")
    assert shown(visit)[:4] == pytest.approx([float(v) for v in (
        trace.energy[0, 60], trace.attention_energy[0, 60].sum(), trace.hopfield_energy[0, 60].sum(),
        trace.energy[0, 59] - trace.energy[0, 60])], rel=1e-2)  # fmt: skip
    expect(panel).to_contain_text("trained with 12 steps")
    address = resting(visit)
    assert {key: address[key] for key in ("steps", "step_size", "beta", "step", "tab")} == {
        "steps": "60", "step_size": "0.03", "beta": "0.5", "step": "60", "tab": "energy"}  # fmt: skip
    visit.page.get_by_role("tab", name="Explore").click()
    expect(visit.page.locator(CHIP)).to_contain_text("60 steps · step size 0.03")
    visit.page.get_by_role("button", name="Reset to the model's own settings").click()
    expect(visit.page.locator(CHIP)).to_be_hidden()
    expect(visit.root).to_have_attribute("data-steps", "12")
    assert parameters(visit)["step_size"] == "0.1"
    visit.page.go_back()
    expect(visit.root).to_have_attribute("data-steps", "60")
    expect(visit.page.locator(CHIP)).to_contain_text("0.5")


def test_sliders_by_keyboard_are_logarithmic_about_the_models_own(visit, panel, model):
    slider = panel.get_by_role("slider", name=STEP_SIZE.removesuffix(", as a number"))
    slider.focus()
    for _ in range(5):
        slider.press("ArrowRight")  # 0.02 decades each
    field = panel.get_by_role("spinbutton", name=STEP_SIZE)
    expect(field).to_have_value("0.126")
    expect(visit.page.locator(CHIP)).to_contain_text("step size 0.126")
    slider.press("Home")
    expect(field).to_have_value("0.001")
    slider.press("End")
    expect(field).to_have_value("10")
    panel.get_by_role("button", name="own", exact=False).click()
    expect(field).to_have_value("0.1")
    expect(visit.page.locator(CHIP)).to_be_hidden()


def shares(model, trace):
    """Of the gradient along the sphere in the whole one, at every state."""
    gamma = model.descent.blocks[0].norm.gamma.detach().abs()
    return (trace.stationarity[0] / (gamma * trace.gradient_norm[0])).tolist()


def test_backtracking_shows_the_steps_really_taken(visit, panel, steep):
    choose_steep(visit)
    panel.get_by_label("Step rule").select_option("backtracking")
    visit.settle()  # or its answer would be taken for that of the step size
    set_number(visit, STEP_SIZE, 1)
    _, trace = trace_of(visit, steep, step_size=1.0, rule="backtracking")
    assert (trace.step_sizes < 1).any()
    expect(panel).to_contain_text("every step went down")
    panel.get_by_label("Right axis").select_option("Step taken")
    curve = panel.locator("path[data-line=second]").get_attribute("d")
    assert len(re.split("[ML]", curve)[1:]) == 12  # none leads to step 0
    for step in range(1, 5):
        visit.page.get_by_role("slider", name="Descent step").fill(str(step))
        assert shown(visit)[6] == pytest.approx(trace.step_sizes[0, step - 1].item(), rel=5e-3)


def test_a_descent_on_the_sphere_settles_and_its_link_shows_it_again(visit, panel, model):
    set_number(visit, STEP_SIZE, 5)
    panel.get_by_label("Step rule").select_option("sphere")
    panel.get_by_label("Run until it settles").check()
    expect(visit.page.locator(CHIP)).to_contain_text("step size 5 · on the sphere · until it settles")
    expect(panel.locator(".etviz-chart")).to_contain_text("settled at step ")
    visit.settle()
    _, trace = trace_of(visit, model, step_size=5.0, steps=200, rule="sphere", tolerance=LIMITS.settled)
    settled = trace.settled[0].item()
    assert 0 < settled < 200
    share = shares(model, trace)
    assert share[settled] <= LIMITS.settled < min(share[:settled])
    shown_at = int(visit.read("steps"))
    assert shown_at == pytest.approx(settled, abs=1)  # where exactly it settles hangs on rounding
    expect(panel.locator(".etviz-chart")).to_contain_text(f"settled at step {shown_at}")
    expect(panel.get_by_role("spinbutton", name=STEPS)).to_be_disabled()
    visit.page.get_by_role("slider", name="Descent step").fill("3")
    assert shown(visit)[4] == pytest.approx(trace.stationarity[0, 3].item(), rel=1e-2)
    assert {name: resting(visit)[name] for name in ("rule", "settle")} == {"rule": "sphere", "settle": "1"}
    visit.page.reload()
    expect(panel.locator(".etviz-chart")).to_contain_text(f"settled at step {shown_at}")
    expect(panel.get_by_label("Step rule")).to_have_value("sphere")
    panel.get_by_role("button", name="own", exact=False).click()
    expect(panel.get_by_label("Step rule")).to_have_value("fixed")
    expect(visit.root).to_have_attribute("data-steps", "12")


def test_a_descent_that_does_not_settle_says_so(visit, panel):
    set_number(visit, STEP_SIZE, 0.01)
    panel.get_by_label("Run until it settles").check()
    expect(visit.root).to_have_attribute("data-steps", "200", timeout=20_000)
    expect(panel.locator(".etviz-chart")).to_contain_text("not settled after 200 steps")
    expect(panel.locator(".etviz-dot")).to_have_count(3)  # at the cursor alone: there is no room for more
    expect(panel).to_contain_text("the step rule “sphere” arrives")
    panel.get_by_label("Step rule").select_option("sphere")
    expect(panel).not_to_contain_text("the step rule “sphere” arrives")


def test_steps_that_went_up_are_named(visit, panel, steep):
    choose_steep(visit)
    set_number(visit, STEP_SIZE, 10)
    _, trace = trace_of(visit, steep, step_size=10.0)
    rises = [i + 1 for i, up in enumerate(trace.rises()[0].tolist()) if up]
    assert rises
    badge = panel.locator(".etviz-badge")
    expect(badge).to_contain_text(f"{', '.join(map(str, rises))} went up")
    expect(badge).to_have_attribute("title", re.compile(f": {', '.join(map(str, rises))}$"))
    expect(panel.locator(".etviz-rise")).to_have_count(len(rises))


def test_the_error_lies_on_a_second_axis(visit, panel, model):
    visit.press("Random mask")
    set_number(visit, STEPS, 60)
    image, trace = trace_of(visit, model, steps=60)
    panel.get_by_label("Right axis").select_option("Masked MSE")
    error = masked_mse(image.expand_as(trace.frames[0]), trace.frames[0], trace.mask.expand(61, -1))
    deepest, best = trace.energy[0].argmin().item(), error.argmin().item()
    words = (
        f"energy is lowest at step {deepest}, the error at step {best}"
        if deepest != best
        else f"both lowest at step {best}"
    )
    expect(panel).to_contain_text(words)
    curve = panel.locator("path[data-line=second]").get_attribute("d")
    y = torch.tensor([float(point.split()[1]) for point in re.split("[ML]", curve)[1:]])
    assert torch.corrcoef(torch.stack([y, error]))[0, 1] < -0.999  # an affine picture of the error, upwards
    box = panel.locator(".etviz-chart").bounding_box()
    track = visit.page.get_by_role("slider", name="Descent step").bounding_box()
    now = panel.locator(".etviz-now").bounding_box()
    assert abs(now["x"] - (track["x"] + track["width"] - 9)) < 2  # the slider stays under the axis
    assert now["x"] < box["x"] + box["width"] - 50


@pytest.mark.parametrize("measure", ["Masked MSE", "Masked PSNR", "Energy lost", "Step taken", "Along the sphere"])
def test_a_shorter_descent_follows_a_longer_one(visit, panel, measure):
    panel.get_by_label("Right axis").select_option(measure)
    visit.page.get_by_role("button", name="Continue to step 60").click()
    expect(visit.root).to_have_attribute("data-steps", "60")
    visit.page.get_by_role("slider", name="Descent step").fill("60")
    visit.page.get_by_role("button", name="Back to 12 steps").click()
    expect(visit.root).to_have_attribute("data-steps", "12")
    assert visit.read("step") == "12"
    points = re.split("[ML]", panel.locator("path[data-line=second]").get_attribute("d"))[1:]
    assert len(points) in (12, 13)  # no step led to step 0
    set_number(visit, STEPS, 6)
    expect(visit.root).to_have_attribute("data-steps", "6")
    visit.page.go_back()
    expect(visit.root).to_have_attribute("data-steps", "12")


@pytest.mark.parametrize("tab", ["Explore", "Attention", "Memories", "Landscape", "Compare", "Training", "Guide"])
def test_every_tab_follows_a_descent_that_becomes_shorter(visit, tab):
    visit.page.get_by_role("tab", name=tab).click()
    for name, count in (("Continue to step 60", "60"), ("Back to 12 steps", "12")):
        visit.page.get_by_role("button", name=name).click()
        expect(visit.root).to_have_attribute("data-steps", count)
        visit.page.get_by_role("slider", name="Descent step").fill(count)
        visit.settle()
    visit.page.go_back()
    expect(visit.root).to_have_attribute("data-steps", "60")
    visit.page.go_forward()
    expect(visit.root).to_have_attribute("data-steps", "12")
    assert visit.read("shown") == visit.read("mask")


def test_a_setting_that_is_refused_is_one_sentence_and_goes_back(visit, panel):
    set_number(visit, STEP_SIZE, 0)
    expect(visit.page.get_by_role("alert")).to_contain_text("step size must lie between")
    expect(panel.get_by_role("spinbutton", name=STEP_SIZE)).to_have_value("0.1")
    set_number(visit, STEPS, 61)
    expect(visit.page.get_by_role("alert")).to_contain_text("from 1 to 60")
    expect(panel.get_by_role("spinbutton", name=STEPS)).to_have_value("12")
    assert visit.read("steps") == "12"


def test_it_fits_one_screen_and_a_phone(visit, panel, browser, address):
    expect(panel.locator("path[data-band]")).to_have_count(3, timeout=20_000)
    assert visit.sideways() <= 0
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce")
    phone = Visit(context, f"{address}?tab=energy&steps=60&step_size=0.2&rule=sphere")
    expect(phone.page.locator("path[data-band]").first).to_be_attached()
    phone.page.get_by_label("Right axis").select_option("Masked MSE")
    assert phone.sideways() <= 0
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, address, scheme):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    visit = Visit(context, f"{address}?tab=energy&steps=60&patch=9")
    expect(visit.page.locator("path[data-band]").first).to_be_attached()
    visit.page.get_by_label("Right axis").select_option("Masked MSE")
    poor = poor_contrast(visit.page)
    context.close()
    assert poor == []
