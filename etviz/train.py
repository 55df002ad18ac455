"""python -m etviz.train dataset=cifar10 [model=et] [experiment=fast] [train.epochs=3 ...] [resume=auto]

Trains a model and keeps the run under outputs/. --help lists every option. Ctrl-C saves; resume=auto goes on.
"""

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only

from etviz import checkpoints, files
from etviz.commands import load_options, run
from etviz.data import Dataset, load_dataset, to_float
from etviz.errors import UsageError
from etviz.metrics import evaluate_model
from etviz.models import MODELS, MaskedImageModel, create_model, model_config
from etviz.options import DataOptions, Name, Options, literal_path, option, section
from etviz.training import (
    LAST,
    STATE,
    ProgressBar,
    TensorBoard,
    TrainConfig,
    abandon,
    check_sizes,
    claim,
    describe_processes,
    fit,
    is_empty,
    make_fabric,
    train_config,
    validation_split,
)

OUTPUTS = Path("outputs")
SHOWN_IMAGES = 8  # in TensorBoard

PARTS = tuple(dict.fromkeys(part for kind in MODELS.values() for part in kind.trained_parts))

say = rank_zero_only(print)  # once, however many processes train together


@dataclass(frozen=True, kw_only=True)
class DatasetOptions(Options):
    """What to train on."""

    section: ClassVar[str] = "dataset."

    name: Name = option(text="path of an .npz archive in MedMNIST's layout, or of a folder of images")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """python -m etviz.train: every option and its default. Groups: dataset=, model=, experiment=."""

    groups: ClassVar[str] = "config"

    data: DataOptions = section(DataOptions)
    train: TrainConfig = section(TrainConfig)
    run: Path | None = option(None, "the run's folder; outputs/<dataset>-<model>-<time> where null")
    resume: Name | None = option(None, "a run's folder, or auto for the unfinished one that saved last")
    test: bool = option(True, "score the best weights on the test split at the end")
    dataset: DatasetOptions = option()
    model: dict = option(names=PARTS)


def main(argv: list[str]) -> None:
    """Train as configured by ``argv``'s overrides; see the module's own text."""
    options = load_options(TrainOptions, argv)
    resumed = None
    name, model_options, recipe = options.dataset.name, options.model, options.train
    if options.resume is not None:
        refuse_overrides(argv)
        resumed = find_run(options.resume)
        saved = saved_options(resumed)
        name, model_options, recipe = str(saved["dataset"]["name"]), saved["model"], train_config(saved["train"])

    said = describe_processes(make_fabric(recipe))  # from here on it is known which process is the first
    if said:
        say(said)
    model_options = model_options | trained_parts(model_options)
    img_size = check_model(model_options)["img_size"]
    dataset = load_dataset(name, options.data.root, img_size, options.data.download)
    model = build_model(model_options, dataset, recipe.seed)
    check_sizes(recipe, model.num_patches, dataset)
    if resumed is not None:
        train(model, dataset, recipe, resumed, resume=True, test=options.test)
        return
    with claimed(options) as folder:
        train(model, dataset, recipe, folder, resume=False, test=options.test)


def check_model(options: dict) -> dict:
    """All of a model's options, checked before any data is read; the data's own mean and deviation come later."""
    return model_config(**{name: value for name, value in options.items() if value is not None})


def build_model(options: dict, dataset: Dataset, seed: int) -> MaskedImageModel:
    """The model, initialised from the seed, with the dataset's own mean and standard deviation unless given."""
    options = dict(options)
    sample = to_float(dataset.train_images[:10_000])
    if options.get("mean") is None:
        options["mean"] = [round(v, 4) for v in sample.mean(dim=(0, 2, 3)).tolist()]
    if options.get("std") is None:
        options["std"] = [round(max(v, 1e-3), 4) for v in sample.std(dim=(0, 2, 3)).tolist()]
    torch.manual_seed(seed)
    return create_model(options.pop("name"), **options)


def trained_parts(options: dict) -> dict:
    """The options that take another trained model, with that model loaded.

    A resumed run gives such a part's configuration instead: its weights are among the run's own.

    Raises:
        UsageError: none was named.
    """
    name, parts = str(options.get("name")), {}
    for part in getattr(MODELS.get(name), "trained_parts", ()):
        if options.get(part) is None:
            raise UsageError(
                f"{name} needs a trained {part}: make one by python -m etviz.train model={part} run=FOLDER, "
                f"then give model.{part}=FOLDER."
            )
        if not isinstance(options[part], dict):
            trained = checkpoints.load_model(str(options[part]))
            parts[part] = getattr(trained, part, trained)  # a model that stands on such a part lends it
    return parts


def train(
    model: MaskedImageModel, dataset: Dataset, recipe: TrainConfig, folder: Path | None, *, resume: bool, test: bool
) -> None:
    """Fit with a progress bar and TensorBoard, then test the best weights once."""
    _, held_out = validation_split(dataset, recipe)
    shown = to_float(dataset.train_images[held_out[:SHOWN_IMAGES]])
    counts = f"{len(dataset.train_images):,} images to train on and {len(dataset.test_images):,} to test on"
    say(f"{dataset.name}: {counts}, in {len(dataset.class_names):,} classes")
    say(f"Training {model.name} on {dataset.name}, run folder {folder}")
    try:
        state = fit(model, dataset, recipe, folder, [ProgressBar(), TensorBoard(shown, recipe.ratio)], resume=resume)
    except KeyboardInterrupt:
        say(f"\nStopped and saved. To go on: python -m etviz.train resume={folder}")
        sys.exit(130)
    if state.skipped:
        say(f"{state.skipped} of {state.total_steps} steps had no finite gradient, and were left out.")
    if test and folder is not None:  # where it is None, another process tests
        test_best(folder, dataset)


@rank_zero_only
def test_best(folder: Path, dataset: Dataset) -> None:
    """Masked MSE and PSNR of the best weights on the whole test split, into the card."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = checkpoints.load_model(folder).to(device)
    scores = evaluate_model(model, dataset.test_images.to(device))
    card = checkpoints.load_card(folder)
    test = {**scores, "images": len(dataset.test_images), "mask_seed": 0, "ratio": 0.85}
    card["metrics"] = card.get("metrics", {}) | {"test": test}
    if (ceiling := model.ceiling()) is not None:
        card["metrics"]["ceiling"] = evaluate_model(ceiling, dataset.test_images.to(device))
    checkpoints.write_card(folder, card)
    mse, psnr = scores["masked_mse"], scores["masked_psnr"]
    print(f"Best weights on the test split: masked MSE {mse:.5f}, masked PSNR {psnr:.2f} dB")


@contextlib.contextmanager
def claimed(options: TrainOptions) -> Iterator[Path | None]:
    """`new_run`'s folder, for this process alone; removed if the training is refused before it wrote anything.

    Raises:
        UsageError: the folder asked for holds files, cannot be made, or another process trains in it.
    """
    folder = new_run(options)
    if folder is None:
        yield None
        return
    with claim(folder):
        if not is_empty(folder):  # even a run killed early left what would mix with the new one
            raise UsageError(
                f"{str(folder)!r} holds files already: choose another run=, or go on with resume={folder}."
            )
        try:
            yield folder
        except UsageError:
            abandon(folder)
            raise


@rank_zero_only
def new_run(options: TrainOptions) -> Path:
    """A folder for the run: as asked, else outputs/<dataset>-<model>-<time>, and -2, -3, ... where that is taken."""
    if options.run is None:
        dataset = Path(options.dataset.name).stem[:60]
        return _first_free(OUTPUTS / f"{dataset}-{options.model['name']}-{time.strftime('%Y%m%d-%H%M%S')}")
    return files.make_folder(options.run)


def _first_free(folder: Path) -> Path:
    """``folder`` or its next number, made by nobody else: making it is what claims it."""
    files.make_folder(folder.parent)
    for name in itertools.chain([folder.name], (f"{folder.name}-{i}" for i in itertools.count(2))):
        with contextlib.suppress(FileExistsError):
            folder.with_name(name).mkdir()
            return folder.with_name(name)
    raise AssertionError("there is always a next number")


def saved_options(folder: Path) -> dict:
    """The options that a run was started with. Raises `UsageError` where its configuration lacks a section."""
    saved = checkpoints.read_config(folder)
    if not {"dataset", "train"} <= saved.keys() or "name" not in saved["dataset"]:
        raise UsageError(f"The {checkpoints.CONFIG} of {str(folder)!r} does not say what and how it was trained.")
    return saved


def find_run(resume: str) -> Path:
    """The folder to resume: as named, or with "auto" the unfinished one under outputs/ that saved last."""
    if resume != "auto":
        folder = literal_path(resume)
        if not os.path.isdir(folder / LAST):
            raise UsageError(f"There is no run to resume in {resume!r}: it has no {LAST}/ folder.")
        return folder
    saved = sorted(OUTPUTS.glob(f"*/{LAST}/{STATE}"), key=lambda p: p.stat().st_mtime)
    unfinished = [state for state in saved if not is_finished(state)]
    if not unfinished:
        raise UsageError(f"There is no run to resume under {str(OUTPUTS)!r}: start one without resume=auto.")
    return unfinished[-1].parent.parent


def is_finished(state: Path) -> bool:
    """Whether a run's last state is that of its last step."""
    metadata = checkpoints.read_metadata(state)
    return metadata.get("step") == metadata.get("total_steps")


def refuse_overrides(argv: list[str]) -> None:
    """A resumed run keeps its own configuration; raise `UsageError` for overrides that would be ignored."""
    allowed = ("resume=", "data.", "test=")
    for override in argv:
        if not override.startswith(allowed):
            raise UsageError(f"A resumed run keeps its own configuration: leave out {override!r}.")


if __name__ == "__main__":
    run(main)
