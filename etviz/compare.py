"""python -m etviz.compare [dataset=cifar10] [checkpoints=[et-cifar10,mae-cifar10]] [images=1000] [out=docs]

Compares the shipped models that were trained on one dataset, on the same test images under the same masks. Writes
comparison.md with its figures, and comparison.json, into a folder: docs for CIFAR-10. Give another dataset its own
folder, as dataset=cifar100 out=docs/cifar100. `python -m etviz.reports` writes the page again from its JSON.
--help lists every option.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import etviz
from etviz import plots
from etviz.analysis import ClassMeans, Curve, robustness_curves
from etviz.commands import load_options, run
from etviz.data import load_dataset, to_float
from etviz.devices import pick_device
from etviz.evaluation.comparison import Split, make_split, measure_checkpoint, measure_floor
from etviz.evaluation.inputs import chosen, find_meters, trained
from etviz.evaluation.paired import against_floors, compare
from etviz.evaluation.provenance import provenance
from etviz.evaluation.scores import Evaluation, ranked
from etviz.files import dump, finite, make_folder, write_bytes, write_text
from etviz.inpainting import FLOORS
from etviz.metrics import Meter
from etviz.models import MaskedImageModel
from etviz.options import (
    Count,
    DataOptions,
    Name,
    Names,
    Options,
    WeightsOptions,
    Whole,
    at_least,
    option,
    section,
)
from etviz.plots.style import figure_bytes
from etviz.reports.comparison import NAME, make_page

GRID_IMAGES = 6
RATIOS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95)
CARD = ("model", "ratio", "images_seen", "seconds")  # what the page says of a training

Few = Annotated[int, at_least(2)]  # images: one has no spread
Models = dict[str, MaskedImageModel]
Step = Callable[[str], Callable[[int, int], None]]  # what is being measured -> its progress


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Options):
    """python -m etviz.compare
    Measures the shipped models of a dataset on the same images and masks, and writes comparison.md with its figures.
    """

    dataset: Name = option("cifar10", "cifar10, cifar100, an .npz archive or an image folder")
    checkpoints: Names | None = option(
        None, "as [et-cifar10,mae-cifar10]; all shipped ones trained on the dataset where null"
    )
    data: DataOptions = section(DataOptions)
    out: Path = option("docs", "folder to write to; a comparison that is there is replaced")
    ratio: float = option(0.85, "share of patches hidden: 54 of 64")
    seed: Whole = option(0, "of the masks")
    images: Few | None = option(None, "only the first so many of the test split; all where null")
    lpips: Names = option(("alex",), "learned perceptual distance, by any of alex, vgg, squeeze; [] for none")
    fid: bool = option(True, "Frechet inception distance; slow on a CPU")
    weights: WeightsOptions = section(WeightsOptions)
    require: bool = option(False, "fail where LPIPS or FID lacks its weights, instead of leaving it out")
    probe_images: Count = option(10000, "training images that k-NN and linear probe learn from")
    ratio_images: Few = option(500, "test images in the figure of mask ratios")
    device: str = option("auto", "cpu, cuda, mps")


def main(argv: list[str]) -> None:
    """Measure and write as ``argv``'s options say; see the module's own text."""
    options = load_options(CompareOptions, argv)
    few, seed = options.ratio_images, options.seed
    out, device = make_folder(options.out), pick_device(options.device)
    models = {name: etviz.load_model(name).to(device) for name in chosen(options.checkpoints, options.dataset)}
    meters, left_out = find_meters(options.lpips, options.fid, options.weights, options.require, device)
    first = next(iter(models.values()))
    dataset = load_dataset(options.dataset, options.data.root, first.img_size, options.data.download)
    few_images = {"images": options.images, "probe": options.probe_images}
    split = make_split(dataset, options.ratio, first.num_patches, seed=seed, **few_images)
    evaluations, curves = measure_all(models, split, few, meters, device)
    setting = describe(dataset.name, split, few) | {"left_out": left_out} | provenance(device)
    document = finite(setting | results(evaluations, curves))
    for name, figure in make_figures(models, split, evaluations, curves, device).items():
        write_bytes(out / f"{NAME}-{name}.png", figure_bytes(figure, dpi=150, facecolor="white"))
    write_text(out / f"{NAME}.json", dump(document) + "\n")
    write_text(out / f"{NAME}.md", make_page(document))
    print(out / f"{NAME}.md")


def measure_all(
    models: Models, split: Split, few: int, meters: list[Meter], device: torch.device
) -> tuple[list[Evaluation], dict[str, Curve]]:
    """Every floor and model on the split, the best first; and their curves over mask ratios, on ``few`` images."""
    with _progress() as bar:
        task = bar.add_task("", total=len(split.images))

        def step(name: str) -> Callable[[int, int], None]:
            bar.update(task, description=name, completed=0)
            return lambda done, _: bar.update(task, completed=done)

        found = [measure_floor(name, split, step(name), meters, device) for name in FLOORS]
        for name, model in models.items():
            card = trained(name, model)
            found.append(measure_checkpoint(name, model, card, split, progress=step(name), meters=meters))
        bar.update(task, description="mask ratios", completed=0, total=len(RATIOS))
        fills = {name: model.reconstruct for name, model in models.items()} | FLOORS
        settings = {"num_patches": split.masks.shape[1], "seed": split.mask_seed, "device": device}
        settings |= {"progress": lambda done, _: bar.update(task, completed=done)}
        return ranked(found), robustness_curves(fills, split.images[:few], "ratio", RATIOS, **settings)


# ---- writing -----------------------------------------------------------------------------------------------------


def make_figures(
    models: Models, split: Split, evaluations: list[Evaluation], curves: dict[str, Curve], device: torch.device
) -> dict:
    """The page's figures, by name."""
    images, masks = to_float(split.images[:GRID_IMAGES].to(device)), split.masks[:GRID_IMAGES].to(device)
    best = next(evaluation.name for evaluation in evaluations if evaluation.name in FLOORS)
    fills = {name: model.reconstruct for name, model in models.items()} | {best: FLOORS[best]}
    names = [evaluation.name for evaluation in evaluations]
    psnr = {name: curve.psnr for name, curve in curves.items()}
    return {
        "psnr": plots.class_dots(as_means(evaluations), names, average=False),
        "ratios": plots.ratio_curves(RATIOS, psnr, floors=FLOORS),
        "grid": plots.comparison_grid(images, masks, {name: fill(images, masks) for name, fill in fills.items()}),
    }


def as_means(evaluations: list[Evaluation]) -> ClassMeans:
    """Masked PSNR in dB of each evaluation, and its standard error."""
    keys = "masked_psnr", "masked_psnr_standard_error"
    psnr, spread = ([evaluation.metrics[key] for evaluation in evaluations] for key in keys)
    counts = torch.tensor([len(evaluation.errors) for evaluation in evaluations])
    return ClassMeans(mean=torch.tensor(psnr), standard_error=torch.tensor(spread), count=counts)


def describe(dataset: str, split: Split, few: int) -> dict:
    """Everything that the numbers depend on, besides the checkpoints, the code and the machine."""
    return {
        "dataset": dataset,
        "images": len(split.images),
        "ratio": split.ratio,
        "hidden_patches": int(split.masks[0].sum()),
        "patches": split.masks.shape[1],
        "mask_seed": split.mask_seed,
        "probe_images": len(split.train_images),
        "ratio_images": min(few, len(split.images)),
        "ratios": list(RATIOS),
    }


def results(evaluations: list[Evaluation], curves: dict[str, Curve]) -> dict:
    """Every number of the page: of each entry, and of the paired tests. Single images' numbers are left out."""
    models = {evaluation.name: evaluation for evaluation in evaluations if evaluation.name not in FLOORS}
    errors = {evaluation.name: evaluation.errors[None] for evaluation in evaluations}
    along = {name: curve.errors for name, curve in curves.items()}
    return {
        "entries": {e.name: as_entry(e, curves[e.name]) for e in evaluations},
        "paired": compare(models),
        "against_floors": against_floors(errors, list(FLOORS), [evaluations[0].ratio]),
        "ratio_floors": against_floors(along, list(FLOORS), RATIOS),
    }


def as_entry(evaluation: Evaluation, curve: Curve) -> dict:
    """One model's or floor's numbers."""
    return {
        "floor": evaluation.name in FLOORS,
        "images": len(evaluation.errors),
        "metrics": evaluation.metrics,
        "accuracy": evaluation.accuracy,
        "costs": evaluation.costs,
        "ceiling": evaluation.ceiling,
        "card": {key: evaluation.card[key] for key in CARD if key in evaluation.card},
        "psnr_by_ratio": curve.psnr.tolist(),
    }


def _progress() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    run(main)
