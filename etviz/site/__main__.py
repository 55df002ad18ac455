"""python -m etviz.site [out=site] [models=[et-cifar10,et-small-cifar10]] [--serve] [live=explorer.html]

Writes the explorer as static files, which any web host serves: the descent is computed in the visitor's browser.
live=FILE writes one file instead, which computes from a mail attachment as well. --help lists every option.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from etviz.commands import load_named, run
from etviz.errors import UsageError
from etviz.files import make_place, write_text
from etviz.options import NOT_EMPTY, Count, Name, Options, at_least, at_most, option, section
from etviz.site.build import build, write
from etviz.site.live import live_page
from etviz.site.pages import Site
from etviz.site.service import SiteService
from etviz.site.serving import serve

FIRST_VISIT = 3_000_000  # bytes; more takes too long on a phone
ADDRESS = re.compile(r"https?://[^\s\"'<>]+")


@dataclass(frozen=True, kw_only=True)
class PictureOptions(Options):
    """Where datasets are. Nothing is downloaded."""

    section = "data."

    root: Path | None = option(None, "folder of datasets; ETVIZ_DATA, else ./data, where null")


@dataclass(frozen=True, kw_only=True)
class SiteOptions(Options):
    """python -m etviz.site out=site models=[et-cifar10,et-small-cifar10] --serve
    Writes the explorer as static files that any web host serves; it computes in the visitor's browser.
    """

    out: Path = option("site", "folder to write to; an earlier site there is replaced")
    models: Annotated[tuple[Name, ...], NOT_EMPTY] = option(
        ("et-cifar10", "et-small-cifar10"), "names under checkpoints/ or run folders; the page begins with the first"
    )
    dataset: Name = option("cifar10", "cifar10, cifar100, an .npz archive or an image folder, for the pictures")
    data: PictureOptions = section(PictureOptions)
    pictures: Annotated[Count, at_least(1), at_most(2000)] = option(300, "how many, the first of the test split")
    url: str | None = option(None, "where the site will be, as https://example.org/etviz/, for previews of links")
    source: str | None = option(None, "address of the source code, for the page's foot")
    live: Path | None = option(None, "write one HTML file with the first model and 24 pictures, and no site")
    serve: bool = option(False, "then serve the site on this machine; also written --serve")
    port: Annotated[int, at_least(1), at_most(65535)] | None = option(
        None, "of --serve; the first free one from 8000 where null"
    )


def main(argv: list[str]) -> None:
    """Build what ``argv``'s options say; see the module's own text."""
    options = load_named(SiteOptions, argv, flags=("serve",), key="models")
    check_addresses(options)
    if options.live is not None:
        write_live(options, options.live)
        return
    service = make_service(options, options.models, options.pictures)
    if service.note:
        print(service.note, file=sys.stderr)
    site = build(service, url=with_slash(options.url), source=options.source)
    write(site, options.out)
    report(site, options.out)
    if options.serve:
        serve(options.out, options.port)


def make_service(options: SiteOptions, models: tuple[str, ...], pictures: int) -> SiteService:
    """The service that computes ahead what the site shows."""
    root = None if options.data.root is None else str(options.data.root)
    return SiteService(models, options.dataset, root, pictures)


def write_live(options: SiteOptions, place: Path) -> None:
    """One file with the first model."""
    service = make_service(options, options.models[:1], 24)
    make_place(place)
    page = live_page(service, service.start()["answer"])
    write_text(place, page)
    print(f"{place}  {len(page.encode()):,} bytes")


def check_addresses(options: SiteOptions) -> None:
    """Raise `UsageError` where an address is none."""
    for name in ("url", "source"):
        address = getattr(options, name)
        if address is not None and not ADDRESS.fullmatch(address):
            raise UsageError(f"{name} must be an address such as https://example.org/etviz/, not {address!r}.")


def with_slash(url: str | None) -> str | None:
    """An address as that of a folder."""
    return None if url is None else f"{url.rstrip('/')}/"


def report(site: Site, out: Path) -> None:
    """Print the sizes of what a first visit fetches, and of the rest."""
    for path in site.first:
        print(f"{len(site.files[path]):>10,}  {path}")
    first, whole = (sum(len(site.files[path]) for path in paths) for paths in (site.first, site.files))
    print(f"{first:>10,}  bytes for a first visit; {len(site.files)} files of {whole:,} bytes in {out}")
    if first > FIRST_VISIT:
        print(f"A first visit fetches more than {FIRST_VISIT:,} bytes: name a smaller model first.", file=sys.stderr)


if __name__ == "__main__":
    run(main)
