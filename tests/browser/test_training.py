"""Training in a real browser: a run's curves, one picture through its epochs, and a run that is being written."""

import re
import time

import pytest
import torch
from playwright.sync_api import expect

import etviz
from etviz.checkpoints import save_snapshot
from etviz.files import write_text
from etviz.metrics import masked_psnr
from etviz.training import history_csv
from etviz.ui.payload import decode_pixels, to_bytes
from tests.browser.conftest import Visit, history_row
from tests.browser.test_address import parameters, resting

RUN = "outputs/begun"


def open_run(visit):
    visit.page.get_by_role("tab", name="Training").click()
    visit.page.get_by_role("combobox", name="Run").select_option(RUN)
    expect(visit.page.locator(".etviz-snapshots button")).to_have_count(3, timeout=30_000)


def epochs_asked(visit):
    return [answer.json() for answer in visit.answers if answer.request.post_data_json["data"]["kind"] == "epochs"]


@pytest.fixture
def opened(visit):
    open_run(visit)
    return visit


def test_curves_hold_the_history_s_values(opened):
    for name, unit in (("Training loss", ""), ("Masked PSNR", " dB"), ("Images/s", "")):
        chart = opened.page.get_by_role("group", name=name)
        assert chart.locator("circle").count() == 2
        chart.focus()
        chart.press("End")
        row = history_row(2)
        value = {"Training loss": f"{row['train_loss']:.4f}", "Masked PSNR": "15.00", "Images/s": "93"}[name]
        expect(chart.get_by_text("Epoch 2")).to_be_visible()
        expect(chart.get_by_text(value + unit, exact=True)).to_be_visible()
    learning_rate = opened.page.get_by_role("group", name="Learning rate")
    learning_rate.hover(position={"x": 60, "y": 60})
    expect(learning_rate.get_by_text("5.00e-3")).to_be_visible()


def test_each_epoch_s_picture_equals_the_python_api(opened, epochs):
    image = decode_pixels(epochs_asked(opened)[-1]["image"], 32)[None].float() / 255
    mask = etviz.mask_from_hex(opened.read("mask"))
    slider = opened.page.get_by_role("slider", name="Training epoch")
    asked = len(opened.requests)
    for index, model in enumerate(epochs):
        slider.fill(str(index))
        for step in (12, 3):
            opened.page.get_by_role("slider", name="Descent step").fill(str(step))
            frame = model.trace(image, mask).frames[:, step]
            shown = opened.pixels("Completed picture at this epoch")
            assert (shown.int() - to_bytes(etviz.complete(image, frame, mask))[0].int()).abs().max() <= 1
            psnr = opened.page.locator(".etviz-snapshots button i").nth(index).inner_text()
            assert float(psnr) == pytest.approx(masked_psnr(image, frame, mask).item(), abs=0.02)
    assert len(opened.requests) == asked


def test_the_epoch_is_scrubbed_by_keyboard_and_kept_in_the_address(opened, browser):
    slider = opened.page.get_by_role("slider", name="Training epoch")
    slider.focus()
    slider.press("ArrowLeft")
    assert re.match(r"Epoch 1, [\d.]+ dB", slider.get_attribute("aria-valuetext"))
    expect(opened.page.locator(".etviz-snapshots button").nth(1)).to_have_attribute("aria-pressed", "true")
    assert resting(opened) | {"run": RUN, "epoch": "step-00000100.safetensors"} == parameters(opened)
    context = browser.new_context(reduced_motion="reduce")
    other = Visit(context, opened.page.url)
    expect(other.page.locator(".etviz-snapshots button").nth(1)).to_have_attribute("aria-pressed", "true")
    assert torch.equal(
        other.pixels("Completed picture at this epoch"), opened.pixels("Completed picture at this epoch")
    )
    context.close()


def test_an_epoch_is_opened_everywhere(opened, epochs, browser):
    opened.page.locator(".etviz-snapshots button").first.click()
    opened.page.get_by_role("button", name="Open this epoch everywhere").click()
    expect(opened.page.get_by_role("button", name="This epoch is open everywhere")).to_be_disabled()
    assert parameters(opened)["snapshot"] == "step-00000010.safetensors"
    opened.page.get_by_role("tab", name="Explore").click()
    expect(opened.page.get_by_role("combobox", name="Model")).to_have_value(RUN)
    expect(opened.page.get_by_text("at step-00000010")).to_be_visible()
    answer = next(a.json() for a in opened.answers if "energy" in a.json())
    image = decode_pixels(answer["image"], 32)[None].float() / 255
    expected = epochs[0].trace(image, etviz.mask_from_hex(opened.read("mask"))).energy[0, -1].item()
    assert answer["energy"][-1] == pytest.approx(expected, rel=1e-2)
    context = browser.new_context(reduced_motion="reduce")
    other = Visit(context, opened.page.url)
    expect(other.page.get_by_role("combobox", name="Model")).to_have_value(RUN)
    context.close()


def test_a_stroke_rebuilds_every_epoch(opened):
    before = opened.page.locator(".etviz-snapshots button i").all_text_contents()
    opened.stroke(0, 1, 2, 3)
    opened.settle()
    expect(opened.page.locator(".etviz-snapshots button i").first).not_to_have_text(before[0])


def test_a_running_training_refreshes_by_itself(opened, run, epochs):
    expect(opened.page.get_by_text(re.compile(r"^running, last written \d+ (s|min) ago$"))).to_be_visible()
    history, snapshot = run / "history.csv", run / "snapshots" / "step-00000200.safetensors"
    try:
        write_text(history, history_csv([history_row(epoch) for epoch in (1, 2, 3)]))
        save_snapshot(epochs[2], run, 200, 2.0, 12800)
        loss = opened.page.get_by_role("group", name="Training loss")
        expect(loss.locator("circle")).to_have_count(3, timeout=15_000)
        expect(opened.page.locator(".etviz-snapshots button")).to_have_count(4, timeout=15_000)
        history.write_text("step,epoch\n1,")
        expect(opened.page.get_by_text("may be half written")).to_be_visible(timeout=15_000)
        write_text(history, history_csv([history_row(epoch) for epoch in (1, 2, 3, 4)]))
        expect(opened.page.get_by_text("finished", exact=True)).to_be_visible(timeout=15_000)
    finally:
        snapshot.unlink(missing_ok=True)
        write_text(history, history_csv([history_row(1), history_row(2)]))


def test_a_closed_tab_asks_for_nothing(opened):
    opened.page.get_by_role("tab", name="Explore").click()
    time.sleep(0.5)
    asked = len(opened.requests)
    opened.page.wait_for_timeout(7_000)  # longer than between two looks
    assert len(opened.requests) == asked


def test_a_link_to_a_run_that_is_gone_is_one_sentence(browser, address):
    context = browser.new_context(reduced_motion="reduce")
    visit = Visit(context, f"{address}?tab=training&run=outputs/gone")
    expect(visit.page.get_by_role("alert")).to_contain_text("no model 'outputs/gone'")
    context.close()


def test_a_phone_shows_it_all(phone):
    open_run(phone)
    assert phone.sideways() <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, address, scheme):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    visit = Visit(context, f"{address}?tab=training&run={RUN}")
    expect(visit.page.locator(".etviz-snapshots button")).to_have_count(3, timeout=30_000)
    poor = visit.poor_contrast()
    context.close()
    assert poor == []
