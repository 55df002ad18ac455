"""The first view in a real browser: painting, scrubbing, uploading, on a phone, and never a word to another machine."""

import io
import json
import re

import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

import etviz
from etviz.masks import num_hidden
from etviz.models import complete
from etviz.ui.bundle import PAGE
from etviz.ui.payload import decode_pixels, to_bytes
from tests.browser.conftest import Visit


def test_the_first_descent_is_there_without_asking(visit):
    assert visit.page.title() == "etviz"
    assert visit.read("steps") == visit.read("step") == "12"
    assert visit.read("hidden") == "21"
    assert not visit.answers
    assert visit.sideways() <= 0
    assert visit.page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_three_painted_patches_reach_the_server_and_thirteen_frames_come_back(visit):
    visit.press("Clear")
    before = visit.curve()
    visit.stroke(0, 1, 2)
    visit.settle()
    assert visit.read("mask") == "e" + 15 * "0"
    assert visit.read("hidden") == "3"
    assert visit.questions()[-1]["mask"] == "e" + 15 * "0"
    answer = visit.answers[-1].json()
    assert len(answer["energy"]) == 13
    assert visit.curve() != before
    assert len(visit.answers) == 2  # one for Clear, and one for the whole stroke


def test_what_is_on_screen_equals_the_python_api(visit, model):
    visit.stroke(10, 20)
    visit.settle()
    answer = visit.answers[-1].json()
    image = decode_pixels(answer["image"], 32)[None].float() / 255
    mask = etviz.mask_from_hex(visit.read("mask"))
    trace = model.trace(image, mask)
    expected = to_bytes(complete(image, trace.frames[:, 12], mask))[0]
    assert (visit.pixels("Reconstruction").int() - expected.int()).abs().max() <= 1
    assert torch.equal(visit.pixels("Original"), to_bytes(image)[0])
    shown = visit.page.locator(".etviz-readout dd").first.inner_text().replace("\N{MINUS SIGN}", "-").replace(",", "")
    assert float(shown) == pytest.approx(trace.energy[0, 12].item(), abs=0.06)


def test_pointing_at_a_pixel_tells_its_value(visit):
    row, column = 9, 21
    for name in ("Original", "Reconstruction", "Absolute error"):
        tile = visit.page.get_by_role("img", name=name)
        box = tile.bounding_box()
        tile.hover(position={"x": (column + 0.5) * box["width"] / 32, "y": (row + 0.5) * box["height"] / 32})
        given, shown = (visit.pixels(which)[:, row, column].tolist() for which in ("Original", "Reconstruction"))
        red, green, blue = shown if name == "Reconstruction" else given
        error = sum(abs(a - b) for a, b in zip(given, shown, strict=True)) / 765
        told = f"{error:.3f}" if name == "Absolute error" else f"red {red}, green {green}, blue {blue} of 255"
        assert told in tile.get_attribute("title")
        assert tile.get_attribute("title").startswith("Pixel in row 10, column 22: ")


def test_a_stroke_that_starts_on_a_hidden_patch_reveals_and_skips_nothing(visit):
    visit.press("Clear")
    visit.press("Invert")
    x, y = visit.middle(0)
    visit.page.mouse.move(x, y)
    visit.page.mouse.down()
    visit.page.mouse.move(*visit.middle(63))  # in one jump
    visit.page.mouse.up()
    visit.settle()
    assert visit.read("mask") == "7fbfdfeff7fbfdfe"


def test_scrubbing_changes_the_picture_and_asks_nobody(visit):
    # The first descent has everything that it asks for.
    expect(visit.page.locator(".etviz-comparison")).to_have_attribute("aria-busy", "false")
    asked = len(visit.requests)
    end = visit.pixels("Reconstruction")
    slider = visit.page.get_by_role("slider", name="Descent step")
    slider.focus()
    for _ in range(5):
        slider.press("ArrowLeft")
    assert visit.read("step") == "7"
    assert not torch.equal(visit.pixels("Reconstruction"), end)
    slider.press("Home")
    assert visit.read("step") == "0"
    box = visit.page.locator(".is-explore .etviz-chart").bounding_box()
    visit.page.mouse.click(box["x"] + box["width"] - 15, box["y"] + 40)
    assert visit.read("step") == "12"
    assert torch.equal(visit.pixels("Reconstruction"), end)
    assert len(visit.requests) == asked


def test_play_runs_to_the_end_and_pauses(visit):
    visit.page.get_by_role("button", name="Play the descent").click()
    expect(visit.page.get_by_role("button", name="Pause")).to_be_visible()
    expect(visit.root).to_have_attribute("data-step", re.compile("^[1-6]$"))
    visit.page.get_by_role("button", name="Pause").click()
    paused = visit.read("step")
    assert int(paused) < 12
    visit.page.get_by_role("button", name="Play the descent").click()
    expect(visit.root).to_have_attribute("data-step", "12")
    expect(visit.page.get_by_role("button", name="Play the descent")).to_be_visible()


def test_painting_by_keyboard_and_undoing(visit):
    visit.press("Clear")
    keys = visit.page.keyboard
    visit.page.locator(".etviz-cell").first.focus()
    for key in ("ArrowDown", "ArrowRight", " ", "ArrowRight", "Enter"):
        keys.press(key)
    visit.settle()
    assert visit.read("mask") == "0060000000000000"
    assert len(visit.answers) == 2  # Clear, and both keys together
    cell = visit.page.get_by_role("gridcell", name="row 2, column 3, hidden")
    expect(cell).to_be_focused()
    keys.press("Control+z")
    visit.settle()
    assert visit.read("hidden") == "0"
    keys.press("Control+Shift+Z")
    visit.settle()
    assert visit.read("mask") == "0060000000000000"


def test_presets(visit):
    visit.press("Random mask")
    first = visit.read("mask")
    assert visit.read("hidden") == "54"
    visit.press("Invert")
    assert int(visit.read("mask"), 16) == (1 << 64) - 1 - int(first, 16)
    visit.press("Clear")
    assert visit.read("hidden") == "0"


def test_presets_by_number_are_those_of_python(visit):
    visit.page.locator(".etviz-cell").first.focus()
    halves = [etviz.half_mask(which=which) for which in ("right", "bottom", "left", "top", "right")]
    expected = [etviz.grid_mask(), etviz.center_mask(), *halves, ~halves[-1], torch.zeros(1, 64, dtype=torch.bool)]
    for key, mask in zip("345555560", expected, strict=True):
        visit.page.keyboard.press(key)
        visit.settle()
        assert visit.read("mask") == etviz.mask_to_hex(mask)
        assert visit.questions()[-1]["mask"] == visit.read("mask")


def test_the_random_share_hides_as_many_as_python_does(visit):
    slider = visit.page.get_by_role("slider", name="Share to hide")
    assert slider.input_value() == "85"
    for percent in range(5, 100, 15):
        slider.fill(str(percent))
        visit.settle()
        assert visit.read("hidden") == str(num_hidden(percent / 100))
    visit.page.keyboard.press("2")
    visit.settle()
    assert visit.read("hidden") == "60"
    visit.press("Undo (Ctrl+Z)")
    assert visit.read("hidden") == "60"  # the random mask before the block: moving the slider is one stroke
    visit.press("Undo (Ctrl+Z)")
    assert visit.read("hidden") == str(num_hidden(0.8))


def seeded(draw, count, share, seed):
    return etviz.mask_to_hex(draw(1, share, count, generator=torch.Generator().manual_seed(seed)))


def test_masks_of_the_module_follow_python_on_every_grid(visit):
    """On grids of other models too; what is drawn at random is what PyTorch draws by that seed."""
    script = """async (code) => {
        const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
        const masks = await import(url);
        const { maskToHex: hex, gridMask, centerMask, halfMask, blockMask, randomMask, resizedMask } = masks;
        return [16, 36, 64, 256].map((count) => ({
            count,
            fixed: [gridMask(count), centerMask(count)].map(hex),
            halves: ["left", "right", "top", "bottom"].map((which) => hex(halfMask(count, which))),
            drawn: [0, 1, 2, 7, 12345, 4294967295].map((seed) => ({
                seed,
                random: [0.05, 0.4, 0.85].map((share) => hex(randomMask(count, share, seed))),
                block: [0.05, 0.4, 0.85].map((share) => hex(blockMask(count, share, seed))),
            })),
            resized: hex(resizedMask(centerMask(count), 4 * count)),
        }));
    }"""
    for found in visit.page.evaluate(script, (PAGE / "lib/masks.js").read_text()):
        count = found["count"]
        halves = [etviz.half_mask(1, count, which) for which in ("left", "right", "top", "bottom")]
        fixed = [etviz.grid_mask(1, count), etviz.center_mask(1, count)]
        assert found["halves"] == [etviz.mask_to_hex(mask) for mask in halves]
        assert found["fixed"] == [etviz.mask_to_hex(mask) for mask in fixed]
        for drawn in found["drawn"]:
            for kind, draw in (("random", etviz.random_mask), ("block", etviz.block_mask)):
                assert drawn[kind] == [seeded(draw, count, share, drawn["seed"]) for share in (0.05, 0.4, 0.85)]
        if count in (16, 64):  # whose centre stays in the middle when every patch becomes four
            assert found["resized"] == etviz.mask_to_hex(etviz.center_mask(1, 4 * count))


def test_brushes(visit):
    visit.press("Clear")
    visit.page.get_by_text("More masks").click()
    brush = visit.page.get_by_role("button", name="Two by two patches")
    expect(visit.page.get_by_role("button", name="One patch")).to_have_attribute("aria-pressed", "true")
    brush.click()
    expect(brush).to_have_attribute("aria-pressed", "true")
    visit.stroke(63)
    visit.settle()
    assert visit.read("mask") == "0000000000000303"
    visit.page.get_by_role("button", name="A whole row").click()
    visit.stroke(8)
    visit.settle()
    assert visit.read("mask") == "00ff000000000303"
    visit.page.get_by_role("button", name="A whole column").click()
    visit.page.locator(".etviz-cell").first.focus()
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press(" ")
    visit.settle()
    assert visit.read("mask") == "40ff404040404343"


def test_a_brush_shows_what_it_would_cover_on_hidden_patches_too(visit):
    visit.press("Clear")
    visit.press("Invert")
    visit.page.get_by_text("More masks").click()
    visit.page.get_by_role("button", name="Two by two patches").click()

    def edges(patches):
        visit.page.wait_for_timeout(200)  # the stripes fade in
        boxes = [visit.page.locator(".etviz-cell").nth(patch).bounding_box() for patch in patches]
        picture = Image.open(io.BytesIO(visit.page.screenshot())).convert("RGB")
        return [picture.getpixel((round(box["x"] + 20), round(box["y"] + 1))) for box in boxes]

    covered, beside = (27, 28, 35, 36), (29, 34)
    away = edges(covered + beside)
    visit.page.mouse.move(*visit.middle(27))
    over = edges(covered + beside)
    changed = [max(abs(a - b) for a, b in zip(*pair, strict=True)) > 60 for pair in zip(away, over, strict=True)]
    assert changed == [True] * 4 + [False] * 2
    visit.page.mouse.move(5, 5)
    assert edges(covered + beside) == away


def test_the_mask_is_read_and_written_in_hexadecimal(visit):
    visit.page.get_by_text("More masks").click()
    field = visit.page.get_by_role("textbox", name="Mask in hexadecimal")
    expect(field).to_have_value(visit.read("mask"))
    field.fill(" FF00FF00FF00FF07 ")
    field.press("Enter")
    visit.settle()
    assert visit.read("mask") == "ff00ff00ff00ff07"
    before = len(visit.answers)
    for bad in ("ff00", "ff00ff00ff00ff0g", ""):
        field.fill(bad)
        field.press("Enter")
        expect(visit.page.get_by_role("alert")).to_contain_text(
            f"“{bad}” is not a mask of 64 patches, which has 16 hexadecimal digits."
        )
    assert visit.read("mask") == "ff00ff00ff00ff07"
    assert len(visit.answers) == before
    visit.press("Invert")
    expect(visit.page.get_by_role("alert")).to_be_hidden()
    expect(field).to_have_value("00ff00ff00ff00f8")


def test_a_model_with_another_grid_takes_the_mask_along(visit):
    visit.press("Clear")
    visit.page.locator(".etviz-cell").first.focus()
    visit.page.keyboard.press("4")
    visit.settle()
    menu = visit.page.get_by_role("combobox", name="Model")
    menu.select_option("coarse")
    expect(visit.root).to_have_attribute("data-shown", etviz.mask_to_hex(etviz.center_mask(1, 16)))
    assert visit.page.locator(".etviz-cell").count() == 16
    visit.stroke(0)
    visit.settle()
    assert visit.read("mask") == "8660"
    menu.select_option("tiny")
    expect(visit.root).to_have_attribute("data-shown", "c0c03c3c3c3c0000")


def test_another_picture_keeps_the_mask(visit):
    mask, original = visit.read("mask"), visit.pixels("Original")
    visit.page.get_by_role("button", name="scikit-image picture 3: rocket").click()
    expect(visit.page.get_by_text("scikit-image picture 3: rocket")).to_be_visible()
    assert visit.read("mask") == mask
    assert not torch.equal(visit.pixels("Original"), original)


def test_another_model_answers_and_a_broken_one_is_one_sentence(visit):
    menu = visit.page.get_by_role("combobox", name="Model")
    menu.select_option("twin")
    expect(visit.root).to_have_attribute("data-seq", "1")
    assert visit.questions()[-1]["model"] == visit.answers[-1].json()["model"] == "twin"
    menu.select_option("cut")
    expect(visit.page.get_by_role("alert")).to_contain_text("truncated")
    expect(menu).to_have_value("twin")


def test_an_upload_becomes_the_picture_and_stays_in_its_session(visit, browser, address, tmp_path):
    Image.new("RGB", (90, 60), (200, 30, 40)).save(tmp_path / "mine.png")
    visit.page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.png")
    expect(visit.page.get_by_text("Your mine.png")).to_be_visible()
    assert visit.pixels("Original").unique(dim=2).flatten().tolist() == [200] * 32 + [30] * 32 + [40] * 32
    visit.stroke(0, 1)
    visit.settle()
    expect(visit.page.get_by_text("Your mine.png")).to_be_visible()
    other = Visit(browser.new_context(reduced_motion="reduce"), address)
    expect(other.page.get_by_text("Your mine.png")).to_have_count(0)
    other.page.context.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no picture at all", "no PNG, JPEG or WebP"), (bytes(3 * 2**20), "larger than 2 MB")],
    ids=["text", "3 MB"],
)
def test_a_bad_upload_is_one_sentence_and_loses_nothing(visit, tmp_path, content, words):
    (tmp_path / "bad.png").write_bytes(content)
    original, mask = visit.pixels("Original"), visit.read("mask")
    visit.page.locator("input[type=file]").first.set_input_files(tmp_path / "bad.png")
    notice = visit.page.get_by_role("alert")
    expect(notice).to_contain_text(words)
    assert torch.equal(visit.pixels("Original"), original)
    assert visit.read("mask") == mask
    visit.stroke(0)
    visit.settle()
    expect(notice).to_be_hidden()


def test_an_answer_that_comes_late_is_ignored(visit):
    held = []

    def hold(route):
        """Descents wait; what else is asked about the one on screen may go on."""
        if route.request.post_data_json["data"]["kind"] == "trace":
            held.append(route)
        else:
            route.continue_()

    visit.page.route("**/component_server/", hold)
    visit.stroke(0)
    visit.stroke(9)
    visit.page.wait_for_timeout(200)
    assert len(held) == 1  # the second question waits for the first answer
    newest = visit.read("mask")
    held.pop().continue_()
    visit.page.unroute("**/component_server/")
    visit.settle()
    assert visit.read("shown") == newest
    assert json.loads(visit.answers[-1].request.post_data)["data"]["mask"] == newest


def test_a_server_that_is_gone_is_one_sentence(visit):
    visit.page.route("**/component_server/", lambda route: route.fulfill(status=500, body="no"))
    shown = visit.read("shown")
    visit.stroke(0)
    expect(visit.page.get_by_role("alert")).to_contain_text("does not answer")
    assert visit.read("shown") == shown
    assert visit.read("stale") == "true"  # what is on screen is dimmed: it belongs to another mask
    visit.page.unroute("**/component_server/")
    visit.settle()  # by itself
    assert visit.read("stale") == "false"
    expect(visit.page.get_by_role("alert")).to_be_hidden()
    visit.page.route("**/component_server/", lambda route: route.fulfill(status=500, body="no"))
    visit.stroke(8)
    expect(visit.page.get_by_role("button", name="Try again")).to_be_visible()
    visit.page.unroute("**/component_server/")
    visit.page.get_by_role("button", name="Try again").click()
    visit.settle()
    visit.complaints.clear()  # the failure that was staged


def test_a_phone_shows_it_all_in_one_column(phone):
    assert phone.sideways() <= 0
    phone.page.touchscreen.tap(*phone.middle(0))
    phone.settle()
    assert phone.questions()[-1]["mask"] == phone.read("mask")
    tiles = phone.page.locator(".etviz-canvas:visible")
    for i in range(tiles.count()):
        box = tiles.nth(i).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, address, scheme):
    """WCAG AA: 4.5 to 1 for every text on its own background."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    visit = Visit(context, address)
    poor = visit.poor_contrast()
    context.close()
    assert poor == []
