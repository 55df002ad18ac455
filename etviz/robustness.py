"""python -m etviz.robustness [dataset=cifar10] [checkpoints=[et-cifar10,mae-cifar10]] [axes=[noise,blur]] [out=docs]

Measures the shipped models beyond what they were trained for, all on the same images and masks: other mask ratios and
kinds of masks, damaged visible patches, a dataset that they never saw, and one class told from the rest by their
errors. Writes robustness.md with its figure, and robustness.json, into a folder. `python -m etviz.reports` writes the
page again from its JSON. --help lists every option.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import etviz
from etviz import plots
from etviz.analysis.robustness import AXES, Curve, psnr_loss, robustness_curves
from etviz.checkpoints import list_checkpoints, load_card, load_config
from etviz.commands import check_named_once, load_options, run
from etviz.data import Dataset, load_dataset
from etviz.devices import pick_device
from etviz.errors import UsageError
from etviz.evaluation.inputs import chosen, trained_on
from etviz.evaluation.one_class import OneClass, one_class
from etviz.evaluation.paired import against_floors
from etviz.evaluation.provenance import made_from, provenance
from etviz.evaluation.trainings import group_trainings
from etviz.evaluation.transfer import paired_cost, transfer_rows
from etviz.files import dump, finite, make_folder, write_bytes, write_text
from etviz.inpainting import FLOORS
from etviz.metrics import evaluation_masks
from etviz.models import MaskedImageModel
from etviz.options import Count, DataOptions, Name, Names, Options, Whole, at_least, option, section
from etviz.plots.style import figure_bytes
from etviz.reports.robustness import FORMAT, NAME, make_page

SIBLINGS = {"cifar10": "cifar100", "cifar100": "cifar10"}
Tell = Callable[[str], None]  # what is being measured
Few = Annotated[int, at_least(2)]  # images: one has no spread


@dataclass(frozen=True, kw_only=True)
class RobustnessOptions(Options):
    """python -m etviz.robustness
    The shipped models beyond what they were trained for: other masks, damage, the other CIFAR, one class alone.
    """

    dataset: Name = option("cifar10", "cifar10, cifar100, an .npz archive or an image folder")
    checkpoints: Names | None = option(
        None,
        "as [et-cifar10,mae-cifar10]; all shipped ones trained on the dataset where null, one seed of each",
    )
    data: DataOptions = section(DataOptions)
    out: Path = option(
        "docs", "folder for robustness.md, its figure and robustness.json; those that are there are replaced"
    )
    axes: Names = option(tuple(AXES), "what is varied; [] for nothing")
    ratio: float = option(0.85, "share of patches hidden, where nothing else is said: 54 of 64")
    seed: Whole = option(0, "of masks, damage, the choice of images and training")
    images: Few = option(1000, "test images on each curve, the first of the split")
    transfer: Name = option("auto", "another dataset, as cifar100; auto takes the other CIFAR; none for none")
    transfer_images: Few | None = option(None, "test images of each dataset there; all where null")
    probe_images: Whole = option(10000, "training images that the linear probe learns from; 0 for no probe")
    one_class: Whole = option(2000, "test images that are told apart, class by class; 0 for none")
    one_class_epochs: Count = option(2, "over the class's training images, before its errors are measured")
    one_class_training: Few | None = option(None, "training images of each class; all where null")
    one_class_checkpoints: Names | None = option(None, "as [mae-cifar10]; all of the checkpoints where null")
    device: str = option("auto", "cpu, cuda, mps")


def main(argv: list[str]) -> None:
    """Measure and write as ``argv``'s options say; see the module's own text."""
    asked = load_options(RobustnessOptions, argv)
    options = make_plan(asked)
    out, device = make_folder(asked.out), pick_device(asked.device)
    models = load_models(options, device)
    datasets = load_datasets(options, asked.data, next(iter(models.values())).img_size)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # it would report its precision for every class
    with _progress() as bar:
        task = bar.add_task("", total=None)
        measured = measure_all(models, datasets, options, lambda what: bar.update(task, description=what))
    loaded = [*models, *({row["checkpoint"] for row in measured.transfer} - models.keys())]
    setting = describe(options, datasets[options.dataset]) | provenance(device)
    setting |= made_from(FORMAT, "etviz.robustness", argv, sorted(loaded))
    document = finite(setting | as_json(measured))
    if measured.curves:
        figure = plots.robustness_panels(measured.curves, floors=FLOORS)
        write_bytes(out / f"{NAME}.png", figure_bytes(figure, dpi=150, facecolor="white"))
    write_text(out / f"{NAME}.json", dump(document) + "\n")
    write_text(out / f"{NAME}.md", make_page(document))
    print(out / f"{NAME}.md")


# ---- options -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured."""

    dataset: str
    other: str | None  # the other dataset
    checkpoints: list[str]
    taught: list[str]  # those of them that learn single classes
    axes: list[str]
    ratio: float
    seed: int
    images: int
    transfer_images: int | None  # None: all
    probe_images: int
    one_class: int
    one_class_epochs: int
    one_class_training: int | None  # None: all


def make_plan(asked: RobustnessOptions) -> Plan:
    """What the options ask for. Raises `UsageError` for what cannot be."""
    names = list(chosen(asked.checkpoints, asked.dataset))
    return Plan(
        dataset=asked.dataset,
        other=other_dataset(asked.dataset, asked.transfer),
        checkpoints=names,
        taught=one_class_names(asked.one_class_checkpoints, names),
        axes=known_axes(asked.axes),
        ratio=asked.ratio,
        seed=asked.seed,
        images=asked.images,
        transfer_images=asked.transfer_images,
        probe_images=asked.probe_images,
        one_class=asked.one_class,
        one_class_epochs=asked.one_class_epochs,
        one_class_training=asked.one_class_training,
    )


def other_dataset(own: str, transfer: str) -> str | None:
    """The other dataset, on which the models are measured too; None for none."""
    other = SIBLINGS.get(own, "none") if transfer == "auto" else transfer
    if other == own:
        raise UsageError(f"transfer names another dataset than {own!r}, or none.")
    return None if other == "none" else other


def known_axes(names: Sequence[str]) -> list[str]:
    """Names of axes, each once. Raises `UsageError` for an unknown one."""
    found = list(dict.fromkeys(names))
    unknown = [name for name in found if name not in AXES]
    if unknown:
        raise UsageError(f"There is no axis {unknown[0]!r}: axes takes some of {', '.join(AXES)}.")
    return found


def one_class_names(names: Sequence[str] | None, known: list[str]) -> list[str]:
    """The checkpoints that learn single classes. Raises `UsageError` for one that is not among the checkpoints."""
    if names is None:
        return known
    check_named_once(names)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is not among the checkpoints: name some of {', '.join(known)}.")
    return list(names)


def check_models(models: dict[str, MaskedImageModel]) -> None:
    """Raise `UsageError` unless all models take the same images and masks, and none sees the hidden patches."""
    sizes = {(model.img_size, model.num_patches) for model in models.values()}
    if len(sizes) > 1:
        raise UsageError("The checkpoints cut images into different patches: no mask fits all of them.")
    autoencoders = [name for name, model in models.items() if model.sees_hidden_patches]
    if autoencoders:
        raise UsageError(f"{autoencoders[0]} is an autoencoder, which sees what is hidden: it cannot be measured here.")


def load_models(options: Plan, device: torch.device) -> dict[str, MaskedImageModel]:
    """The checkpoints by their names, on the device. Raises `UsageError` if they or the ratio do not fit together."""
    models = {name: etviz.load_model(name).to(device) for name in options.checkpoints}
    check_models(models)
    evaluation_masks(1, options.ratio, next(iter(models.values())).num_patches)
    return models


def load_datasets(options: Plan, data: DataOptions, img_size: int) -> dict[str, Dataset]:
    """The dataset, and the other one if there is one, by their names."""
    names = [name for name in (options.dataset, options.other) if name is not None]
    return {name: load_dataset(name, data.root, img_size, data.download) for name in names}


# ---- measuring ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything that the page shows."""

    curves: dict[str, dict[str, Curve]]  # by axis, then by model or floor
    transfer: list[dict]
    one_class: dict[str, list[OneClass]]  # by checkpoint


def measure_all(models: dict, datasets: dict[str, Dataset], options: Plan, tell: Tell) -> Measured:
    """All that the options ask for."""
    dataset = datasets[options.dataset]
    taught = {name: models[name] for name in options.taught}
    return Measured(
        curves=measure_curves(models, dataset, options, tell),
        transfer=measure_transfer(models, datasets, options, tell) if options.other else [],
        one_class=measure_classes(taught, dataset, options, tell) if options.one_class else {},
    )


def measure_curves(models: dict, dataset: Dataset, options: Plan, tell: Tell) -> dict:
    """A curve for each axis, and for each model and floor."""
    fills = {name: model.reconstruct for name, model in models.items()} | FLOORS
    first = next(iter(models.values()))
    settings = {"ratio": options.ratio, "num_patches": first.num_patches, "seed": options.seed}
    settings |= {"device": first.device}
    found = {}
    for axis in options.axes:
        tell(AXES[axis].title)
        say = partial(_tell_level, tell, AXES[axis].title)
        found[axis] = robustness_curves(fills, dataset.test_images[: options.images], axis, **settings, progress=say)
    return found


def measure_transfer(models: dict, datasets: dict[str, Dataset], options: Plan, tell: Tell) -> list[dict]:
    """The models, and the shipped models of the same kinds that were trained on the other dataset, on both datasets."""
    models = models | load_siblings(models, options.other or "")
    sources = {name: trained_on(name) for name in models}
    settings = {"images": options.transfer_images, "probe_images": options.probe_images}
    settings |= {"ratio": options.ratio, "seed": options.seed}
    return transfer_rows(models, sources, datasets, **settings, tell=tell)


def load_siblings(models: dict[str, MaskedImageModel], dataset: str) -> dict[str, MaskedImageModel]:
    """Shipped models of the same kinds and image size that were trained on another dataset, by their names."""
    first = next(iter(models.values()))
    found = {name: etviz.load_model(name).to(first.device) for name in sibling_names(list(models), dataset)}
    return {name: model for name, model in found.items() if model.img_size == first.img_size}


def sibling_names(names: Sequence[str], dataset: str) -> list[str]:
    """Shipped checkpoints of the kinds of those named that were trained on another dataset, one seed of each."""
    kinds = {load_config(name)["model"]["name"] for name in names}
    cards = {name: load_card(name) for name in list_checkpoints() if name not in names}
    found = [name for name, card in cards.items() if card.get("dataset") == dataset and card.get("model") in kinds]
    return list(group_trainings(found))


def measure_classes(models: dict, dataset: Dataset, options: Plan, tell: Tell) -> dict[str, list[OneClass]]:
    """Each class against the rest, by every model."""
    measure = partial(
        one_class,
        images=options.one_class,
        epochs=options.one_class_epochs,
        training_images=options.one_class_training,
        seed=options.seed,
    )
    return {name: measure(model, dataset, tell=partial(_tell_of, tell, name)) for name, model in models.items()}


# ---- writing -----------------------------------------------------------------------------------------------------


def describe(options: Plan, dataset: Dataset) -> dict:
    """What the numbers depend on, besides the checkpoints, the code and the machine."""
    return {
        "dataset": dataset.name,
        "ratio": options.ratio,
        "seed": options.seed,
        "images": min(options.images, len(dataset.test_images)),
        "probe_images": min(options.probe_images, len(dataset.train_images)),
        "one_class_images": min(options.one_class, len(dataset.test_images)),
        "one_class_epochs": options.one_class_epochs,
        "one_class_training": options.one_class_training,
    }


def as_json(measured: Measured) -> dict:
    """Every number of the page. Single images' numbers are left out."""
    floors = list(FLOORS)
    curves = {axis: {name: as_curve(c) for name, c in found.items()} for axis, found in measured.curves.items()}
    tests = {}
    for axis, found in measured.curves.items():
        errors = {name: curve.errors for name, curve in found.items()}
        tests[axis] = against_floors(errors, floors, AXES[axis].levels)
    return {
        "floors": floors,
        "curves": curves,
        "against_floors": tests,
        "transfer": [{key: value for key, value in row.items() if key != "errors"} for row in measured.transfer],
        "transfer_cost": paired_cost(measured.transfer),
        "one_class": {name: [asdict(row) for row in rows] for name, rows in measured.one_class.items()},
    }


def as_curve(curve: Curve) -> dict:
    """A curve's numbers; for one that begins undamaged also what the strongest damage costs."""
    found: dict[str, Any] = {"levels": list(curve.levels)}
    found |= {key: getattr(curve, key).tolist() for key in ("psnr", "low", "high")}
    if curve.levels[0] == 0:
        lost, half = psnr_loss(curve)
        found["loss"] = {"psnr": lost, "half": half}
    return found


def _tell_level(tell: Tell, title: str, done: int, total: int) -> None:
    tell(f"{title}: {done} of {total}")


def _tell_of(tell: Tell, name: str, what: str) -> None:
    tell(f"{name}: {what}")


def _progress() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    run(main)
