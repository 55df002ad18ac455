"""What scoring costs beside the model itself: python -m benchmarks.evaluation [--images 250] [--rounds 3].

Prints the seconds of the bare forward passes of a full-size Energy Transformer over some images, those of everything
else that `etviz.metrics.evaluate_model` does with them, and how many times as long as the bare passes both together
take: 1.15 is the most that it may be.

The two are timed apart, since the smaller one would drown in the noise of the larger. On a CPU the process's own time
is measured, which other programs on the machine change less, and the least of several rounds counts. The weights are
fresh: how long a step takes does not depend on them.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

import etviz
from etviz import metrics
from etviz.data import to_float
from etviz.metrics import evaluation_masks, summarize
from etviz.models import MaskedImageModel

BATCH_SIZE = 250  # `evaluate_model`'s own


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    scoring, bare = measure(full_size(), options.images, options.rounds)
    print(f"forward passes {bare:.2f} s, scoring {scoring:.2f} s: {1 + scoring / bare:.3f} times as long as the former")


def full_size() -> MaskedImageModel:
    """The reference recipe's model with fresh weights, on the GPU where there is one."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return etviz.create_model("et", step_size=0.1, init_scale=0.07).to(device).eval()


def measure(model: MaskedImageModel, count: int, rounds: int) -> tuple[float, float]:
    """Seconds of scoring ``count`` random images that are rebuilt already, and of their forward passes."""
    size = count, model.in_chans, model.img_size, model.img_size
    device, generator = model.device, torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
    rebuilt = torch.rand(size, generator=generator).to(device)[:BATCH_SIZE]
    masks = evaluation_masks(count, num_patches=model.num_patches).to(device)
    tasks = (lambda: score(rebuilt, images, masks)), (lambda: forward(model, images, masks))
    for task in tasks:  # imports, allocations
        task()
    times = [[seconds(task, device) for task in tasks] for _ in range(rounds)]
    scoring, bare = (min(column) for column in zip(*times, strict=True))
    return scoring, bare


def score(rebuilt: Tensor, images: Tensor, masks: Tensor) -> None:
    """A whole evaluation of a model that takes no time."""
    summarize(metrics.measure(lambda batch, _: rebuilt[: len(batch)], images, masks, device=masks.device))


@torch.no_grad()
def forward(model: MaskedImageModel, images: Tensor, masks: Tensor) -> None:
    """The bare forward passes."""
    for batch, mask in zip(images.split(BATCH_SIZE), masks.split(BATCH_SIZE), strict=True):
        model.predict_patches(to_float(batch.to(masks.device)), mask)


def seconds(task: Callable[[], object], device: torch.device) -> float:
    """How long a task takes: of this process's time on a CPU, of the clock's on a GPU."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    start = clock()
    task()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


if __name__ == "__main__":
    main()
