"""python -m etviz.probe NAME [train_images=50000] [labels=[0.01,0.1,1]] [finetune_steps=200] [out=FOLDER]

How well classes are read from the features of a model with nothing hidden: by k nearest neighbours, by a linear probe
and by fine-tuning, from a few labels and from all, beside an untrained model and raw pixels. For an Energy Transformer
also after each step of the descent: the best step is chosen on training labels that are held out, not on the test
labels. Every accuracy has Wilson's 95% interval over the test images. The tables and the progress bar go to stderr, and
the JSON to stdout. --help lists every option; the defaults take a few minutes on two CPU cores.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import Tensor

import etviz
from etviz.commands import load_named, run
from etviz.data import Dataset, to_float
from etviz.devices import pick_device
from etviz.errors import UsageError
from etviz.evaluation.features import accuracy_interval, extract_pools, knn_accuracy, label_subset, linear_accuracy
from etviz.evaluation.finetuning import finetune_accuracy
from etviz.evaluation.inputs import load_test_split
from etviz.evaluation.provenance import PLACES, made_from, provenance
from etviz.files import dump, make_folder, write_bytes, write_text
from etviz.models import MaskedImageModel, create_model
from etviz.options import (
    ABOVE_0,
    NOT_EMPTY,
    Count,
    DataOptions,
    Name,
    Options,
    Whole,
    as_dict,
    at_least,
    at_most,
    option,
    section,
)

FILES = ("probe.json", "features.png", "steps.png")
FORMAT = "probe 2"  # of the JSON
UNTRAINED, PIXELS = "untrained", "pixels"
HELD_OUT = 0.2  # share of the training labels by which the best step is chosen
Tell = Callable[[str], None]  # what is being measured
Sets = tuple[Tensor, Tensor]  # features to learn from, and to test on
Classify = Callable[..., float]  # features and labels to learn from, and to test on -> accuracy
Job = tuple[str, Callable[[], dict]]  # a stage: what it measures, and how to
Few = Annotated[int, at_least(2)]  # images
LabelShare = Annotated[float, ABOVE_0, at_most(1)]


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(Options):
    """python -m etviz.probe et-cifar10
    How well classes are read from a model's features: k-NN, linear probe, fine-tuning; by share of labels and by step.
    """

    checkpoint: Name = option(
        text="a name under checkpoints/, a run folder, or its model.safetensors; or the name without checkpoint="
    )
    dataset: Name | None = option(
        None, "cifar10, cifar100, an .npz archive or an image folder; the one it was trained on where null"
    )
    data: DataOptions = section(DataOptions)
    train_images: Few | None = option(5000, "labelled images, the first of the train split; all where null")
    images: Few | None = option(2000, "the first so many of the test split; all where null")
    labels: Annotated[tuple[LabelShare, ...], NOT_EMPTY] = option(
        (0.01, 0.1, 1.0), "shares of the labelled images to learn from, classes in proportion"
    )
    neighbours: Count = option(20, "of k-NN")
    by_step: bool = option(True, "read the state after every step of the descent too, with all labels")
    floors: bool = option(True, "the same of an untrained model of the same sizes, and of raw pixels")
    finetune_steps: Whole = option(200, "of fine-tuning, all weights learning; 0 for none")
    finetune_batch: Count = option(16, "images a step")
    tsne_images: Whole = option(1000, "test images on the t-SNE map of the features; 0 for none")
    seed: Whole = option(0, "of the choice of labels, of the untrained model, of fine-tuning and of t-SNE")
    device: str = option("auto", "cpu, cuda, mps")
    out: Path | None = option(None, "a folder for probe.json, features.png and steps.png")
    force: bool = option(False, "replace those that are there already; or --force")


@dataclass(frozen=True)
class Split:
    """What is learned from, and what is tested on."""

    train_images: Tensor  # (n, C, S, S) uint8
    train_labels: Tensor  # (n,)
    test_images: Tensor  # (m, C, S, S)
    test_labels: Tensor  # (m,)
    class_names: list[str]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured of a split."""

    shares: list[float]  # of the labels
    classifiers: dict[str, Classify]
    by_step: bool
    floors: bool
    tuning: dict[str, int] | None  # `finetune_accuracy`'s steps and batch_size; None for no fine-tuning
    shown: int  # test images on the map
    seed: int


def main(argv: list[str]) -> None:
    """Probe as ``argv``'s options say; see the module's own text."""
    options = load_named(ProbeOptions, argv, flags=("force",))
    folder = options.out and result_folder(options.out, options.force)
    plan = make_plan(options)
    name, device = options.checkpoint, pick_device(options.device)
    model = etviz.load_model(name).to(device)
    split = make_split(options, load_test_split(options.dataset, options.data, name, model))
    models = {name: model} | ({UNTRAINED: untrained(model, plan.seed).to(device)} if plan.floors else {})
    with _progress_bar() as bar:
        rows, by_step, points = measure(models, split, plan, bar)
    result = {"model": model.name, "rows": rows, "by_step": by_step, "best_steps": best_steps(by_step)}
    made = made_from(FORMAT, "etviz.probe", argv, [name])
    result |= {"options": {key: value for key, value in as_dict(options).items() if key not in PLACES}}
    result |= made | provenance(device)
    if folder is not None:
        save_pictures(folder, points, by_step, split, f"t-SNE of {name}'s features of {len(points)} test images")
        write_text(folder / FILES[0], dump(result) + "\n")
    Console(stderr=True).print(*make_tables(result), sep="\n")
    print(dump(result))


# ---- options -----------------------------------------------------------------------------------------------------


def make_plan(options: ProbeOptions) -> Plan:
    """What the options ask for."""
    tuning = {"steps": options.finetune_steps, "batch_size": options.finetune_batch}
    neighbours = partial(knn_accuracy, neighbours=options.neighbours)
    return Plan(
        shares=list(options.labels),
        classifiers={"k-NN": neighbours, "linear": linear_accuracy},
        by_step=options.by_step,
        floors=options.floors,
        tuning=tuning if options.finetune_steps else None,
        shown=0 if options.out is None else options.tsne_images,
        seed=options.seed,
    )


def result_folder(folder: Path, force: bool) -> Path:
    """The folder for the results. Raises `UsageError` where it holds some already, unless they are to be replaced."""
    if not force and any((folder / file).exists() for file in FILES):
        raise UsageError(f"{str(folder)!r} holds results already: choose another out=, or replace them by --force.")
    return make_folder(folder)


def make_split(options: ProbeOptions, dataset: Dataset) -> Split:
    """As many images as the options ask for."""
    train, test = options.train_images, options.images
    if len(dataset.train_labels[:train].unique()) < 2:
        raise UsageError(f"{dataset.name} shows one class only in the labelled images: a probe tells classes apart.")
    return Split(
        dataset.train_images[:train],
        dataset.train_labels[:train],
        dataset.test_images[:test],
        dataset.test_labels[:test],
        dataset.class_names,
    )


# ---- measuring ---------------------------------------------------------------------------------------------------


def untrained(model: MaskedImageModel, seed: int) -> MaskedImageModel:
    """A model of the same sizes with fresh weights, also in parts that were trained separately."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create_model(model.name, **model.config).eval()


def measure(
    models: dict[str, MaskedImageModel], split: Split, plan: Plan, bar: Progress
) -> tuple[list[dict], list[dict], Tensor]:
    """Accuracies by features and share of labels; by step, and the points (n, 2) of a map, for the first model only."""
    name, model = next(iter(models.items()))
    by_step = plan.by_step and model.has_energy
    sources = {key: read_features(key, models[key], split, by_step and key == name, bar) for key in models}
    states = sources[name] if by_step else {}
    if by_step:  # the state after the last step gives the model's own features
        sources[name] = {pool: (train[-1], test[-1]) for pool, (train, test) in states.items()}
    if plan.floors:
        sources[PIXELS] = {"none": raw_pixels(split)}
    stages = Stages(bar)
    jobs = [*probe_jobs(sources, split, plan), *finetune_jobs(models, split, plan, stages.say)]
    jobs_by_step = [*step_jobs(states, split, plan)]
    stages.expect(len(jobs) + len(jobs_by_step) + (1 if plan.shown else 0))
    rows, rows_by_step = ([stages.do(*job) for job in part] for part in (jobs, jobs_by_step))
    features = sources[name]["mean"][1][: plan.shown]
    return (
        rows,
        rows_by_step,
        stages.do("t-SNE", partial(tsne, features, plan.seed)) if plan.shown else torch.empty(0, 2),
    )


def read_features(key: str, model: MaskedImageModel, split: Split, by_step: bool, bar: Progress) -> dict[str, Sets]:
    """Features of all images by pool, from one pass: (n, D) and (m, D), with a step axis in front if by step."""
    counts = len(split.train_images), len(split.test_images)
    task = bar.add_task(f"features of {key}", total=sum(counts), unit="images")
    images = torch.cat([split.train_images, split.test_images])
    found = extract_pools(model, images, by_step=by_step, progress=lambda done, _: bar.update(task, completed=done))
    bar.remove_task(task)
    return {pool: (f[..., : counts[0], :], f[..., counts[0] :, :]) for pool, f in found.items()}


def raw_pixels(split: Split) -> Sets:
    """The images themselves, (n, C * S * S) in [0, 1]."""
    train, test = (to_float(images).flatten(1) for images in (split.train_images, split.test_images))
    return train, test


def probe_jobs(sources: dict[str, dict[str, Sets]], split: Split, plan: Plan) -> Iterator[Job]:
    """Every classifier on every kind of features from each share of labels."""
    for name, pools in sources.items():
        for (pool, sets), share in product(pools.items(), plan.shares):
            chosen = label_subset(split.train_labels, share, plan.seed)
            for classifier in plan.classifiers:
                about = {"features": name, "pool": pool, "classifier": classifier, "labels": share}
                job = partial(classify, plan.classifiers[classifier], sets, split, chosen)
                what = f"{classifier} on {name}, {pool}, {in_percent(share)} of labels"
                yield what, partial(row, about | {"train_images": len(chosen)}, job, split)


def finetune_jobs(models: dict[str, MaskedImageModel], split: Split, plan: Plan, say: Tell) -> Iterator[Job]:
    """Fine-tuning of every model on each share of labels."""
    tuning = plan.tuning or {}
    for (name, model), share in product(models.items(), plan.shares) if tuning else ():
        chosen = label_subset(split.train_labels, share, plan.seed)
        what = f"fine-tuning {name}, {in_percent(share)} of labels"
        sets = split.train_images[chosen], split.train_labels[chosen], split.test_images, split.test_labels
        progress = lambda done, total, what=what: say(f"{what}: step {done} of {total}")  # noqa: E731 - one call
        job = partial(finetune_accuracy, model, *sets, seed=plan.seed, progress=progress, **tuning)
        about = {"features": name, "pool": "mean", "classifier": "fine-tuned", "labels": share}
        yield what, partial(row, about | {"train_images": len(chosen)}, job, split)


def step_jobs(states: dict[str, Sets], split: Split, plan: Plan) -> Iterator[Job]:
    """Every classifier on the state after each step of the descent, with all labels, and with some held out."""
    parts = hold_out(split.train_labels, plan.seed)
    for pool, (train, test) in states.items():
        for step, classifier in product(range(len(train)), plan.classifiers):
            about = {"step": step, "pool": pool, "classifier": classifier}
            job = partial(step_row, about, plan.classifiers[classifier], (train[step], test[step]), split, parts)
            yield f"{classifier} after step {step} of {len(train) - 1}, {pool}", job


def hold_out(labels: Tensor, seed: int) -> Sets:
    """Indices of the training images to learn from while steps are compared, and of those held out to compare by."""
    learned = label_subset(labels, 1 - HELD_OUT, seed)
    held = torch.ones(len(labels), dtype=torch.bool)
    held[learned] = False
    return learned, held.nonzero().flatten()


def step_row(about: dict, accuracy: Classify, features: Sets, split: Split, parts: Sets) -> dict:
    """The accuracy on the test images from all labels; "held_out" is that on held-out training images from the others.

    It is None where no training image can be held out.
    """
    everything = torch.arange(len(split.train_labels))
    found = row(about, partial(classify, accuracy, features, split, everything), split)
    (learned, held), train, labels = parts, features[0], split.train_labels
    known = len(held) > 0
    return found | {"held_out": accuracy(train[learned], labels[learned], train[held], labels[held]) if known else None}


def best_steps(by_step: list[dict]) -> list[dict]:
    """For each classifier and pool the row of the step that reads best on the held-out training images.

    The test images have no part in the choice, so the row's accuracy on them is an honest score of it. Of equal steps
    the first is taken. Nothing for a classifier without held-out images.
    """
    found = []
    for key in dict.fromkeys((entry["classifier"], entry["pool"]) for entry in by_step):
        own = [entry for entry in by_step if (entry["classifier"], entry["pool"]) == key]
        if all(entry["held_out"] is not None for entry in own):
            found.append(max(own, key=lambda entry: entry["held_out"]))
    return found


def classify(accuracy: Classify, features: Sets, split: Split, chosen: Tensor) -> float:
    """The accuracy on the test images of a classifier that learned from the ``chosen`` train images, (n,) int64."""
    train, test = features
    return accuracy(train[chosen], split.train_labels[chosen], test, split.test_labels)


def row(about: dict, job: Callable[[], float], split: Split) -> dict:
    """``about`` with the accuracy on the test images and its interval."""
    accuracy = job()
    low, high = accuracy_interval(accuracy, len(split.test_labels))
    return about | {"accuracy": accuracy, "low": low, "high": high}


class Stages:
    """A progress bar of stages, with what is being measured."""

    def __init__(self, bar: Progress):
        self.bar, self.task = bar, bar.add_task("", total=None, unit="stages")

    def expect(self, count: int) -> None:
        """Set the number of stages."""
        self.bar.update(self.task, total=count)

    def say(self, what: str) -> None:
        """Show what is being measured."""
        self.bar.update(self.task, description=what)

    def do(self, what: str, job: Callable[[], Any]) -> Any:
        """Run one stage and return its result."""
        self.say(what)
        found = job()
        self.bar.advance(self.task)
        return found


# ---- showing -----------------------------------------------------------------------------------------------------


def save_pictures(folder: Path, points: Tensor, by_step: list[dict], split: Split, title: str) -> None:
    """Write features.png, the t-SNE map of the first test images, and steps.png, as far as they were measured."""
    from etviz.plots.features import feature_map, step_accuracy
    from etviz.plots.style import figure_bytes

    if len(points):
        figure = feature_map(points, split.test_labels[: len(points)], split.class_names, title)
        write_bytes(folder / FILES[1], figure_bytes(figure, dpi=150, facecolor="white"))
    if by_step:
        keys = list(dict.fromkeys((entry["classifier"], entry["pool"]) for entry in by_step))
        lines = {f"{c}, {p}": [e for e in by_step if (e["classifier"], e["pool"]) == (c, p)] for c, p in keys}
        accuracies: dict[str, Sequence[float]] = {
            line: [entry["accuracy"] for entry in entries] for line, entries in lines.items()
        }
        intervals: dict[str, Sequence[tuple[float, float]]] = {
            line: [(entry["low"], entry["high"]) for entry in entries] for line, entries in lines.items()
        }
        figure = step_accuracy(accuracies, intervals, len(split.train_labels.unique()))
        write_bytes(folder / FILES[2], figure_bytes(figure, dpi=150, facecolor="white"))


def tsne(features: Tensor, seed: int) -> Tensor:
    """A t-SNE map (n, 2) of features (n, D), by scikit-learn. Raises `UsageError` for fewer than 4 images."""
    from sklearn.manifold import TSNE

    if len(features) < 4:
        raise UsageError(f"A t-SNE map needs at least 4 images, not {len(features)}: set tsne_images=0 for none.")
    layout = TSNE(2, init="pca", perplexity=min(30.0, (len(features) - 1) / 3), random_state=seed)
    return torch.from_numpy(layout.fit_transform(features.numpy()))


def make_tables(result: dict) -> list[Table]:
    """The accuracies; and where there are any by step, the best step of each classifier."""
    return [accuracy_table(result["rows"]), *([step_table(result)] if result["by_step"] else [])]


def accuracy_table(rows: list[dict]) -> Table:
    """Accuracy by features and classifier, a column for each share of labels."""
    shares = list(dict.fromkeys(entry["labels"] for entry in rows))
    table = Table(title="accuracy on test images, % (95% interval)", title_justify="left")
    for name in ("features", "pool", "classifier"):
        table.add_column(name)
    for share in shares:
        table.add_column(f"{in_percent(share)} of labels", justify="right")
    for key in dict.fromkeys((e["features"], e["pool"], e["classifier"]) for e in rows):
        own = {e["labels"]: e for e in rows if (e["features"], e["pool"], e["classifier"]) == key}
        table.add_row(*key, *(percent(own[share]) for share in shares))
    return table


def step_table(result: dict) -> Table:
    """The best step of each classifier beside the first state and the last."""
    caption = f"The best step is chosen on {in_percent(HELD_OUT)} of the training labels, held out."
    table = Table(title="by step of the descent, all labels", caption=caption, title_justify="left")
    for name in ("classifier", "pool", "best step", "there", "first state", "last state"):
        table.add_column(name, justify="left" if name in ("classifier", "pool") else "right")
    for best in result["best_steps"]:
        key = best["classifier"], best["pool"]
        own = [entry for entry in result["by_step"] if (entry["classifier"], entry["pool"]) == key]
        table.add_row(*key, str(best["step"]), percent(best), percent(own[0]), percent(own[-1]))
    return table


def percent(entry: dict) -> str:
    """An accuracy and its interval in percent."""
    return f"{100 * entry['accuracy']:.1f} ({100 * entry['low']:.1f}..{100 * entry['high']:.1f})"


def in_percent(share: float) -> str:
    """0.125 -> "12.5%"."""
    return f"{100 * share:.4g}%"


def _progress_bar() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[unit]}")
    columns = *columns, TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    run(main)
