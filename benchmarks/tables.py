"""Tables and sentences in the documents that come from cards and from docs/floors.json.

In a document they stand between <!-- results NAME --> and <!-- end -->.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.products import ROOT, Run, read_json
from etviz.checkpoints import checkpoint_table, load_card
from etviz.errors import UsageError
from etviz.files import write_text
from etviz.reports.render import listed

DOCUMENTS = ("README.md", "checkpoints/README.md", "docs/measuring.md")
FLOORS = "docs/floors.json"
SHOWN = ("et-small-cifar10", "et-cifar10")  # in README's table, the worst first
BLOCK = re.compile(r"(<!-- results (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Tables:
    """All blocks of all documents. They cost nothing, so that they are compared with what they should be."""

    name: str
    root: Path = field(default=ROOT)

    def reasons(self) -> list[str]:
        """Why they are stale, a sentence each."""
        return [
            f"{document} does not show what the cards and {FLOORS} say: its block {name!r} differs."
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
        return BLOCKS[name](read_json(self.root / FLOORS).get("floors", {}))


def models(floors: dict) -> str:
    """README's table: each image's mean, the best filler that learns nothing, and the Energy Transformers."""
    rows = [f"| {called(name)} | {psnr(floors[name])} |" for name in ("visible mean", best(floors)) if name in floors]
    rows += [f"| {described(name)} | {psnr(load_card(name)['metrics']['test'])} |" for name in SHOWN]
    return "\n".join(["| CIFAR-10, 54 of 64 patches hidden | masked PSNR |", "|---|---:|", *rows]) + "\n"


def checkpoints(floors: dict) -> str:
    """The cards of all shipped checkpoints."""
    return checkpoint_table()


def fillers(floors: dict) -> str:
    """A sentence that says what the fillers that learn nothing score."""
    ordered = sorted(floors, key=lambda name: -floors[name]["masked_psnr"])
    scores = [f"{psnr(floors[name])} by {called(name)}" for name in ordered]
    return f"On CIFAR-10, filling in without a model gives {listed(scores)}.\n" if scores else ""


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


BLOCKS: dict[str, Callable[[dict], str]] = {"models": models, "checkpoints": checkpoints, "fillers": fillers}
