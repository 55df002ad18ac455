"""Every figure in the pages: python -m benchmarks.results [--check] [NAME ...], or make results ARGS="--check".

Remakes what is stale, one product at a time: what was made from other weights, by another command, or in an older
format. A product is written whole or not at all, so that a run that was stopped goes on where it was. Names pick
products, and a folder's name those in it, as in "comparison notebooks"; all are looked at where none is named.
--check says what is stale and why, and computes nothing. --force remakes what is not stale too.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import nbformat

from benchmarks.products import ROOT, Product, digest, run_command
from benchmarks.tables import Pages, Tables
from etviz import compare, probe, robustness
from etviz.checkpoints import list_checkpoints
from etviz.commands import run
from etviz.errors import UsageError
from etviz.evaluation.inputs import chosen
from tests.browser.screenshots import TABS

FIGURES = ("psnr", "ratios", "grid")
PROBED = REPORTED = SHOWN = "et-cifar10"
MEASURED = ("docs/cifar100/comparison.json", "docs/comparison.json", "docs/robustness.json")
Made = Product | Pages | Tables


def trainings(dataset: str) -> list[str]:
    """Every shipped checkpoint of a dataset, every seed of it."""
    return [name for group in chosen(None, dataset).values() for name in group]


def robust() -> list[str]:
    """The shipped checkpoints that robustness.md shows: one seed of each, and those trained on the other CIFAR."""
    names = list(chosen(None, "cifar10"))
    return sorted([*names, *robustness.sibling_names(names, "cifar100")])


def comparison(name: str, folder: str, *options: str, dataset: str) -> Product:
    """A comparison of the models of one dataset."""
    files = ["comparison.json", "comparison.md", *(f"comparison-{figure}.png" for figure in FIGURES)]
    return Product(
        name=name,
        module="etviz.compare",
        arguments=(*options, "images=2000", "probe_images=2000", "ratio_images=200"),
        place=("out={}",),
        files={file: f"{folder}/{file}" for file in files},
        form=compare.FORMAT,
        record=f"{folder}/comparison.json",
        checkpoints=lambda: trainings(dataset),
    )


ROBUST = (
    *("images=150", "transfer_images=500", "probe_images=0"),
    *("one_class=200", "one_class_epochs=1", "one_class_training=500"),
    "one_class_checkpoints=[et-small-cifar10,mae-cifar10,mixedae-cifar10]",
)


def notebook(path: Path) -> Product:
    """An executed notebook. It depends on its cells, and on the checkpoints that they name."""
    place = str(path.relative_to(ROOT))

    def cells() -> list[str]:
        return [cell.source for cell in nbformat.read(path, as_version=4).cells]

    def named() -> list[str]:
        text = "\n".join(cells())
        return [name for name in list_checkpoints() if f'"{name}"' in text]

    return Product(
        name=f"notebooks/{path.stem}",
        module="tests.execute_notebooks",
        arguments=(path.stem,),
        files={path.name: place},
        form="notebook 1",
        checkpoints=named,
        sources=lambda: {place: digest(*cells())},
    )


def page_code() -> dict[str, str]:
    """A digest of the page's code, which its pictures show."""
    files = sorted(path for path in (ROOT / "etviz" / "ui" / "page").rglob("*") if path.suffix in (".js", ".css"))
    return {"etviz/ui/page": digest(*(path.read_text(encoding="utf-8") for path in files))}


def products() -> list[Made]:
    """All, in the order in which they are made."""
    pictures = [f"{tab}-{scheme}.png" for tab in TABS for scheme in ("light", "dark")]
    return [
        Product(
            name="floors",
            module="benchmarks.floors",
            place=("{}/floors.json",),
            files={"floors.json": "docs/floors.json"},
            form="floors 1",
            record="docs/floors.json",
        ),
        comparison("cifar100", "docs/cifar100", "dataset=cifar100", dataset="cifar100"),
        Product(
            name="probe",
            module="etviz.probe",
            arguments=(
                *(PROBED, "train_images=2000", "images=2000", "labels=[0.1,1]"),
                *("finetune_steps=0", "floors=false"),
            ),
            place=("out={}",),
            files={file: f"docs/probe/{PROBED}/{file}" for file in probe.FILES},
            form=probe.FORMAT,
            record=f"docs/probe/{PROBED}/probe.json",
            checkpoints=lambda: [PROBED],
        ),
        Product(
            name="report",
            module="etviz.evaluate",
            arguments=(REPORTED, "images=2000"),
            place=("report={}",),
            files={"report.html": f"docs/reports/{REPORTED}/report.html"},
            form="report 1",
            checkpoints=lambda: [REPORTED],
        ),
        comparison("comparison", "docs", dataset="cifar10"),
        Product(
            name="robustness",
            module="etviz.robustness",
            arguments=ROBUST,
            place=("out={}",),
            files={file: f"docs/{file}" for file in ("robustness.json", "robustness.md", "robustness.png")},
            form=robustness.FORMAT,
            record="docs/robustness.json",
            checkpoints=robust,
        ),
        Pages(name="pages", documents=MEASURED),
        Tables(name="tables"),
        *(notebook(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))),
        Product(
            name="screenshots",
            module="tests.browser.screenshots",
            place=("--folder", "{}"),
            files={picture: f"docs/{picture}" for picture in pictures},
            form="screenshots 1",
            checkpoints=lambda: [SHOWN],
            sources=page_code,
        ),
    ]


def main(argv: Sequence[str]) -> None:
    """Say what is stale, or remake it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--check", action="store_true", help="say what is stale and why, and compute nothing")
    parser.add_argument("--force", action="store_true", help="remake what is not stale too")
    options = parser.parse_args(argv)
    picked = pick(products(), options.names)
    if options.check:
        print(*(line for product in picked for line in report(product)), sep="\n")
    else:
        remake(picked, options.force)


def pick(known: Sequence[Made], names: Sequence[str]) -> list[Made]:
    """The products of those names, or of those folders; all where none is named. Raises `UsageError` for another."""
    for name in names:
        if not any(f"{one.name}/".startswith(f"{name}/") for one in known):
            raise UsageError(f"There is no product {name!r}: choose from {', '.join(one.name for one in known)}.")
    return [one for one in known if not names or any(f"{one.name}/".startswith(f"{name}/") for name in names)]


def report(product: Made) -> Iterable[str]:
    """A product's name, and why it is stale."""
    reasons = product.reasons()
    yield f"{product.name}: {'stale' if reasons else 'up to date'}"
    yield from (f"    {reason}" for reason in reasons)


def remake(picked: Sequence[Made], force: bool = False, runner: Callable = run_command) -> None:
    """Make what is stale, one after another. Raises `UsageError` at the first that fails; those before it are kept."""
    for product in picked:
        if not force and not product.reasons():
            print(f"{product.name}: up to date", flush=True)
            continue
        print(f"{product.name}: being made ...", flush=True)
        start = time.monotonic()
        product.make(runner)
        print(f"{product.name}: made in {time.monotonic() - start:.0f} s", flush=True)
        for reason in product.reasons():
            print(f"    still stale: {reason}", flush=True)


if __name__ == "__main__":
    run(main)
