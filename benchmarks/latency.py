"""How fast the page answers, in a real browser: python -m benchmarks.latency [--checkpoint NAME] [--site].

Prints the time from page load to the first picture, and the median time over 20 strokes from the end of a stroke to the
last frame of its descent, with what of it passes until the server has answered; then frames a second while scrubbing in
each tab, and the time to switch a column of Compare from one model to another that was used before. The median stroke
should take 200 ms at most on two cores that do nothing else. --strokes leaves the rest out.

--site measures the explorer without a server instead: a site of this model, on a plain host of this machine. The bytes
of the first visit are printed too, and for both the memory of the browser's process and the longest task on the page's
own thread while it is painted on. --throttle slows that thread down. Whether the worker that
computes is slowed too was not checked.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from etviz.site.build import build, write
from etviz.site.service import SiteService
from tests.browser.app import CHROMIUM, FLAGS, serving
from tests.sites import hosting

STROKES = 20
SITE_PICTURES = 300
PAGE_BYTES = 4096  # of memory, on Linux
RESTING_MS = 500  # between strokes: a user looks at the picture, and other readings arrive
SCRUB_MS = 2000
SETTLING_MS = 3000  # every reading of a tab has arrived by then
TABS = ("Explore", "Energy", "Attention", "Memories", "Landscape", "Compare", "Training")

# Resolves with the milliseconds from the end of the next stroke (pointerup) to its last frame on screen.
WATCH = """() => { window.stroke = new Promise((resolve) => {
    const root = document.querySelector(".etviz");
    let start = null;
    addEventListener("pointerup", () => (start = performance.now()), { capture: true, once: true });
    const observer = new MutationObserver(() => {
        if (start === null || root.dataset.shown !== root.dataset.mask) return;
        observer.disconnect();
        requestAnimationFrame(() => resolve(performance.now() - start));
    });
    observer.observe(root, { attributes: true, attributeFilter: ["data-shown"] });
}); }"""

# Moves the step slider once a frame; resolves with frames a second.
SCRUB = """(ms) => new Promise((resolve) => {
    const slider = document.querySelector("input[aria-label='Descent step']");
    const start = performance.now();
    let frames = 0;
    const tick = (now) => {
        if (now - start > ms) return resolve((1000 * frames) / (now - start));
        slider.value = frames++ % (Number(slider.max) + 1);
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
})"""

# Keeps the longest task on the page's own thread, in milliseconds.
LONGEST = """() => {
    window.longest = 0;
    new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
    }).observe({ type: "longtask" });
}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="et-cifar10", help="name or path (default: et-cifar10)")
    parser.add_argument("--strokes", action="store_true", help="measure strokes alone")
    parser.add_argument("--site", action="store_true", help="measure the explorer without a server")
    parser.add_argument("--throttle", type=float, default=1, help="how much slower the page's thread is (default: 1)")
    options = parser.parse_args()
    host = site_of(options.checkpoint) if options.site else serving("--checkpoint", options.checkpoint)
    with host as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        tools = page.context.new_cdp_session(page)
        tools.send("Emulation.setCPUThrottlingRate", {"rate": options.throttle})
        paint(page, address)
        print(f"longest task on the page's thread: {page.evaluate('window.longest'):.0f} ms")
        print(f"memory of the browser's largest process: {largest_process() / 2**20:.0f} MB")
        if not options.strokes:
            scrub(page)
            compare(page)
        browser.close()


@contextlib.contextmanager
def site_of(checkpoint: str) -> Iterator[str]:
    """A site of one model, on a plain host of this machine; gives its address."""
    with tempfile.TemporaryDirectory() as folder:
        write(build(SiteService((checkpoint,), "cifar10", None, SITE_PICTURES)), Path(folder))
        with hosting(Path(folder)) as host:
            yield host.address
            sizes = {name: (Path(folder) / (name or "index.html")).stat().st_size for name in set(host.asked)}
            print(f"asked for in all: {sum(sizes.values()) / 2**20:.2f} MB")


def largest_process() -> int:
    """Bytes in memory of the largest of Chromium's processes that draw pages."""
    renderers = [
        path.parent for path in Path("/proc").glob("[0-9]*/cmdline") if b"--type=renderer" in path.read_bytes()
    ]
    return max(int((place / "statm").read_text().split()[1]) * PAGE_BYTES for place in renderers)


def paint(page: Page, address: str) -> None:
    """Load the page and paint; print what each took."""
    answers = []
    page.on("requestfinished", lambda request: answers.append(request.timing["responseEnd"]))
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator(".etviz[data-ready=true]").wait_for()
    print(f"page load to first picture: {time.perf_counter() - start:.2f} s")
    page.wait_for_timeout(1000)
    page.evaluate(LONGEST)
    times, served = [], []
    for index in range(STROKES):
        answers.clear()
        times.append(stroke(page, index))
        served += answers[:1]  # the descent's; further readings follow it
        page.wait_for_timeout(RESTING_MS)
    median, late = statistics.median(times), sorted(times)[int(0.95 * STROKES)]
    print(f"end of stroke to last frame, {STROKES} strokes: median {median:.0f} ms, p95 {late:.0f} ms")
    if served:
        print(f"    of it from request to answer: median {statistics.median(served):.0f} ms")


def scrub(page: Page) -> None:
    """Move the step slider in each tab, and print how many frames a second are drawn."""
    for tab in TABS:
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(SETTLING_MS)
        print(f"scrubbing in {tab}: {page.evaluate(SCRUB, SCRUB_MS):.0f} frames/s")


def compare(page: Page) -> None:
    """Choose each model for a column of Compare, and print how long its pictures take."""
    page.get_by_role("tab", name="Compare").click()
    models = page.get_by_role("combobox", name="Model of column B")
    names = [option.get_attribute("value") for option in models.locator("option").all()]
    for name in names:
        switch(page, name)  # the first use loads it
    page.get_by_role("tab", name="Explore").click()
    stroke(page, STROKES)  # a mask that no model has seen
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_timeout(SETTLING_MS)
    for name, milliseconds in [(name, switch(page, name)) for name in names]:
        print(f"switching Compare's column B to {name}: {milliseconds:.0f} ms")


def switch(page: Page, name: str) -> float:
    """Choose a model for Compare's column B; milliseconds until its pictures are on screen."""
    column = page.get_by_label("Column B", exact=True)
    start = time.perf_counter()
    page.get_by_role("combobox", name="Model of column B").select_option(name)
    page.wait_for_function("() => new Promise((resolve) => requestAnimationFrame(() => resolve(true)))")
    column.get_by_text("Descending …").wait_for(state="hidden")
    return 1000 * (time.perf_counter() - start)


def stroke(page: Page, index: int) -> float:
    """Drag over a few patches; milliseconds until the descent is on screen."""
    cells = page.locator(".etviz-cell")
    first = cells.nth((11 * index) % 56).bounding_box()
    page.evaluate(WATCH)
    page.mouse.move(first["x"] + 10, first["y"] + 10)
    page.mouse.down()
    page.mouse.move(first["x"] + 10, first["y"] + 10 + first["height"], steps=4)
    page.mouse.up()
    return page.evaluate("() => window.stroke")


if __name__ == "__main__":
    main()
