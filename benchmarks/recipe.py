"""Short trainings to compare recipes: python -m benchmarks.recipe images=8000 [seeds=2] [out=FILE.csv] [key=value ...].

``last=2`` lets gradients flow through the last two steps of a descent alone; what the steps before it add to the start
counts as constant. Everything but images, seeds, out and last is an option of `python -m etviz.train`, groups included.

A training sees so many images of CIFAR-10 once; its learning rate warms up over a fifth of that at most, and falls to
the end. Prints a row for each seed and appends it to the file: masked PSNR on the last 1,000 training images, which no
short training sees. 54 of 64 patches are hidden, at the model's own steps and, for Energy Transformers, at 3, 6 and 24
steps of the same flow time and at 60 of the own size; then blocks of 6 and strokes of 16 patches.

CPU seconds are the process's own, which other programs on the machine change less than the time that passes.
"""

import csv
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from etviz import train
from etviz.commands import load_options
from etviz.data import load_dataset, to_float
from etviz.masks import block_noise, mask_from_noise, mask_to_pixels, stroke_noise
from etviz.metrics import evaluation_masks
from etviz.models import EnergyModel, MaskedImageModel
from etviz.models.descent import DescentSettings, EnergyDescent
from etviz.training import MASK_SEED, fit

HELD_OUT = 1000
OWN = ("images=", "seeds=", "out=", "last=")
COLUMNS = ("options", "seed", "images", "cpu_seconds", "parameters", "psnr", "3", "6", "24", "60", "few", "strokes")


def main(argv: list[str]) -> None:
    """Train once for each seed, print and append."""
    own = dict(argument.split("=", 1) for argument in argv if argument.startswith(OWN))
    options = [argument for argument in argv if argument.split("=", 1)[0] not in own]
    for seed in range(int(own.get("seeds", 1))):
        row = trained(options, int(own.get("images", 8000)), seed, int(own.get("last", 0)))
        print(" | ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        if "out" in own:
            append(Path(own["out"]), row)


def trained(options: list[str], images: int, seed: int, last: int = 0) -> dict:
    """A short training's row."""
    config = load_options(train.TrainOptions, [*options, f"train.seed={seed}"])
    warmup = min(config.train.warmup_steps, images // config.train.batch_size // 5)
    validated = max(1, images // 50)
    recipe = replace(config.train, epochs=1, validation_images=validated, snapshots=0, warmup_steps=warmup)
    whole = load_dataset(config.dataset.name, config.data.root)
    few = replace(whole, train_images=whole.train_images[: images + validated])
    model = train.build_model(config.model | train.trained_parts(config.model), few, seed)
    if last:
        limit_gradients(cast("EnergyModel", model).descent, last)
        options = [*options, f"last={last}"]
    start = time.process_time()
    state = fit(model, few, recipe)
    seconds = time.process_time() - start
    held_out = to_float(whole.train_images[-HELD_OUT:])
    row = {"options": " ".join(options), "seed": seed, "images": state.images_seen, "cpu_seconds": round(seconds)}
    row["parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return row | {key: round(value, 3) for key, value in scores(model, held_out).items()}


def limit_gradients(descent: EnergyDescent, last: int) -> None:
    """From now on gradients flow through the last so many steps of each block alone, and past the others unchanged."""

    def descend(x: torch.Tensor, valid: torch.Tensor | None, settings: DescentSettings | None) -> torch.Tensor:
        settings = settings or descent.settings()
        learns = torch.is_grad_enabled()
        for block in descent.blocks:
            projection = block.projection()
            for left in range(settings.steps, 0, -1):
                with torch.set_grad_enabled(learns and left <= last):
                    update = block.gradient(block.norm(x), projection, settings.beta, valid)
                x = x.sub(update, alpha=settings.step_size)
        return x

    descent._descend = descend


def scores(model: MaskedImageModel, images: torch.Tensor) -> dict:
    """Masked PSNR in dB on float images, as the columns have it; the model's own steps where nothing is said."""
    usual = evaluation_masks(len(images), mask_seed=MASK_SEED)
    generator = torch.Generator().manual_seed(MASK_SEED)
    found = {"psnr": masked_psnr(model, images, usual)}
    if isinstance(model, EnergyModel):
        flow = model.descent.steps * model.descent.step_size
        for steps in (3, 6, 24):
            found[str(steps)] = masked_psnr(model, images, usual, steps=steps, step_size=flow / steps)
        found["60"] = masked_psnr(model, images, usual, steps=60)
    found["few"] = masked_psnr(model, images, mask_from_noise(block_noise(len(images), 64, generator), 6))
    found["strokes"] = masked_psnr(model, images, mask_from_noise(stroke_noise(len(images), 64, generator), 16))
    return found


@torch.inference_mode()
def masked_psnr(model: MaskedImageModel, images: torch.Tensor, masks: torch.Tensor, **descent) -> float:
    """Over all hidden pixels of all images."""
    total = count = 0.0
    for some, mask in zip(images.split(100), masks.split(100), strict=True):
        out = model.to_images(model.predict_patches(some, mask, **descent))
        hidden = mask_to_pixels(mask, model.patch_size).expand_as(out)
        total += (out - some).square()[hidden].sum().item()
        count += hidden.sum().item()
    return -10 * math.log10(total / count)


def append(path: Path, row: dict) -> None:
    """A row to a CSV file, with a header where it is new."""
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
