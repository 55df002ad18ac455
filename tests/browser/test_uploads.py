"""Uploads are shown with their crop, the camera gives one picture and stops, and masks come and go as PNG."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

import etviz
from tests.browser.conftest import Visit

PICTURE, MASK = ("input[type=file]:not(.is-mask)", "input[type=file].is-mask")
SQUARE = """(square) => {
    const [inner, outer] = [square, square.parentNode.querySelector("img")].map((node) => node.getBoundingClientRect());
    return [(inner.x - outer.x) / outer.width, (inner.y - outer.y) / outer.height,
            inner.width / outer.width, inner.height / outer.height];
}"""

TRACKS = "document.querySelector('.etviz-camera video').srcObject.getTracks()"
ENDED = "(tracks) => tracks.length === 1 && tracks[0].readyState === 'ended'"  # a dialog closes a moment after it hides


@pytest.mark.parametrize(("size", "square"), [((300, 100), (1 / 3, 0, 1 / 3, 1)), ((60, 80), (0, 1 / 8, 1, 3 / 4))])
def test_an_upload_is_shown_whole_with_the_square_that_was_used(visit, tmp_path, size, square):
    picture = Image.new("RGB", size, "blue")
    left, top = round(square[0] * size[0]), round(square[1] * size[1])
    picture.paste("red", (left, top, left + min(size), top + min(size)))
    picture.save(tmp_path / "mine.png")
    visit.page.locator(PICTURE).set_input_files(tmp_path / "mine.png")
    note = visit.page.get_by_role("note")
    expect(note).to_contain_text(f"{size[0]}×{size[1]} pixels. The {min(size)}×{min(size)} square")  # noqa: RUF001
    assert note.locator("i").evaluate(SQUARE) == pytest.approx(square, abs=0.01)
    expect(visit.page.get_by_text("Your mine.png")).to_be_visible()
    inside = visit.pixels("Original")[:, 1:-1, 1:-1]  # the filter that shrinks looks a little over the border
    assert inside[0].min() > 200
    assert inside[2].max() < 60
    note.get_by_role("button", name="Dismiss").click()
    expect(note).to_be_hidden()


def test_a_photograph_too_large_for_the_server_is_shrunk_by_the_browser(visit, tmp_path):
    """Noise makes the file large; its left part is cropped away, and what is left has two colours."""
    noise = np.random.default_rng(0).integers(0, 256, (1200, 5000, 3), dtype=np.uint8)
    noise[:, 1900:2500], noise[:, 2500:3100] = (200, 40, 40), (40, 40, 200)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    assert (tmp_path / "photo.png").stat().st_size > 10 * 2**20
    visit.page.locator(PICTURE).set_input_files(tmp_path / "photo.png")
    expect(visit.page.get_by_text("Your photo.png")).to_be_visible(timeout=20_000)
    expect(visit.page.get_by_role("note")).to_contain_text("5000×1200 pixels. The 1200×1200 square")  # noqa: RUF001
    shown = visit.pixels("Original").float()[:, 1:-1]
    for colour, columns in (((200, 40, 40), slice(1, 15)), ((40, 40, 200), slice(17, 31))):
        wanted = torch.tensor(colour)[:, None, None]
        assert (shown[:, :, columns] - wanted).abs().max() <= 4  # a JPEG of high quality


def test_a_small_picture_is_not_called_shrunk(visit, tmp_path):
    Image.new("RGB", (1, 1), "red").save(tmp_path / "dot.png")
    visit.page.locator(PICTURE).set_input_files(tmp_path / "dot.png")
    expect(visit.page.get_by_role("note")).to_contain_text("enlarged to 32")


def test_another_picture_puts_the_note_away(visit, tmp_path):
    Image.new("RGB", (50, 50), "red").save(tmp_path / "mine.webp")
    visit.page.locator(PICTURE).set_input_files(tmp_path / "mine.webp")
    note = visit.page.get_by_role("note")
    expect(note).to_contain_text("All of it was shrunk to 32")
    visit.stroke(5)
    visit.settle()
    expect(note).to_be_visible()
    visit.page.get_by_role("button", name="scikit-image picture 3: rocket").click()
    expect(note).to_be_hidden()


# ---- the camera --------------------------------------------------------------------------------------------------


def test_the_camera_takes_one_picture_and_stops(browser, address):
    context = browser.new_context(permissions=["camera"], reduced_motion="reduce")
    visit = Visit(context, address)
    before = visit.pixels("Original")
    visit.page.get_by_role("button", name="Camera…").click()
    dialog = visit.page.get_by_role("dialog", name="Take a picture")
    expect(dialog).to_be_visible()
    visit.page.wait_for_function("document.querySelector('.etviz-camera video').videoWidth > 0")
    tracks = visit.page.evaluate_handle(TRACKS)
    dialog.get_by_role("button", name="Take the picture").click()
    expect(visit.page.get_by_text("Your webcam picture.png")).to_be_visible()
    expect(dialog).to_be_hidden()
    visit.page.wait_for_function(ENDED, arg=tracks)
    assert not torch.equal(visit.pixels("Original"), before)
    assert not visit.complaints
    context.close()


def test_a_cancelled_camera_stops_too(browser, address):
    context = browser.new_context(permissions=["camera"], reduced_motion="reduce")
    visit = Visit(context, address)
    visit.page.get_by_role("button", name="Camera…").click()
    expect(visit.page.get_by_role("dialog")).to_be_visible()
    tracks = visit.page.evaluate_handle(TRACKS)
    visit.page.keyboard.press("Escape")
    expect(visit.page.get_by_role("dialog")).to_be_hidden()
    visit.page.wait_for_function(ENDED, arg=tracks)
    context.close()


def test_a_second_click_while_the_camera_opens_leaves_no_camera_on(browser, address):
    context = browser.new_context(permissions=["camera"], reduced_motion="reduce")
    context.add_init_script("""
        const media = navigator.mediaDevices, real = media.getUserMedia.bind(media);
        window.streams = [];
        media.getUserMedia = async (wish) => {
            await new Promise((resolve) => setTimeout(resolve, 300));
            return window.streams[window.streams.push(await real(wish)) - 1];
        };""")
    visit = Visit(context, address)
    visit.page.evaluate("""() => {
        const button = [...document.querySelectorAll("button")].find((one) => one.textContent === "Camera…");
        button.click();
        button.click();
    }""")
    expect(visit.page.get_by_role("dialog")).to_be_visible()
    visit.page.keyboard.press("Escape")
    visit.page.wait_for_timeout(500)  # a second stream would have come by now
    states = visit.page.evaluate("window.streams.flatMap((stream) => stream.getTracks().map((one) => one.readyState))")
    assert states == ["ended"]
    expect(visit.page.get_by_role("button", name="Camera…")).to_be_enabled()
    context.close()


def test_a_refused_camera_is_one_sentence(visit):
    visit.page.get_by_role("button", name="Camera…").click()
    expect(visit.page.get_by_role("alert")).to_contain_text("may not use the camera")
    expect(visit.page.get_by_role("dialog")).to_be_hidden()


def test_no_button_where_there_is_no_camera(browser, address):
    context = browser.new_context(reduced_motion="reduce")
    context.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    visit = Visit(context, address)
    expect(visit.page.get_by_role("button", name="Upload…", exact=True)).to_be_visible()
    expect(visit.page.get_by_role("button", name="Camera…")).to_have_count(0)
    context.close()


# ---- masks as pictures -------------------------------------------------------------------------------------------


def test_a_mask_is_downloaded_as_python_draws_it_and_read_again(visit):
    visit.page.get_by_text("More masks").click()
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Download the mask").click()
    assert download.value.suggested_filename == f"mask-{visit.read('mask')}.png"
    mask = etviz.mask_from_hex(visit.read("mask"))
    picture = Image.open(download.value.path())
    assert picture.size == (32, 32)
    assert picture.convert("L").tobytes() == etviz.mask_to_image(mask).tobytes()
    assert torch.equal(etviz.mask_from_image(picture), mask)
    visit.press("Clear")
    visit.page.locator(MASK).set_input_files(download.value.path())
    expect(visit.root).to_have_attribute("data-mask", etviz.mask_to_hex(mask))
    visit.settle()
    visit.press("Undo (Ctrl+Z)")
    assert visit.read("hidden") == "0"


def pictures():
    """Masks as others may draw them: odd sizes, colours, transparency, and a photograph."""
    noise = torch.randint(256, (90, 71, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)).numpy()
    holed = Image.new("RGBA", (64, 64), "black")
    holed.paste((0, 0, 0, 0), (10, 10, 40, 30))
    disc = Image.radial_gradient("L").resize((333, 200))
    deep = np.asarray(disc).astype(np.uint16) * 257 + 100
    turned = Image.new("L", (60, 90))
    turned.paste(255, (0, 0, 20, 90))
    return {
        "tiny": Image.fromarray(noise[:5, :3, :3]),
        "noise": Image.fromarray(noise[..., :3]),
        "holed": holed,
        "disc": disc,
        "palette": disc.quantize(8),
        "bits": disc.convert("1"),
        "sheer": Image.fromarray(noise),
        "deep": Image.fromarray(deep),
        "faint": Image.fromarray(deep // 128),
        "turned": turned,
    }


@pytest.mark.parametrize("name", pictures())
def test_the_page_reads_a_mask_as_python_does(visit, tmp_path, name):
    exif = Image.Exif()
    if name == "turned":
        exif[274] = 6
    pictures()[name].save(tmp_path / "mask.png", exif=exif)
    expected = etviz.mask_to_hex(etviz.mask_from_image(Image.open(tmp_path / "mask.png")))
    visit.page.locator(MASK).set_input_files(tmp_path / "mask.png")
    expect(visit.root).to_have_attribute("data-shown", expected)
    assert visit.read("mask") == expected


@pytest.mark.parametrize("content", ["text", "3 MB", "wide"])
def test_a_bad_mask_file_is_one_sentence_and_loses_nothing(visit, tmp_path, content):
    wide = io.BytesIO()
    Image.new("1", (5000, 10)).save(wide, format="PNG")
    data, words = {
        "text": (b"no picture at all", "cannot read this file as a picture"),
        "3 MB": (bytes(3 * 2**20), "larger than 2 MB"),
        "wide": (wide.getvalue(), "4096x4096 is the limit"),
    }[content]
    (tmp_path / "mask.png").write_bytes(data)
    before = visit.read("mask")
    visit.page.locator(MASK).set_input_files(tmp_path / "mask.png")
    expect(visit.page.get_by_role("alert")).to_contain_text(words)
    assert visit.read("mask") == before
