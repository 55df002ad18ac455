"""What the fillers that learn nothing score by the number to compare by: python -m benchmarks.floors FILE.json.

That number is the mean squared error over the hidden pixels of all 10,000 test images of CIFAR-10, with 54 of 64
patches hidden under mask seed 0, and its PSNR.
"""

import sys
from pathlib import Path

import torch

from etviz.commands import run
from etviz.data import load_dataset
from etviz.errors import UsageError
from etviz.evaluation.comparison import make_split, measure_floor
from etviz.evaluation.provenance import made_from, provenance
from etviz.files import dump, write_text
from etviz.inpainting import FLOORS

FORMAT = "floors 1"


def main(argv: list[str]) -> None:
    """Measure and write."""
    if len(argv) != 1:
        raise UsageError("One file is written: name it, as floors.json.")
    split = make_split(load_dataset("cifar10"), 0.85, 64, seed=0, images=None, probe=1)
    scores = {}
    for name in FLOORS:
        print(name, file=sys.stderr, flush=True)
        scores[name] = measure_floor(name, split).metrics
    document = {"images": len(split.images), "floors": scores} | made_from(FORMAT, "benchmarks.floors", [], [])
    write_text(Path(argv[0]), dump(document | provenance(torch.device("cpu"))) + "\n")


if __name__ == "__main__":
    run(main)
