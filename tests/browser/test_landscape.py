"""The Landscape in a real browser: its numbers are the Python API's, and scrubbing asks nobody."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
import torch
from playwright.sync_api import expect

import etviz
from etviz import analysis
from etviz.examples import CARRIED, carried_pictures
from etviz.ui.payload import to_bytes
from etviz.ui.readings.landscape import RUNS
from tests.browser.conftest import Visit


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-").replace(",", "").rstrip("%"))


def numbers(text):
    return [number(found) for found in re.findall(r"\N{MINUS SIGN}?\d[\d,]*\.?\d*", text)]


def settled(visit):
    """Wait until both plots and the runs belong to what is on screen."""
    visit.page.locator(".etviz-end").nth(RUNS + 1).wait_for()
    expect(visit.page.locator(".etviz-landscape .is-stale")).to_have_count(0)


def open_landscape(visit):
    visit.page.get_by_role("tab", name="Landscape").click()
    settled(visit)


def on_screen(visit):
    """The picture and the mask that the page shows."""
    index = int(visit.page.get_by_role("spinbutton", name="Picture number").input_value())
    return carried_pictures(32).images[index : index + 1].float() / 255, etviz.mask_from_hex(visit.read("mask"))


def address_of(visit):
    visit.page.wait_for_timeout(400)
    return {name: values[0] for name, values in parse_qs(urlsplit(visit.page.url).query).items()}


def test_the_plots_numbers_are_those_of_the_python_api(visit, model):
    open_landscape(visit)
    trace = model.trace(*on_screen(visit))
    plane = analysis.energy_plane(model, trace)
    visit.page.get_by_role("slider", name="Descent step").fill("4")
    line = analysis.energy_along_gradient(model, trace, step=4)
    state, here, step, after, *_ = numbers(visit.page.locator(".etviz-line-words").inner_text())
    assert (state, step) == (4, pytest.approx(0.1))
    assert (here, after) == pytest.approx((line.energy_here, line.energy_next), abs=0.06)
    held = visit.page.locator("[aria-label='On the plane of the path'] .etviz-count").inner_text()
    assert number(held.split()[0]) == pytest.approx(100 * sum(plane.variance), abs=0.06)
    low, high = visit.page.locator(".etviz-plane-scale span").all_inner_texts()[-2:]
    assert number(low) == pytest.approx(plane.energy.min().item(), rel=1e-3)
    assert number(high) == pytest.approx(plane.energy.max().item(), rel=1e-3)


def test_scrubbing_moves_both_marks_and_asks_nobody(visit):
    open_landscape(visit)
    asked = len(visit.requests)
    slider = visit.page.get_by_role("slider", name="Descent step")
    slider.focus()
    lines = set()
    for step in range(11, 6, -1):
        slider.press("ArrowLeft")
        expect(visit.page.locator(".etviz-path-now")).to_have_attribute("data-step", str(step))
        assert f"State {step}:" in visit.page.locator(".etviz-line-words").inner_text()
        lines.add(visit.page.locator("[aria-label='Along minus the gradient'] .etviz-line").get_attribute("d"))
    assert len(lines) == 5
    assert visit.page.locator(".etviz-went").count() == 1
    slider.press("End")
    assert visit.page.locator(".etviz-went").count() == 0  # no step was taken from the last state
    assert len(visit.requests) == asked


def test_pointing_at_the_plane_says_its_energy_and_a_click_goes_to_a_state(visit, model):
    open_landscape(visit)
    trace = model.trace(*on_screen(visit))
    plane = analysis.energy_plane(model, trace)
    tip = visit.page.locator(".etviz-plane .etviz-tip")
    box = visit.page.locator(".etviz-plane").bounding_box()
    visit.page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.85 * box["height"])
    energy, *place = numbers(tip.inner_text())
    expected = model.descent.energy(plane.states(torch.tensor([place])), trace.settings).item()
    assert energy == pytest.approx(expected, abs=0.01 * (plane.energy.max() - plane.energy.min()).item())
    first = visit.page.locator("circle[data-step='0']").bounding_box()
    visit.page.mouse.click(first["x"] + first["width"] / 2, first["y"] + first["height"] / 2)
    assert visit.read("step") == "0"
    state, own, beneath, *place = numbers(tip.inner_text())
    assert (state, own) == pytest.approx((0, trace.energy[0, 0].item()), abs=0.06)
    reach = (plane.first[-1] - plane.first[0]).item()
    assert place == pytest.approx(plane.path[0].tolist(), abs=0.01 * reach)  # the colours lie as the path does
    expected = model.descent.energy(plane.states(plane.path[:1]), trace.settings).item()
    assert beneath == pytest.approx(expected, abs=0.02 * (plane.energy.max() - plane.energy.min()).item())


def test_pointing_at_the_line_says_its_energy(visit, model):
    open_landscape(visit)
    trace = model.trace(*on_screen(visit))
    field = visit.page.locator("[aria-label='Along minus the gradient'] .etviz-field")
    box = field.bounding_box()
    visit.page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 30)
    size, energy = numbers(field.locator(".etviz-tip").inner_text())
    line = analysis.energy_along_gradient(model, trace, step=-1, reach=size, points=2)
    assert energy == pytest.approx(line.energy[-1].item(), abs=0.06)


def test_disturbed_starts_by_keyboard_and_by_seed(browser, address, model):
    context = browser.new_context(reduced_motion="reduce")
    visit = Visit(context, f"{address}?tab=landscape&step_size=5")
    settled(visit)
    slider = visit.page.get_by_role("slider", name="Noise on the start")
    slider.focus()
    slider.press("End")
    settled(visit)
    visit.page.get_by_role("button", name="Draw again").click()
    settled(visit)
    assert {name: address_of(visit)[name] for name in ("seed", "noise_seed")} == {"seed": "0", "noise_seed": "1"}
    expect(visit.page.get_by_role("spinbutton", name="Seed of the noise")).to_have_value("1")
    image, mask = on_screen(visit)
    other = (int(visit.page.get_by_role("spinbutton", name="Picture number").input_value()) + 1) % len(CARRIED)
    beside = carried_pictures(32).images[[other]].float() / 255
    reference = analysis.undisturbed_descent(model, image, mask, other=beside, step_size=5.0)
    options = {"reference": reference, "step_size": 5.0}
    runs = [
        analysis.perturbed_descents(model, image, mask, noise=1.0, count=1, seed=RUNS + run, **options)
        for run in range(RUNS)
    ]
    assert reference.settled.is_settled
    judged = [run for run in runs if run.settled.is_settled]
    same = sum(run.same_basin.item() for run in judged)
    expect(visit.page.locator(".etviz-verdict")).to_have_text(f"{same} of {len(judged)} in the same basin")
    assert visit.page.locator(".etviz-run-end.is-same").count() == same
    for number_of, run in enumerate(runs):
        shown = visit.page.locator(".etviz-end").nth(number_of + 1)
        errors, energy, barrier = shown.locator("dd").all_inner_texts()
        assert numbers(errors) == pytest.approx([run.masked_mse.item(), run.settled.masked_mse.item()], abs=2e-4)
        assert number(energy) == pytest.approx(run.settled.energy.item(), rel=1e-4)
        title = shown.locator("figcaption").get_attribute("title")
        assert numbers(title)[0] == pytest.approx(run.settled.steps.item() if run.settled.is_settled else 200, abs=1)
        assert number(barrier) == pytest.approx(100 * run.barrier.item(), abs=0.006)
        for place, frames in (("at the end", run.frames), ("where it settles", run.settled.frames)):
            picture = visit.pixels(f"Run {number_of + 1}: picture {place}")
            assert (picture.int() - to_bytes(frames[0]).int()).abs().max() <= 1
    errors = visit.page.locator(".etviz-end").first.locator("dd").first.inner_text()
    assert numbers(errors) == pytest.approx([runs[0].reference_mse, reference.settled.masked_mse.item()], abs=2e-4)
    control = visit.page.locator(".etviz-end").last
    expect(control).to_contain_text("Control")
    barrier = control.locator("dd").last.inner_text()
    assert number(barrier) == pytest.approx(100 * reference.control.barrier, abs=0.006)
    context.close()


def test_a_link_brings_its_seed(browser, address):
    context = browser.new_context(reduced_motion="reduce")
    visit = Visit(context, f"{address}?tab=landscape&seed=7&noise=0.5&noise_seed=41")
    settled(visit)
    asked = [question for question in visit.questions() if question.get("kind") == "perturbations"]
    assert [(question["seed"], question["noise"]) for question in asked] == [(41, 0.5)]
    expect(visit.page.get_by_role("spinbutton", name="Seed of the noise")).to_have_value("41")
    assert not visit.complaints
    context.close()


def test_a_stroke_makes_a_new_landscape(visit):
    open_landscape(visit)
    before = visit.page.locator(".etviz-path").get_attribute("d")
    visit.stroke(0, 1)
    visit.settle()
    expect(visit.page.locator(".etviz-path")).not_to_have_attribute("d", before)
    settled(visit)


def test_a_phone_shows_it_in_one_column(phone):
    open_landscape(phone)
    assert phone.sideways() <= 0
    box = phone.page.locator(".etviz-plane").bounding_box()
    assert box["width"] > 250
    assert not phone.complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_text_has_contrast(browser, address, scheme):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    visit = Visit(context, address)
    open_landscape(visit)
    # Names on the plane have an outline of their own over its colours.
    poor = [text for text in visit.poor_contrast() if not re.match(r"step \d+:", text)]
    fits = visit.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    context.close()
    assert poor == []
    assert fits
