"""The table of masked MSE, PSNR and SSIM at the step on screen, beside fills without learning."""

import pytest
from playwright.sync_api import expect

import etviz
from etviz.inpainting import FLOORS, mean_fill
from etviz.metrics import masked_mse, masked_psnr, ssim
from etviz.models import complete
from etviz.ui.payload import decode_pixels

METRICS = {"mse": 4, "psnr": 2, "ssim": 3}  # decimals


def table(visit):
    expect(visit.page.locator(".etviz-comparison")).to_have_attribute("aria-busy", "false", timeout=20_000)
    read = "(row) => Object.fromEntries([...row.querySelectorAll('td')].map((td) => [td.dataset.column, td.innerText]))"
    return {key: visit.page.locator(f"tr[data-metric={key}]").evaluate(read) for key in METRICS}


def best(visit):
    cells = visit.page.locator(".etviz-comparison .is-best")
    return cells.evaluate_all("(cells) => cells.map((td) => [td.parentNode.dataset.metric, td.dataset.column])")


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-"))


def test_the_table_equals_the_python_api_at_every_step(visit, model):
    visit.stroke(10, 20)
    visit.settle()
    answer = visit.answers[-1].json()
    image, mask = decode_pixels(answer["image"], 32)[None].float() / 255, etviz.mask_from_hex(visit.read("mask"))
    trace = model.trace(image, mask)
    fills = {name: fill(image, mask) for name, fill in FLOORS.items()}
    others = [name for name in fills if name != "visible mean"]
    best_name = min(others, key=lambda name: masked_mse(image, fills[name], mask).item())
    table(visit)
    expect(visit.page.get_by_role("button", name=best_name, exact=True)).to_be_visible()
    slider = visit.page.get_by_role("slider", name="Descent step")
    for step in (0, 5, 12):
        slider.fill(str(step))
        columns = {
            "now": trace.frames[:, step],
            "mean_fill": mean_fill(image, mask),
            "best_fill": fills[best_name],
        }
        shown = table(visit)
        for column, picture in columns.items():
            measured = {"mse": masked_mse(image, picture, mask), "psnr": masked_psnr(image, picture, mask)}
            measured["ssim"] = ssim(image, complete(image, picture, mask))
            for key, value in measured.items():
                assert number(shown[key][column]) == pytest.approx(value.item(), abs=0.6 * 0.1 ** METRICS[key])
        for key, better in (("mse", min), ("psnr", max), ("ssim", max)):
            winner = better(shown[key].values(), key=number)
            assert [shown[key][column] for metric, column in best(visit) if metric == key] == [winner]


def test_nothing_hidden_has_nothing_to_compare(visit):
    visit.press("Clear")
    shown = table(visit)
    assert set(shown["mse"].values()) == set(shown["psnr"].values()) == {"\N{EN DASH}"}
    assert set(shown["ssim"].values()) == {"1.000"}
    assert visit.page.locator("tr[data-metric=mse] .is-best").count() == 0


def test_it_is_asked_once_a_descent_and_never_while_scrubbing(visit):
    table(visit)
    asked = len(visit.qualities)
    slider = visit.page.get_by_role("slider", name="Descent step")
    for step in (3, 8, 1):
        slider.fill(str(step))
    visit.page.wait_for_timeout(300)
    assert len(visit.qualities) == asked == 1
    visit.press("Invert")
    table(visit)
    assert len(visit.qualities) == 2
    assert visit.qualities[-1].request.post_data_json["data"]["mask"] == visit.read("mask")


def test_painting_does_not_wait_for_it(visit):
    held = []

    def hold(route):
        slow = route.request.post_data_json["data"]["kind"] == "quality"
        (held.append if slow else lambda it: it.continue_())(route)

    visit.page.route("**/component_server/", hold)
    visit.press("Clear")
    expect(visit.page.locator(".etviz-comparison")).to_have_attribute("aria-busy", "true")
    visit.page.wait_for_timeout(300)
    assert len(held) == 1
    for patch in (3, 30):
        visit.stroke(patch)
        visit.settle()
    assert visit.read("hidden") == "2"
    while held:
        held.pop().continue_()
    visit.page.unroute("**/component_server/")
    assert number(table(visit)["mse"]["mean_fill"]) > 0  # of the newest mask, not of the empty one


def test_terms_explain_themselves_by_pointer_and_keyboard(visit):
    tip = visit.page.get_by_role("tooltip").filter(has_text="decibels")
    expect(tip).to_be_hidden()
    term = visit.page.get_by_role("button", name="Masked PSNR, dB")
    term.focus()
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("higher is better")
    visit.page.get_by_role("button", name="SSIM").hover()
    expect(visit.page.get_by_role("tooltip").filter(has_text="Structural similarity")).to_be_visible()


def test_on_a_phone_no_explanation_runs_over_the_edge(phone):
    terms = phone.page.locator(".etviz-term button")
    for i in range(terms.count()):
        terms.nth(i).focus()
        box = phone.page.locator(".etviz-term .etviz-tip:visible").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    assert phone.sideways() <= 0
