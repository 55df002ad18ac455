"""python -m etviz.probe NAME [labels=[0.01,0.1,1]] [by_step=true] [finetune_steps=200] [out=FOLDER]

Classes read from the features of a model with nothing hidden: by k nearest neighbours, by a linear probe and by
fine-tuning, from a few labels and from all, beside an untrained model and raw pixels; and after which step of the
descent they are read best. Every accuracy has Wilson's 95% interval over the test images. The table and the progress
bar go to stderr and the JSON to stdout. --help lists every option.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import Tensor

import etviz
from etviz.checkpoints import make_folder, write_bytes, write_text
from etviz.commands import load_named, path_option, pick_device, run, whole_number
from etviz.data import Dataset
from etviz.errors import UsageError
from etviz.evaluate import load_test_split
from etviz.evaluation import dump
from etviz.finetuning import finetune_accuracy
from etviz.models import MaskedImageModel, create_model
from etviz.models.base import POOLS
from etviz.provenance import provenance
from etviz.representation import (
    accuracy_interval,
    extract_features,
    features_by_step,
    knn_accuracy,
    label_subset,
    linear_accuracy,
)

FILES = ("probe.json", "features.png", "steps.png")
UNTRAINED, PIXELS = "untrained", "pixels"
Tell = Callable[[str], None]  # what is being measured


@dataclass(frozen=True)
class Split:
    """What is learned from, and what is tested on."""

    train_images: Tensor  # (n, C, S, S) uint8
    train_labels: Tensor  # (n,)
    test_images: Tensor  # (m, C, S, S)
    test_labels: Tensor  # (m,)
    class_names: list[str]


def main(argv: list[str]) -> None:
    """Probe as ``argv``'s options say; see the module's own text."""
    config = read_options(argv)
    folder = None if config["out"] is None else result_folder(config["out"], config["force"])
    steps, shown = (whole_number(name, config[name]) for name in ("finetune_steps", "tsne_images"))
    seed, neighbours = whole_number("seed", config["seed"]), whole_number("neighbours", config["neighbours"], least=1)
    shares = label_shares(config["labels"])
    name, device = str(config["checkpoint"]), pick_device(config["device"])
    model = etviz.load_model(name).to(device)
    split = make_split(config, load_test_split(config, model))
    models = {name: model} | ({UNTRAINED: untrained(model, seed).to(device)} if config["floors"] else {})
    classifiers = {"k-NN": partial(knn_accuracy, neighbours=neighbours), "linear": linear_accuracy}
    with _progress_bar() as bar:
        task = bar.add_task("", total=None)
        tell = lambda what: bar.update(task, description=what)  # noqa: E731 - one line
        rows = read_features(models, config["floors"], split, shares, classifiers, seed, tell)
        rows += finetuned(models, split, shares, steps, seed, tell) if steps else []
        by_step = read_steps(model, split, classifiers, tell) if config["by_step"] and hasattr(model, "trace") else []
        result = {"model": model.name, "rows": rows, "by_step": by_step, "options": config} | provenance(device)
        if folder is not None:
            draw(folder, name, model, split, by_step, shown, seed, tell)
            write_text(folder / FILES[0], dump(result) + "\n")
    Console(stderr=True).print(*make_tables(result), sep="\n")
    print(dump(result))


# ---- options -----------------------------------------------------------------------------------------------------


def read_options(argv: list[str]) -> dict:
    """The options; the checkpoint may be named without checkpoint=. Raises `UsageError` for more than one."""
    config, names = load_named("commands/probe", argv, flags=("force",))
    if len(names) > 1:
        raise UsageError(f"One checkpoint is probed at a time: {names[1]!r} is one too many.")
    return config


def result_folder(name, force: bool):
    """A folder for the results. Raises `UsageError` where it holds some already, unless they are to be replaced."""
    folder = path_option("out", name)
    if not force and any((folder / file).exists() for file in FILES):
        raise UsageError(f"{str(folder)!r} holds results already: choose another out=, or replace them by --force.")
    return make_folder(folder)


def label_shares(values) -> list[float]:
    """Shares of labels, each above 0 and at most 1."""
    for value in values or [None]:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
            raise UsageError(f"labels takes shares above 0 and at most 1, as [0.01,0.1,1], not {value!r}.")
    return [float(value) for value in values]


def make_split(config: dict, dataset: Dataset) -> Split:
    """As many images as the options ask for."""
    train, test = (
        None if config[name] is None else whole_number(name, config[name], least=2)
        for name in ("train_images", "images")
    )
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
    """A model of the same sizes with fresh weights; parts that were trained before it are fresh too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create_model(model.name, **model.config).eval()


def pools_of(model: MaskedImageModel) -> list[str]:
    """The ways in which its tokens can be pooled."""
    blank = torch.zeros(1, model.in_chans, model.img_size, model.img_size, device=model.mean.device)
    with torch.no_grad():
        has_cls = model.encode(blank)[0] is not None
    return list(POOLS) if has_cls else ["mean"]


def read_features(
    models: dict[str, MaskedImageModel],
    pixels: bool,
    split: Split,
    shares: list[float],
    classifiers: dict[str, Callable[..., float]],
    seed: int,
    tell: Tell,
) -> list[dict]:
    """Every classifier on every kind of features, and on raw pixels where that is wished, from each share of labels."""
    rows = []
    sources = [(name, pool) for name, model in models.items() for pool in pools_of(model)]
    for name, pool in [*sources, *([(PIXELS, "none")] if pixels else [])]:
        tell(f"features of {name}, {pool}")
        if name == PIXELS:
            train, test = (images.flatten(1).float() / 255 for images in (split.train_images, split.test_images))
        else:
            train, test = (
                extract_features(models[name], i, pool=pool) for i in (split.train_images, split.test_images)
            )
        for share in shares:
            chosen = label_subset(split.train_labels, share, seed)
            for classifier, accuracy in classifiers.items():
                tell(f"{classifier} on {name}, {pool}, {share:.0%} of labels")
                found = accuracy(train[chosen], split.train_labels[chosen], test, split.test_labels)
                rows.append(row(name, pool, classifier, share, len(chosen), found, split))
    return rows


def finetuned(
    models: dict[str, MaskedImageModel], split: Split, shares: list[float], steps: int, seed: int, tell: Tell
) -> list[dict]:
    """Fine-tuning of every model on each share of labels."""
    rows = []
    for name, model in models.items():
        for share in shares:
            chosen = label_subset(split.train_labels, share, seed)
            say = lambda done, total, name=name, share=share: tell(  # noqa: E731 - one call
                f"fine-tuning {name}, {share:.0%} of labels: step {done} of {total}"
            )
            sets = split.train_images[chosen], split.train_labels[chosen], split.test_images, split.test_labels
            found = finetune_accuracy(model, *sets, steps=steps, seed=seed, progress=say)
            rows.append(row(name, "mean", "fine-tuned", share, len(chosen), found, split))
    return rows


def row(features: str, pool: str, classifier: str, share: float, learned: int, accuracy: float, split: Split) -> dict:
    """One accuracy, with what it was measured of."""
    what = {"features": features, "pool": pool, "classifier": classifier, "labels": share, "train_images": learned}
    return what | scored(accuracy, split)


def scored(accuracy: float, split: Split) -> dict[str, float]:
    """An accuracy on the test images, and its interval."""
    low, high = accuracy_interval(accuracy, len(split.test_labels))
    return {"accuracy": accuracy, "low": low, "high": high}


def read_steps(model: MaskedImageModel, split: Split, classifiers: dict[str, Callable], tell: Tell) -> list[dict]:
    """Every classifier on the state after each step of the descent, with all labels."""
    rows = []
    for pool in pools_of(model):
        tell(f"features by step, {pool}")
        train, test = (features_by_step(model, images, pool=pool) for images in (split.train_images, split.test_images))
        for step in range(len(train)):
            for classifier, accuracy in classifiers.items():
                tell(f"{classifier} after step {step} of {len(train) - 1}, {pool}")
                found = accuracy(train[step], split.train_labels, test[step], split.test_labels)
                rows.append({"step": step, "pool": pool, "classifier": classifier} | scored(found, split))
    return rows


# ---- showing -----------------------------------------------------------------------------------------------------


def draw(folder, name: str, model, split: Split, by_step: list[dict], shown: int, seed: int, tell: Tell) -> None:
    """features.png, the t-SNE map of the first test images, and steps.png where there are steps."""
    from etviz.plots.features import feature_map, step_accuracy
    from etviz.plots.style import figure_bytes

    if shown:
        tell("t-SNE")
        features = extract_features(model, split.test_images[:shown])
        points, title = tsne(features, seed), f"t-SNE of {name}'s features of {len(features)} test images"
        figure = feature_map(points, split.test_labels[:shown], split.class_names, title)
        write_bytes(folder / FILES[1], figure_bytes(figure, dpi=150, facecolor="white"))
    if by_step:
        keys = list(dict.fromkeys((entry["classifier"], entry["pool"]) for entry in by_step))
        lines = {f"{c}, {p}": [e for e in by_step if (e["classifier"], e["pool"]) == (c, p)] for c, p in keys}
        accuracies = {line: [entry["accuracy"] for entry in entries] for line, entries in lines.items()}
        intervals = {line: [(entry["low"], entry["high"]) for entry in entries] for line, entries in lines.items()}
        figure = step_accuracy(accuracies, intervals, len(split.train_labels.unique()))
        write_bytes(folder / FILES[2], figure_bytes(figure, dpi=150, facecolor="white"))


def tsne(features: Tensor, seed: int) -> Tensor:
    """Features (n, D) laid out in the plane (n, 2) by scikit-learn's t-SNE. Raises `UsageError` for fewer than 4."""
    from sklearn.manifold import TSNE

    if len(features) < 4:
        raise UsageError(f"A t-SNE map needs at least 4 images, not {len(features)}: set tsne_images=0 for none.")
    layout = TSNE(2, init="pca", perplexity=min(30.0, (len(features) - 1) / 3), random_state=seed)
    return torch.from_numpy(layout.fit_transform(features.numpy()))


def make_tables(result: dict) -> list[Table]:
    """Accuracy by features and classifier, a column for each share of labels; and the best step of each classifier."""
    shares = list(dict.fromkeys(entry["labels"] for entry in result["rows"]))
    table = Table(title="accuracy on test images, % (95% interval)", title_justify="left")
    for name in ("features", "pool", "classifier"):
        table.add_column(name)
    for share in shares:
        table.add_column(f"{share:.0%} of labels", justify="right")
    keys = list(dict.fromkeys((e["features"], e["pool"], e["classifier"]) for e in result["rows"]))
    for key in keys:
        own = {e["labels"]: e for e in result["rows"] if (e["features"], e["pool"], e["classifier"]) == key}
        table.add_row(*key, *(percent(own[share]) for share in shares))
    if not result["by_step"]:
        return [table]
    best = Table(title="by step of the descent, all labels", title_justify="left")
    for name in ("classifier", "pool", "best step", "there", "first state", "last state"):
        best.add_column(name, justify="left" if name in ("classifier", "pool") else "right")
    for classifier, pool in dict.fromkeys((e["classifier"], e["pool"]) for e in result["by_step"]):
        own = [e for e in result["by_step"] if (e["classifier"], e["pool"]) == (classifier, pool)]
        top = max(own, key=lambda entry: entry["accuracy"])
        best.add_row(classifier, pool, str(top["step"]), percent(top), percent(own[0]), percent(own[-1]))
    return [table, best]


def percent(entry: dict) -> str:
    """An accuracy and its interval in percent."""
    return f"{100 * entry['accuracy']:.1f} ({100 * entry['low']:.1f}..{100 * entry['high']:.1f})"


def _progress_bar() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    run(main)
