"""python -m etviz.compare [dataset=cifar10] [checkpoints=[et-cifar10,mae-cifar10]] [images=1000] [out=docs]

Compares the shipped models that were trained on one dataset, on the same test images under the same masks. Writes
comparison.md with its figures, and comparison.json, into a folder: docs for CIFAR-10. Give another dataset its own
folder, as dataset=cifar100 out=docs/cifar100. `python -m etviz.reports` writes the page again from its JSON.

Checkpoints that differ in the seed of their training alone count as one model, with the spread between them. Only where
there are several does the page say whether two models differ beyond it. --help lists every option.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
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
from etviz.evaluation.paired import against_floors, compare, verdict
from etviz.evaluation.provenance import made_from, provenance
from etviz.evaluation.scores import Evaluation, ranked
from etviz.evaluation.trainings import spread_of
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
from etviz.reports.comparison import FORMAT, NAME, make_page

GRID_IMAGES = 6
RATIOS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95)
CARD = ("model", "ratio", "images_seen", "seconds")  # what the page says of a training

Few = Annotated[int, at_least(2)]  # images: one has no spread
Models = dict[str, MaskedImageModel]
Groups = dict[str, list[str]]  # trainings of one recipe, by the first one's name
Step = Callable[[str], Callable[[int, int], None]]  # what is being measured -> its progress


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Options):
    """python -m etviz.compare
    Measures the shipped models of a dataset on the same images and masks, and writes comparison.md with its figures.
    """

    dataset: Name = option("cifar10", "cifar10, cifar100, an .npz archive or an image folder")
    checkpoints: Names | None = option(
        None, "as [et-cifar10,mae-cifar10]; all shipped ones trained on the dataset where null"
    )  # those that differ in their training's seed alone are one model
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
    groups = chosen(options.checkpoints, options.dataset)
    models = {name: etviz.load_model(name).to(device) for group in groups.values() for name in group}
    meters, left_out = find_meters(options.lpips, options.fid, options.weights, options.require, device)
    first = next(iter(models.values()))
    dataset = load_dataset(options.dataset, options.data.root, first.img_size, options.data.download)
    few_images = {"images": options.images, "probe": options.probe_images}
    split = make_split(dataset, options.ratio, first.num_patches, seed=seed, **few_images)
    evaluations = measure_all(models, split, meters, device)
    drawn = {name: models[name] for name in groups}
    curves = measure_curves(drawn, split, few, device)
    setting = describe(dataset.name, split, few) | {"left_out": left_out}
    setting |= made_from(FORMAT, "etviz.compare", argv, models) | provenance(device)
    document = finite(setting | results(evaluations, curves, groups))
    for name, figure in make_figures(drawn, split, evaluations, curves, device).items():
        write_bytes(out / f"{NAME}-{name}.png", figure_bytes(figure, dpi=150, facecolor="white"))
    write_text(out / f"{NAME}.json", dump(document) + "\n")
    write_text(out / f"{NAME}.md", make_page(document))
    print(out / f"{NAME}.md")


def measure_all(models: Models, split: Split, meters: list[Meter], device: torch.device) -> list[Evaluation]:
    """Every floor and model on the split, the best first."""
    with _progress() as bar:
        task = bar.add_task("", total=len(split.images))

        def step(name: str) -> Callable[[int, int], None]:
            bar.update(task, description=name, completed=0)
            return lambda done, _: bar.update(task, completed=done)

        found = [measure_floor(name, split, step(name), meters, device) for name in FLOORS]
        for name, model in models.items():
            card = trained(name, model)
            found.append(measure_checkpoint(name, model, card, split, progress=step(name), meters=meters))
        return ranked(found)


def measure_curves(models: Models, split: Split, few: int, device: torch.device) -> dict[str, Curve]:
    """The models and floors over mask ratios, on the first ``few`` images."""
    fills = {name: model.reconstruct for name, model in models.items()} | FLOORS
    settings = {"num_patches": split.masks.shape[1], "seed": split.mask_seed, "device": device}
    with _progress() as bar:
        task = bar.add_task("mask ratios", total=len(RATIOS))
        settings |= {"progress": lambda done, _: bar.update(task, completed=done)}
        return robustness_curves(fills, split.images[:few], "ratio", RATIOS, **settings)


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


def results(evaluations: list[Evaluation], curves: dict[str, Curve], groups: Groups | None = None) -> dict:
    """Every number of the page: of each entry, and of the tests. Single images' numbers are left out."""
    models = {evaluation.name: evaluation for evaluation in evaluations if evaluation.name not in FLOORS}
    groups = groups or {name: [name] for name in models}
    errors = {evaluation.name: evaluation.errors[None] for evaluation in evaluations}
    along = {name: curve.errors for name, curve in curves.items()}
    return {
        "entries": {e.name: as_entry(e, curves.get(e.name)) for e in evaluations},
        "trainings": {name: as_trainings([models[one] for one in group]) for name, group in groups.items()},
        "paired": [row | as_verdict(row) for row in compare(models, trainings=groups)],
        "against_floors": against_floors(errors, list(FLOORS), [evaluations[0].ratio]),
        "ratio_floors": against_floors(along, list(FLOORS), RATIOS),
    }


def as_verdict(row: dict) -> dict[str, str]:
    """What the tests say of a row's first model against the second, and why."""
    return dict(zip(("verdict", "reason"), verdict(row), strict=True))


def as_trainings(group: list[Evaluation]) -> dict:
    """The trainings of one recipe with their seeds, and the spread of their masked PSNR in dB."""
    psnr = torch.tensor([evaluation.metrics["masked_psnr"] for evaluation in group], dtype=torch.float64)
    members, seeds = [e.name for e in group], [e.card.get("seed") for e in group]
    return {"members": members, "seeds": seeds, "masked_psnr": asdict(spread_of(psnr))}


def as_entry(evaluation: Evaluation, curve: Curve | None) -> dict:
    """One model's or floor's numbers; a further training of a model has no curve."""
    return {
        "floor": evaluation.name in FLOORS,
        "images": len(evaluation.errors),
        "metrics": evaluation.metrics,
        "accuracy": evaluation.accuracy,
        "costs": evaluation.costs,
        "ceiling": evaluation.ceiling,
        "card": {key: evaluation.card[key] for key in CARD if key in evaluation.card},
        "psnr_by_ratio": None if curve is None else curve.psnr.tolist(),
    }


def _progress() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    run(main)
