"""Choosing a picture: datasets, classes, pages, numbers, any; and the seed of random masks."""

import numpy as np
import pytest
import torch
from playwright.sync_api import expect

import etviz
from etviz.checkpoints import save_checkpoint
from tests.browser.app import serving
from tests.browser.conftest import Visit
from tests.browser.test_address import parameters, resting


@pytest.fixture(scope="module")
def with_cifar(model, browser, tmp_path_factory):
    """The app beside archives named as both CIFARs: 40 grey pictures, each of its own brightness."""
    folder = tmp_path_factory.mktemp("cifar")
    save_checkpoint(model, folder / "tiny", {})
    for offset, name in enumerate(("cifar10", "cifar100")):
        images = (
            np.arange(40, dtype=np.uint8)[:, None, None, None] * 3 + 100 * offset + np.zeros((1, 32, 32, 3), np.uint8)
        )
        labels = np.repeat([0, 3], [10, 30])
        np.savez(folder / name, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    with serving("--checkpoint", "tiny", "--data-root", str(folder), ETVIZ_CHECKPOINTS=str(folder)) as address:
        yield address


@pytest.fixture
def gallery(browser, with_cifar):
    visit = Visit(browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce"), with_cifar)
    yield visit
    visit.page.context.close()
    assert not visit.complaints


def shown(visit):
    """The captions of the thumbnails."""
    return visit.page.locator(".etviz-thumb").evaluate_all("(thumbs) => thumbs.map((thumb) => thumb.title)")


def test_the_class_menu_shows_pictures_of_that_class(gallery):
    assert len({caption.split(": ")[1] for caption in shown(gallery)}) == 2
    gallery.page.get_by_role("combobox", name="Class").select_option("cat")
    expect(gallery.page.locator(".etviz-thumb").first).to_have_attribute("title", "CIFAR-10 test image 10: cat")
    first = gallery.page.get_by_role("button", name="CIFAR-10 test image 10: cat")
    assert shown(gallery) == [f"CIFAR-10 test image {i}: cat" for i in range(10, 22)]
    assert gallery.questions()[-1]["kind"] == "gallery"  # the picture on screen stays
    first.click()
    expect(gallery.page.locator(".etviz-caption")).to_have_text("CIFAR-10 test image 10: cat")
    expect(first).to_have_attribute("aria-pressed", "true")
    assert gallery.pixels("Original").unique().tolist() == [30]


def test_pages_go_on_and_back(gallery):
    gallery.page.get_by_role("combobox", name="Class").select_option("cat")
    on, back = (gallery.page.get_by_role("button", name=name) for name in ("More pictures", "Earlier pictures"))
    for page in (1, 2):
        at = f"CIFAR-10 test image {12 * page - 2}: cat"
        expect(gallery.page.locator(".etviz-thumb").first).to_have_attribute("title", at)
        on.click()
    expect(gallery.page.locator(".etviz-thumb")).to_have_count(6)
    expect(on).to_be_disabled()
    back.click()
    expect(gallery.page.get_by_role("button", name="image 22: cat")).to_be_visible()
    back.click()
    expect(back).to_be_disabled()


def test_random_keeps_to_the_class(gallery):
    gallery.page.get_by_role("combobox", name="Class").select_option("airplane")
    expect(gallery.page.locator(".etviz-thumb")).to_have_count(10)
    seen = set()
    for _ in range(6):
        asked = len(gallery.answers)
        gallery.page.get_by_role("button", name="Random picture").click()
        gallery.page.wait_for_function("() => document.querySelector('.etviz-thumb[aria-pressed=true]')")
        while len(gallery.answers) < asked + 2:
            gallery.page.wait_for_timeout(20)
        seen.add(gallery.questions()[-1]["picture"]["index"])
    assert seen <= set(range(10))
    assert len(seen) > 1


def test_the_other_dataset_brings_its_own_pictures(gallery):
    caption = gallery.page.locator(".etviz-caption")
    first = caption.inner_text()
    assert first.startswith("CIFAR-10 test image")
    gallery.page.get_by_role("combobox", name="Dataset").select_option("CIFAR-100")
    expect(caption).to_contain_text("CIFAR-100 test image 0: apple")
    assert gallery.pixels("Original").unique().tolist() == [100]
    assert parameters(gallery)["dataset"] == "cifar100"
    number = gallery.page.get_by_role("spinbutton", name="Picture number")
    number.fill("17")
    number.press("Enter")
    expect(caption).to_contain_text("CIFAR-100 test image 17")
    gallery.page.go_back()
    gallery.page.go_back()
    expect(caption).to_have_text(first)
    expect(gallery.page.get_by_role("combobox", name="Dataset")).to_have_value("cifar10")
    expect(gallery.page.get_by_role("button", name=first)).to_be_visible()


def test_a_number_out_of_range_is_the_nearest_picture(gallery):
    number = gallery.page.get_by_role("spinbutton", name="Picture number")
    number.fill("999")
    number.press("Enter")
    expect(gallery.page.locator(".etviz-caption")).to_contain_text("image 39: cat")


def test_both_galleries_fit_the_first_view(gallery):
    assert gallery.sideways() <= 0
    assert gallery.page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_a_phone_has_all_of_it(browser, with_cifar):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce")
    visit = Visit(context, with_cifar)
    visit.page.get_by_text("More masks").click()
    assert visit.sideways() <= 0
    assert not visit.complaints
    context.close()


# ---- the seed ----------------------------------------------------------------------------------------------------


def python_mask(seed, draw=etviz.random_mask, ratio=0.85):
    return etviz.mask_to_hex(draw(1, ratio, generator=torch.Generator().manual_seed(seed)))


def test_random_masks_are_those_of_the_seed_in_the_address(visit):
    visit.press("Random mask")
    assert visit.read("mask") == python_mask(1)
    visit.page.keyboard.press("2")
    visit.settle()
    assert visit.read("mask") == python_mask(2, etviz.block_mask)
    assert resting(visit)["seed"] == "2"


def test_a_typed_seed_draws_its_mask_and_a_wrong_one_is_one_sentence(visit):
    visit.page.get_by_text("More masks").click()
    field = visit.page.get_by_role("spinbutton", name="Seed of random masks")
    expect(field).to_have_value("0")
    field.fill("4294967295")
    field.press("Enter")
    visit.settle()
    assert visit.read("mask") == python_mask(4294967295)
    for wrong in ("-1", "4294967296", "1.5"):
        field.fill(wrong)
        field.press("Enter")
        expect(visit.page.get_by_role("alert")).to_contain_text("whole number from 0 to 4294967295")
    assert resting(visit)["seed"] == "4294967295"
    visit.press("Random mask")
    expect(field).to_have_value("0")


def test_another_share_keeps_the_seed(visit):
    visit.page.get_by_role("slider", name="Share to hide").fill("40")
    visit.settle()
    assert visit.read("mask") == python_mask(0, ratio=0.4)


def test_a_link_s_seed_is_taken_on_and_a_wrong_one_is_not(visit, address):
    for given, taken in (("7", "7"), ("-3", "0"), ("nonsense", "0")):
        visit.page.goto(f"{address}?seed={given}")
        expect(visit.root).to_have_attribute("data-ready", "true")
        assert resting(visit)["seed"] == taken
