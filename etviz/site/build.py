"""Builds a site into a folder, in an order in which a visitor never meets half of it."""

import json
from pathlib import Path

from etviz.errors import UsageError
from etviz.files import make_folder, parsing, read_text, sweep, write_bytes
from etviz.site.catalogue import catalogue
from etviz.site.pages import INDEX, MANIFEST, SERVICE_WORKER, Site, list_of, make_pages
from etviz.site.service import SiteService
from etviz.site.store import ASSETS, Store

LAST = (SERVICE_WORKER, INDEX)  # written once all that they name is there


def build(service: SiteService, url: str | None = None, source: str | None = None) -> Site:
    """The site of a service's models and pictures; see `make_pages` for the rest."""
    store = Store()
    return make_pages(store, catalogue(service, store), url, source)


def write(site: Site, folder: Path) -> None:
    """Write a site into a folder, where an earlier one may be.

    The files of the site before this one stay, for those who have its page open; older ones go.

    Raises:
        UsageError: the folder cannot be written to, or holds another site's index.html.
    """
    check_is_ours(folder)
    make_folder(folder)
    sweep(folder)
    before = known_files(folder / MANIFEST)
    for path, data in site.files.items():
        if path not in LAST and not (folder / path).exists():
            write_bytes(folder / path, data)
    for path in LAST:
        write_bytes(folder / path, site.files[path])
    write_bytes(folder / MANIFEST, list_of(site))
    forget(folder, site.files.keys() | before)


def check_is_ours(folder: Path) -> None:
    """Raise `UsageError` where the folder holds somebody else's page."""
    if (folder / INDEX).exists() and not (folder / MANIFEST).exists():
        raise UsageError(f"{str(folder)!r} holds an {INDEX} that is not of etviz: choose another folder with out=.")


def known_files(manifest: Path) -> set[str]:
    """The files that a site.json lists; none where there is none."""
    if not manifest.exists():
        return set()
    with parsing(f"{str(manifest)!r} is damaged ({{error}}): choose another folder with out=, or empty it."):
        return set(json.loads(read_text(manifest))["files"])


def forget(folder: Path, wanted: set[str]) -> None:
    """Remove the assets that are neither of this site nor of the one before."""
    for path in (folder / ASSETS).glob("*"):
        if f"{ASSETS}/{path.name}" not in wanted:
            path.unlink()
