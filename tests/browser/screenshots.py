"""Write docs/app.png, and with --all the dark and the narrow page beside it: python -m tests.browser.screenshots."""

import argparse
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.app import APP, CHROMIUM, FLAGS, serving

VIEWS = {
    "app": ("light", 1440, 900),
    "app-dark": ("dark", 1440, 900),
    "app-phone": ("light", 390, 844),
    "app-phone-dark": ("dark", 390, 844),
}


def main() -> None:
    """Start the app with the given checkpoint and take its picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="et-cifar10")
    parser.add_argument("--folder", type=Path, default=APP.parent / "docs")
    parser.add_argument("--all", action="store_true", help="every view, not only app.png")
    parser.add_argument("--step", type=int, default=12, help="the descent step to show")
    options = parser.parse_args()
    with serving("--checkpoint", options.checkpoint) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name in VIEWS if options.all else ["app"]:
            shoot(browser, address, options.folder / f"{name}.png", options.step, VIEWS[name])
        browser.close()


def shoot(browser, address: str, path: Path, step: int, view: tuple[str, int, int]) -> None:
    """One view of the page at one step; a narrow page in its whole length."""
    scheme, width, height = view
    size = {"width": width, "height": height}
    # With motion reduced the page does not play by itself, so that the step is the one asked for.
    page = browser.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    page.goto(address)
    page.locator(".etviz[data-ready=true]").wait_for()
    slider = page.get_by_role("slider", name="Descent step")
    slider.fill(str(step))
    slider.blur()
    page.wait_for_timeout(300)  # the last transition
    page.screenshot(path=path, full_page=width < 600)
    page.close()


if __name__ == "__main__":
    main()
