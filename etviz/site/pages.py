"""The pages of a site: index.html, its service worker and its manifest."""

import base64
import hashlib
import json
from dataclasses import dataclass

from etviz.reports.render import render
from etviz.site.drawings import icon, preview
from etviz.site.store import Store, as_json, digest
from etviz.ui.bundle import PAGE, bundle, styles
from etviz.ui.replay import in_script
from etviz.version import __version__

TITLE = "etviz: paint over a picture, and watch it fill in"
DESCRIPTION = (
    "Hide parts of a picture, and an Energy Transformer fills them in, step by step, downhill on an energy that you "
    "can see. It all runs in your browser."
)
POLICY = {
    "default-src": "'none'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "worker-src": "'self' blob:",
    "connect-src": "'self'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' blob:",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
}
INDEX, SERVICE_WORKER, MANIFEST = "index.html", "sw.js", "site.json"
UNKNOWN = "version-to-come"  # stands in index.html until its own hash is known
ICONS = {"icon": (192, 0.08), "icon-large": (512, 0.08), "icon-maskable": (512, 0.2)}  # side, padding


@dataclass(frozen=True, kw_only=True)
class Site:
    """A built site: its own version, its files, and those that a first visit fetches."""

    version: str
    files: dict[str, bytes]
    first: list[str]  # paths, in the order in which they are needed


def make_pages(store: Store, catalogue: dict, url: str | None, source: str | None) -> Site:
    """The whole site.

    Args:
        store: holds what the catalogue names.
        catalogue: as `etviz.site.catalogue.catalogue` makes it.
        url: where the site will be, ending in "/": links show its preview picture only with a full address.
        source: address of the source code, for the page's foot.
    """
    parts = {
        "catalogue": store.add_json("catalogue.json", catalogue),
        "worker": store.add("worker.js", as_classic(bundle("engine/worker.js")).encode()),
        "serviceWorker": SERVICE_WORKER,
    }
    page = store.add("page.js", as_classic(bundle("site.js")).encode())
    sheet = styles() + site_styles()
    icons = {name: store.add(f"{name}.png", icon(*shape)) for name, shape in ICONS.items()}
    picture = store.add("preview.png", preview(catalogue["start"]["answer"]))
    manifest = store.add_json("app.json", app_manifest(icons))
    data = catalogue["models"][0]["weights"], catalogue["datasets"][0]["sprite"]
    first = [page, *parts_of(parts), *data, icons["icon"], manifest]
    draft = render(
        "site.html",
        policy=policy_text(POLICY | {"style-src": hash_of(sheet)}),
        version=UNKNOWN,
        release=__version__,
        title=TITLE,
        description=DESCRIPTION,
        url=url,
        source=source,
        preview=(url or "") + picture,
        manifest=manifest,
        icon=icons["icon"],
        styles=sheet,
        page=page,
        parts=in_script(parts),
    )
    version = digest(draft.encode())  # which names every file, and so changes with each of them
    index = draft.replace(UNKNOWN, version)
    files = dict(store.files)
    files[SERVICE_WORKER] = service_worker(version, first).encode()
    files[INDEX] = index.encode()
    return Site(version=version, files=files, first=[INDEX, *first, SERVICE_WORKER])


def parts_of(parts: dict[str, str]) -> list[str]:
    """The paths among the parts whose names say what they hold."""
    return [path for path in parts.values() if path != SERVICE_WORKER]


def as_classic(module: str) -> str:
    """A joined module as a script of the old kind.

    Browsers take it from hosts that call it plain text too, and run a worker of it for a page opened as a file.
    """
    lines = [line.removeprefix("export ") for line in module.splitlines()]
    return "\n".join(['"use strict";', "(() => {", *lines, "})();", ""])


def site_styles() -> str:
    """The style sheet of what a site has around the explorer."""
    return (PAGE / "site.css").read_text(encoding="utf-8")


def service_worker(version: str, first: list[str]) -> str:
    """The service worker of one version: it keeps ``first``, and index.html, so that the page opens offline."""
    given = json.dumps({"version": version, "files": first}, indent=2)
    return f"globalThis.etvizSite = {given};\n\n{(PAGE / 'serviceworker.js').read_text(encoding='utf-8')}"


def app_manifest(icons: dict[str, str]) -> dict:
    """What a phone needs to install the page as an app. Its paths are relative to its own file, in assets/."""
    sources = [
        {"src": f"../{path}", "sizes": f"{ICONS[name][0]}x{ICONS[name][0]}", "type": "image/png"}
        | ({"purpose": "maskable"} if name.endswith("maskable") else {})
        for name, path in icons.items()
    ]
    look = {"display": "standalone", "background_color": "#faf9f6", "theme_color": "#faf9f6"}
    return {"name": TITLE, "short_name": "etviz", "start_url": "../", "scope": "../", **look, "icons": sources}


def hash_of(text: str) -> str:
    """What a policy calls a script or a style sheet inside the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy_text(policy: dict[str, str]) -> str:
    """A content security policy as a header or a meta element holds it."""
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())


def list_of(site: Site) -> bytes:
    """site.json: the version and the size of every file."""
    return as_json({"etviz": __version__, "version": site.version, "files": {p: len(d) for p, d in site.files.items()}})
