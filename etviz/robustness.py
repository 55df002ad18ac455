"""python -m etviz.robustness [dataset=cifar10] [checkpoints=[et-cifar10,mae-cifar10]] [axes=[noise,blur]] [out=docs]

Measures the shipped models beyond what they were trained for, all on the same images and masks: other mask ratios and
kinds of masks, damaged visible patches, a dataset that they never saw, and one class told from the rest by their
errors. Writes robustness.md with its figure, and robustness.json, into a folder. `python -m etviz.reports` writes the
page again from its JSON. --help lists every option.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import etviz
from etviz import plots
from etviz.analysis.robustness import AXES, Curve, psnr_loss, robustness_curves
from etviz.checkpoints import list_checkpoints, load_card
from etviz.commands import check_named_once, load_config, path_option, run, whole_number, word
from etviz.data import Dataset, load_dataset
from etviz.devices import pick_device
from etviz.errors import UsageError
from etviz.evaluation.inputs import chosen, trained_on
from etviz.evaluation.one_class import OneClass, one_class
from etviz.evaluation.paired import against_floors
from etviz.evaluation.provenance import provenance
from etviz.evaluation.transfer import paired_cost, transfer_rows
from etviz.files import dump, finite, make_folder, write_bytes, write_text
from etviz.inpainting import FLOORS
from etviz.metrics import evaluation_masks
from etviz.models import MaskedImageModel
from etviz.plots.style import figure_bytes
from etviz.reports.robustness import NAME, make_page

SIBLINGS = {"cifar10": "cifar100", "cifar100": "cifar10"}
Tell = Callable[[str], None]  # what is being measured


def main(argv: list[str]) -> None:
    """Measure and write as ``argv``'s options say; see the module's own text."""
    config = load_config("commands/robustness", argv)
    options = read_options(config)
    out, device = make_folder(path_option("out", config["out"])), pick_device(config["device"])
    models = load_models(options, device)
    datasets = load_datasets(options, config["data"], next(iter(models.values())).img_size)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # would say its precision for every class
    with _progress() as bar:
        task = bar.add_task("", total=None)
        measured = measure_all(models, datasets, options, lambda what: bar.update(task, description=what))
    setting = describe(options, datasets[options.dataset]) | {"command": command(argv)} | provenance(device)
    document = finite(setting | as_json(measured))
    if measured.curves:
        figure = plots.robustness_panels(measured.curves, floors=FLOORS)
        write_bytes(out / f"{NAME}.png", figure_bytes(figure, dpi=150, facecolor="white"))
    write_text(out / f"{NAME}.json", dump(document) + "\n")
    write_text(out / f"{NAME}.md", make_page(document))
    print(out / f"{NAME}.md")


# ---- options -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked for, checked."""

    dataset: str
    other: str | None  # dataset to carry over to
    checkpoints: list[str]
    taught: list[str]  # of them, that learn single classes
    axes: list[str]
    ratio: float
    seed: int
    images: int
    transfer_images: int | None  # None: all
    probe_images: int
    one_class: int
    one_class_epochs: int


def read_options(config: dict) -> Options:
    """The options of the configuration. Raises `UsageError` for one that cannot be met."""
    dataset, other = dataset_names(config)
    names, limit = chosen(config["checkpoints"], dataset), config["transfer_images"]
    return Options(
        dataset=dataset,
        other=other,
        checkpoints=names,
        taught=one_class_names(config["one_class_checkpoints"], names),
        axes=known_axes(config["axes"]),
        ratio=config["ratio"],
        images=whole_number("images", config["images"], least=2),
        transfer_images=None if limit is None else whole_number("transfer_images", limit, least=2),
        one_class_epochs=whole_number("one_class_epochs", config["one_class_epochs"], least=1),
        **{name: whole_number(name, config[name]) for name in ("seed", "probe_images", "one_class")},
    )


def dataset_names(config: dict) -> tuple[str, str | None]:
    """The dataset, and the one to carry over to: None for none."""
    own, other = word("dataset", config["dataset"]), word("transfer", config["transfer"])
    other = SIBLINGS.get(own, "none") if other == "auto" else other
    if other == own:
        raise UsageError(f"transfer names another dataset than {own!r}, or none.")
    return own, None if other == "none" else other


def known_axes(names: list) -> list[str]:
    """Names of axes, each once. Raises `UsageError` for one that is none."""
    found = list(dict.fromkeys(word("axes", name) for name in names))
    unknown = [name for name in found if name not in AXES]
    if unknown:
        raise UsageError(f"There is no axis {unknown[0]!r}: axes takes some of {', '.join(AXES)}.")
    return found


def one_class_names(names: list | None, known: list[str]) -> list[str]:
    """Those of the checkpoints that learn single classes. Raises `UsageError` for one that is not among them."""
    if names is None:
        return known
    found = [word("one_class_checkpoints", name) for name in (names if isinstance(names, list) else [names])]
    check_named_once(found)
    unknown = [name for name in found if name not in known]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is not among the checkpoints: name some of {', '.join(known)}.")
    return found


def check_models(models: dict[str, MaskedImageModel]) -> None:
    """Raise `UsageError` unless all take the same images and masks, and see nothing of what is hidden."""
    sizes = {(model.img_size, model.num_patches) for model in models.values()}
    if len(sizes) > 1:
        raise UsageError("The checkpoints cut images into different patches: no mask fits all of them.")
    autoencoders = [name for name, model in models.items() if model.sees_hidden_patches]
    if autoencoders:
        raise UsageError(f"{autoencoders[0]} is an autoencoder, which sees what is hidden: it cannot be measured here.")


def load_models(options: Options, device: torch.device) -> dict[str, MaskedImageModel]:
    """The checkpoints by their names, on the device, and known to fit together and the ratio."""
    models = {name: etviz.load_model(name).to(device) for name in options.checkpoints}
    check_models(models)
    evaluation_masks(1, options.ratio, next(iter(models.values())).num_patches)
    return models


def load_datasets(options: Options, data: dict, img_size: int) -> dict[str, Dataset]:
    """The dataset and, where there is one, the other, by their names."""
    names = [name for name in (options.dataset, options.other) if name is not None]
    return {name: load_dataset(name, data["root"], img_size, data["download"]) for name in names}


# ---- measuring ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything that the page shows."""

    curves: dict[str, dict[str, Curve]]  # by axis, then by model or floor
    transfer: list[dict]
    one_class: dict[str, list[OneClass]]  # by checkpoint


def measure_all(models: dict, datasets: dict[str, Dataset], options: Options, tell: Tell) -> Measured:
    """All that the options ask for."""
    dataset = datasets[options.dataset]
    taught = {name: models[name] for name in options.taught}
    return Measured(
        curves=measure_curves(models, dataset, options, tell),
        transfer=measure_transfer(models, datasets, options, tell) if options.other else [],
        one_class=measure_classes(taught, dataset, options, tell) if options.one_class else {},
    )


def measure_curves(models: dict, dataset: Dataset, options: Options, tell: Tell) -> dict:
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


def measure_transfer(models: dict, datasets: dict[str, Dataset], options: Options, tell: Tell) -> list[dict]:
    """The models, and the shipped models of the same kinds that were trained on the other dataset, on both datasets."""
    models = models | load_siblings(models, options.other)
    sources = {name: trained_on(name) for name in models}
    settings = {"images": options.transfer_images, "probe_images": options.probe_images}
    settings |= {"ratio": options.ratio, "seed": options.seed}
    return transfer_rows(models, sources, datasets, **settings, tell=tell)


def load_siblings(models: dict[str, MaskedImageModel], dataset: str) -> dict[str, MaskedImageModel]:
    """Shipped models of the same kinds and image size that were trained on another dataset, by their names."""
    kinds, first = {model.name for model in models.values()}, next(iter(models.values()))
    cards = {name: load_card(name) for name in list_checkpoints() if name not in models}
    names = [name for name, card in cards.items() if card.get("dataset") == dataset and card.get("model") in kinds]
    found = {name: etviz.load_model(name).to(first.device) for name in names}
    return {name: model for name, model in found.items() if model.img_size == first.img_size}


def measure_classes(models: dict, dataset: Dataset, options: Options, tell: Tell) -> dict[str, list[OneClass]]:
    """Each class against the rest, by every model."""
    settings = {"images": options.one_class, "epochs": options.one_class_epochs, "seed": options.seed}
    return {
        name: one_class(model, dataset, **settings, tell=partial(_tell_of, tell, name))
        for name, model in models.items()
    }


# ---- writing -----------------------------------------------------------------------------------------------------


def describe(options: Options, dataset: Dataset) -> dict:
    """What the numbers depend on, besides the checkpoints, the code and the machine."""
    return {
        "dataset": dataset.name,
        "ratio": options.ratio,
        "seed": options.seed,
        "images": min(options.images, len(dataset.test_images)),
        "probe_images": min(options.probe_images, len(dataset.train_images)),
        "one_class_images": min(options.one_class, len(dataset.test_images)),
        "one_class_epochs": options.one_class_epochs,
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
    found = {"levels": list(curve.levels)}
    found |= {key: getattr(curve, key).tolist() for key in ("psnr", "low", "high")}
    if curve.levels[0] == 0:
        lost, half = psnr_loss(curve)
        found["loss"] = {"psnr": lost, "half": half}
    return found


def command(argv: list[str]) -> str:
    """The command that gives the same numbers, without the options that say where to read, compute and write."""
    elsewhere = ("out=", "data.", "device=")
    return " ".join(["python -m etviz.robustness", *(option for option in argv if not option.startswith(elsewhere))])


def _tell_level(tell: Tell, title: str, done: int, total: int) -> None:
    tell(f"{title}: {done} of {total}")


def _tell_of(tell: Tell, name: str, what: str) -> None:
    tell(f"{name}: {what}")


def _progress() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    run(main)
