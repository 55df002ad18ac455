"""What costs nothing to write anew: pages from their JSON, and tables and sentences from cards and other products.

In a document, the tables and sentences stand between <!-- results NAME --> and <!-- end -->.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.products import ROOT, Run, read_json
from etviz.checkpoints import checkpoint_table, load_card
from etviz.errors import UsageError
from etviz.files import write_text
from etviz.reports.__main__ import make_page
from etviz.reports.render import listed

DOCUMENTS = ("README.md", "checkpoints/README.md", "docs/measuring.md")
FLOORS, PROBE = "docs/floors.json", "docs/probe/et-cifar10/probe.json"
SHOWN = ("et-small-cifar10", "et-cifar10")  # in README's table, the worst first
BLOCK = re.compile(r"(<!-- results (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Pages:
    """The pages of JSON files, whose wording may have changed since they were measured."""

    name: str
    documents: tuple[str, ...]
    root: Path = field(default=ROOT)

    def reasons(self) -> list[str]:
        """Why they are stale, a sentence each. A JSON that no page can be made from belongs to a product of its own."""
        return [f"{page.relative_to(self.root)} is worded otherwise now." for page, _ in self.changed()]

    def make(self, run: Run | None = None) -> None:
        """Write the pages anew."""
        for page, text in self.changed():
            write_text(page, text)

    def changed(self) -> Iterable[tuple[Path, str]]:
        """The pages that would be others now, and their text."""
        for path in (self.root / document for document in self.documents):
            page = path.with_suffix(".md")
            try:
                text = make_page(path)
            except UsageError:
                continue
            if not page.is_file() or page.read_text(encoding="utf-8") != text:
                yield page, text


@dataclass(frozen=True, kw_only=True)
class Tables:
    """All blocks of all documents. They cost nothing, so that they are compared with what they should be."""

    name: str
    root: Path = field(default=ROOT)

    def reasons(self) -> list[str]:
        """Why they are stale, a sentence each."""
        return [
            f"{document} does not show what cards and measurements say: its block {name!r} differs."
            for document in DOCUMENTS
            for name, old, new in self.blocks((self.root / document).read_text(encoding="utf-8"))
            if old != new
        ]

    def make(self, run: Run | None = None) -> None:
        """Write the documents anew."""
        for document in DOCUMENTS:
            text = (self.root / document).read_text(encoding="utf-8")
            new = BLOCK.sub(lambda found: found[1] + self.text(found[2]) + found[4], text)
            if new != text:
                write_text(self.root / document, new)

    def blocks(self, text: str) -> Iterable[tuple[str, str, str]]:
        """The name of each block of a document, what it shows, and what it should show."""
        return [(found[2], found[3], self.text(found[2])) for found in BLOCK.finditer(text)]

    def text(self, name: str) -> str:
        """What the block of that name should show. Raises `UsageError` for an unknown one."""
        if name not in BLOCKS:
            raise UsageError(f"There is no block {name!r}: choose from {', '.join(BLOCKS)}.")
        return BLOCKS[name](self.root)


def models(root: Path) -> str:
    """README's table: each image's mean, the best filler that learns nothing, and the Energy Transformers."""
    floors = scores_of(root)
    rows = [f"| {called(name)} | {psnr(floors[name])} |" for name in ("visible mean", best(floors)) if name in floors]
    rows += [f"| {described(name)} | {psnr(load_card(name)['metrics']['test'])} |" for name in SHOWN]
    return "\n".join(["| CIFAR-10, 54 of 64 patches hidden | masked PSNR |", "|---|---:|", *rows]) + "\n"


def checkpoints(root: Path) -> str:
    """The cards of all shipped checkpoints."""
    return checkpoint_table()


def fillers(root: Path) -> str:
    """A sentence that says what the fillers that learn nothing score."""
    floors = scores_of(root)
    ordered = sorted(floors, key=lambda name: -floors[name]["masked_psnr"])
    scores = [f"{psnr(floors[name])} by {called(name)}" for name in ordered]
    return f"On CIFAR-10, filling in without a model gives {listed(scores)}.\n" if scores else ""


def steps(root: Path) -> str:
    """A sentence about the step of the descent that held-out labels choose to read classes from."""
    document = read_json(root / PROBE)
    chosen = [row for row in document.get("best_steps", ()) if (row["classifier"], row["pool"]) == ("linear", "mean")]
    if not chosen:
        return ""
    rows = [row for row in document["by_step"] if (row["classifier"], row["pool"]) == ("linear", "mean")]
    (top,), first, last = chosen, rows[0], rows[-1]
    return (
        f"A linear probe on the mean of the tokens is right for {share(first)} of the test images at the start, for "
        f"{share(top)} after step {top['step']}, and for {share(last)} after the last step, {last['step']}.\n"
    )


def share(row: dict) -> str:
    """An accuracy with its 95% interval."""
    return f"{row['accuracy']:.1%} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def scores_of(root: Path) -> dict[str, dict]:
    """The fillers' scores; none where they were not measured."""
    return read_json(root / FLOORS).get("floors", {})


def best(floors: dict) -> str:
    """The filler with the lowest error under these masks."""
    return min(floors, key=lambda name: floors[name]["masked_mse"], default="")


def called(name: str) -> str:
    """A filler in words."""
    return "each image's visible mean" if name == "visible mean" else f"{name} inpainting"


def described(name: str) -> str:
    """A checkpoint with its size and its training."""
    card = load_card(name)
    return f"`{name}`, {card['parameters'] / 1e6:.2f} M parameters, {card['images_seen']:,} images seen"


def psnr(scores: dict) -> str:
    """A masked PSNR as the tables show it."""
    return f"{scores['masked_psnr']:.2f} dB"


BLOCKS: dict[str, Callable[[Path], str]] = {
    "models": models,
    "checkpoints": checkpoints,
    "fillers": fillers,
    "steps": steps,
}
