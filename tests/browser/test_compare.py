"""Compare in a real browser: columns in lockstep, their numbers, and their place in the address."""

import pytest
import torch
from playwright.sync_api import expect

import etviz
from etviz.metrics import masked_mse, masked_psnr, ssim
from etviz.ui.payload import decode_pixels, to_bytes
from tests.browser.conftest import Visit
from tests.browser.test_address import parameters, resting

DASH = "\N{EN DASH}"
FACTORS = (0.5, 1, 5, 20)  # of the model's own step size: the ready-made comparison


def open_compare(visit):
    visit.page.get_by_role("tab", name="Compare").click()
    settled(visit)


def settled(visit):
    """Wait until every column has its picture."""
    expect(visit.page.get_by_text("Descending …").locator("visible=true")).to_have_count(0, timeout=30_000)
    expect(visit.page.locator(".etviz-table td").first).not_to_have_text(DASH, timeout=30_000)


def rows(visit):
    """The table's numbers: a list for each column, None for a dash."""

    def number(text):
        text = text.replace("(best)", "").replace("\N{MINUS SIGN}", "-").replace(",", "").split()[0]
        return None if text == DASH else float(text)

    found = visit.page.locator(".etviz-table tbody tr")
    return [[number(cell) for cell in row.locator("td").all_text_contents()] for row in found.all()]


def asked_columns(visit, found, patience=200):
    """The columns of each comparison asked for, once `found` says that the one waited for is there."""
    for _ in range(patience):
        asked = [question["columns"] for question in visit.questions() if question["kind"] == "compare"]
        if found(asked):
            return asked
        visit.page.wait_for_timeout(100)
    raise AssertionError(f"not asked: {asked}")


def scene(visit):
    answer = visit.answers[0].json() if visit.answers else None
    shown = next((a.json() for a in reversed(visit.answers) if "columns" in a.json()), answer)
    column = shown["columns"][0]
    return decode_pixels(column["image"], column["size"])[None].float() / 255


def test_numbers_of_each_column_equal_the_python_api(visit, model):
    open_compare(visit)
    image, mask = scene(visit), etviz.mask_from_hex(visit.read("mask"))
    for step in (12, 4):
        visit.page.get_by_role("slider", name="Descent step").fill(str(step))
        assert len(rows(visit)) == len(FACTORS)
        for factor, shown in zip(FACTORS, rows(visit), strict=True):
            trace = model.trace(image, mask, step_size=0.1 * factor)
            frame = trace.frames[:, step]
            assert shown[0] == pytest.approx(masked_mse(image, frame, mask).item(), abs=6e-5)
            assert shown[1] == pytest.approx(masked_psnr(image, frame, mask).item(), abs=6e-3)
            assert shown[2] == pytest.approx(ssim(image, etviz.complete(image, frame, mask)).item(), abs=6e-4)
            assert shown[3] == pytest.approx(trace.energy[0, -1].item(), rel=1e-4)
            assert shown[4] == trace.rises().sum()


def test_the_best_values_are_marked(visit):
    open_compare(visit)
    values = [row[1] for row in rows(visit)]
    marked = visit.page.locator(".etviz-table tbody tr td:nth-child(3).is-best")
    assert {float(text.split()[0]) for text in marked.all_text_contents()} == {max(values)}
    assert visit.page.get_by_text("All columns descend on one energy.").is_visible()
    visit.page.get_by_label("Beta of column B").fill("0.5")
    visit.page.get_by_label("Beta of column B").press("Tab")
    expect(visit.page.get_by_text("not comparable, so none is marked")).to_be_visible()
    expect(visit.page.locator(".etviz-table tbody td:nth-child(5).is-best")).to_have_count(0)


def test_pictures_walk_together_and_ask_nobody(visit, model):
    open_compare(visit)
    image, mask, asked = scene(visit), etviz.mask_from_hex(visit.read("mask")), len(visit.requests)
    slider = visit.page.get_by_role("slider", name="Descent step")
    slider.focus()
    for step in (11, 10):
        slider.press("ArrowLeft")
        wholes = []
        for letter, factor in zip("AD", (FACTORS[0], FACTORS[3]), strict=True):
            frame = model.trace(image, mask, step_size=0.1 * factor).frames[:, step]
            wholes.append(etviz.complete(image, frame, mask))
            shown = visit.pixels(f"Completed picture, column {letter}")
            assert (shown.int() - to_bytes(wholes[-1])[0].int()).abs().max() <= 1
        apart = (wholes[0] - wholes[1]).abs().mean().item()
        caption = visit.page.get_by_label("Column D").locator("figcaption").last.inner_text()
        assert float(caption.split()[-1]) == pytest.approx(apart, abs=2e-3)
    assert len(visit.requests) == asked


def test_differences_are_drawn_to_a_or_to_the_original(visit):
    open_compare(visit)
    assert torch.equal(visit.pixels("Difference, column A"), to_bytes(scene(visit))[0])  # A differs from nothing
    visit.page.get_by_role("button", name="The original").click()
    shown = visit.pixels("Difference, column A")
    side = etviz.mask_from_hex(visit.read("mask")).reshape(8, 8)
    visible = ~side.repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert (shown[:, visible] == torch.tensor([[68], [1], [84]])).all()  # viridis of 0
    assert (shown[:, ~visible] != torch.tensor([[68], [1], [84]])).any()


def test_columns_are_in_the_address(visit, browser, epochs):
    open_compare(visit)
    visit.page.get_by_role("button", name="Remove column D").click()
    visit.page.get_by_role("combobox", name="Model of column B").select_option("outputs/begun")
    visit.page.get_by_role("combobox", name="Epoch of column B").select_option("step-00000100.safetensors")
    step_size = visit.page.get_by_label("Step size of column B")
    step_size.fill("0.3")
    step_size.press("Enter")
    settled(visit)
    expect(visit.page.locator(".etviz-table tbody tr")).to_have_count(3)
    visit.page.wait_for_timeout(300)
    assert resting(visit)["columns"].split(";")[1] == "outputs%2Fbegun,step-00000100.safetensors,0.3,,"
    image, mask = scene(visit), etviz.mask_from_hex(visit.read("mask"))
    expected = epochs[1].trace(image, mask, step_size=0.3).energy[0, -1].item()
    context = browser.new_context(reduced_motion="reduce")
    other = Visit(context, visit.page.url)
    settled(other)
    for shown in (rows(visit), rows(other)):
        assert shown[1][3] == pytest.approx(expected, rel=1e-2)  # a snapshot is half precision
    other.page.go_back()
    context.close()
    visit.page.go_back()
    expect(visit.page.get_by_label("Step size of column B")).to_have_value("0.1")
    assert "," in parameters(visit)["columns"]


def test_only_what_changed_is_asked_for(visit):
    open_compare(visit)
    visit.page.get_by_role("combobox", name="Step rule of column C").select_option("sphere")
    asked = asked_columns(visit, lambda asked: len(asked) > 1)
    assert [len(columns) for columns in asked] == [4, 1]
    assert asked[1][0]["settings"]["rule"] == "sphere"


def test_another_grid_takes_the_painted_mask_along(visit):
    open_compare(visit)
    visit.page.keyboard.press("4")  # the centre
    visit.settle()
    visit.page.get_by_role("combobox", name="Model of column B").select_option("coarse")
    asked = asked_columns(visit, lambda asked: any(column["model"] == "coarse" for column in asked[-1]))
    (coarse,) = [column for column in asked[-1] if column["model"] == "coarse"]
    assert coarse["mask"] == etviz.mask_to_hex(etviz.center_mask(1, 16))


def test_a_broken_model_is_a_sentence_in_its_column(visit):
    open_compare(visit)
    visit.page.get_by_role("combobox", name="Model of column C").select_option("cut")
    expect(visit.page.get_by_label("Column C", exact=True)).to_contain_text("truncated")
    assert [row[0] is None for row in rows(visit)] == [False, False, True, False]


def test_columns_are_added_and_removed_by_keyboard(visit):
    open_compare(visit)
    add = visit.page.get_by_role("button", name="Add a column")
    expect(add).to_be_disabled()
    for letter in "DC":
        visit.page.get_by_role("button", name=f"Remove column {letter}").press("Enter")
    expect(visit.page.get_by_role("button", name="Remove column A")).to_be_hidden()
    add.press("Enter")
    expect(visit.page.locator(".etviz-table tbody tr")).to_have_count(3)
    curves = visit.page.get_by_role("group", name="Energy, change since step 0")
    curves.focus()
    curves.press("ArrowLeft")
    curves.press("ArrowLeft")
    expect(curves.get_by_text("Step 11")).to_be_visible()
    curves.press("Enter")
    assert visit.read("step") == "11"


def test_a_stroke_reaches_every_column(visit):
    open_compare(visit)
    before = rows(visit)
    visit.press("Clear")
    expect(visit.page.locator(".etviz-table td").first).to_have_text(DASH)  # nothing hidden
    visit.press("Invert")
    settled(visit)
    after = rows(visit)
    assert all(old[0] != new[0] for old, new in zip(before, after, strict=True))


def test_a_phone_shows_it_all(phone):
    open_compare(phone)
    assert phone.sideways() <= 0
    assert len(rows(phone)) == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, address, scheme):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    visit = Visit(context, f"{address}?tab=compare")
    settled(visit)
    poor = visit.poor_contrast()
    context.close()
    assert poor == []


def test_models_begin_with_the_pages_own_and_those_of_its_dataset(visit):
    """Four at most: a model of another dataset comes after all of the page's."""
    datasets = {"tiny": "cifar10", "twin": "cifar10", "coarse": "cifar10"}

    def trained(route):
        if route.request.post_data_json["data"]["kind"] != "runs":
            return route.continue_()
        answer = route.fetch()
        runs = [run | {"dataset": datasets.get(run["name"], "cifar100")} for run in answer.json()["runs"]]
        return route.fulfill(response=answer, json={"runs": runs})

    visit.page.route("**/component_server/", trained)
    visit.page.reload()
    open_compare(visit)
    visit.page.get_by_role("button", name="Models", exact=True).click()
    settled(visit)
    menus = visit.page.get_by_role("combobox", name="Model of column")
    names = [menu.input_value() for menu in menus.all() if menu.is_visible()]
    assert names[0] == "tiny"
    assert set(names[:3]) == set(datasets)
    assert len(names) == 4


def test_columns_that_the_server_refuses_say_so(visit):
    def refuse(route):
        crowded = route.request.post_data_json["data"]["kind"] == "compare"
        route.fulfill(json={"error": "Too many people are asking at once."}) if crowded else route.continue_()

    open_compare(visit)
    visit.page.route("**/component_server/", refuse)
    visit.stroke(0, 1)
    expect(visit.page.get_by_label("Column A", exact=True)).to_contain_text("Too many people")
    assert [row[0] for row in rows(visit)] == [None] * 4  # nor are the last picture's numbers left standing
