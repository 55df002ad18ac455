"""Write a picture of every tab into docs/, light and dark: make screenshots."""

import argparse
import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.browser.app import APP, CHROMIUM, FLAGS, serving

SCENE = "dataset=cifar10&image=38"
TABS = {  # what each is shown at
    "explore": "step=12",
    "energy": "step=5",
    "attention": "step=12&patch=36",
    "memories": "step=12&patch=36",
    "landscape": "step=4",
    "compare": "step=12",
    "training": "step=12",
    "guide": "step=12",
}
PRESSED = {"compare": "Models"}  # what else makes a tab show its best
DESKTOP, PHONE = (1440, 900), (390, 844)
SETTLING_MS = 4000  # every reading of a tab has arrived by then


def main() -> None:
    """Start the app with the given checkpoint and take its pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="et-cifar10")
    parser.add_argument("--folder", type=Path, default=APP.parent / "docs")
    parser.add_argument("--tab", choices=TABS, help="only this one")
    parser.add_argument("--phone", action="store_true", help="also 390 pixels wide, in whole length")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with serving("--checkpoint", options.checkpoint) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for tab in [options.tab] if options.tab else TABS:
            url = f"{address}?{SCENE}&{TABS[tab]}&tab={tab}"
            press = PRESSED.get(tab)
            for scheme in ("light", "dark"):
                shoot(browser, url, options.folder / f"{tab}-{scheme}.png", scheme, DESKTOP, pressed=press)
                if options.phone:
                    shoot(browser, url, options.folder / f"{tab}-{scheme}-phone.png", scheme, PHONE, pressed=press)
        browser.close()


def shoot(
    browser: Browser, url: str, path: Path, scheme: str, size: tuple[int, int], *, pressed: str | None = None
) -> None:
    """One view of the page, once a button is pressed if need be; a narrow page in its whole length."""
    viewport = {"width": size[0], "height": size[1]}
    # With motion reduced the page does not play by itself, so that the step is the one asked for.
    page = browser.new_page(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    page.goto(url)
    page.locator(".etviz[data-ready=true]").wait_for()
    if pressed:
        page.get_by_role("button", name=pressed, exact=True).click()
    page.wait_for_timeout(SETTLING_MS)
    if size == PHONE:  # the step cursor sticks to the screen's bottom, and a picture of the whole length has none
        page.add_style_tag(content=".etviz-transport { position: static !important; }")
    picture = Image.open(io.BytesIO(page.screenshot(full_page=size == PHONE))).convert("RGB")
    picture.save(path, optimize=True)
    page.close()


if __name__ == "__main__":
    main()
