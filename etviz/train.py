"""python -m etviz.train dataset=cifar10 [model=et] [experiment=fast] [train.epochs=3 ...] [resume=auto]

Trains a model and keeps the run under outputs/. --help lists every option. Ctrl-C saves; resume=auto goes on.
"""

import sys
import time
from pathlib import Path

import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only

from etviz import checkpoints
from etviz.callbacks import ProgressBar, TensorBoard
from etviz.commands import load_config, run
from etviz.data import Dataset, load_dataset, to_float
from etviz.errors import UsageError
from etviz.metrics import evaluate_model
from etviz.models import MODELS, MaskedImageModel, create_model
from etviz.training import LAST, TrainConfig, fit, train_config, validation_split

OUTPUTS = Path("outputs")
SHOWN_IMAGES = 8  # in TensorBoard

say = rank_zero_only(print)  # once, however many processes train together


def main(argv: list[str]) -> None:
    """Train as configured by ``argv``'s overrides; see the module's own text."""
    config = load_config("config", argv)
    if config["resume"]:
        folder = find_run(config["resume"])
        refuse_overrides(argv)
        saved = checkpoints.load_config(folder)
        model_options, dataset_options, train_options = saved["model"], saved["dataset"], saved["train"]
    else:
        folder = new_run(config)
        model_options, dataset_options, train_options = config["model"], config["dataset"], config["train"]

    recipe = train_config(train_options)
    img_size = model_options.get("img_size", 32)
    root, download = config["data"]["root"], config["data"]["download"]
    dataset = load_dataset(dataset_options["name"], root, img_size, download)
    dataset.name = dataset_options["name"]
    model = build_model(model_options, dataset, recipe.seed)
    train(model, dataset, recipe, folder, resume=bool(config["resume"]), test=config["test"])


def build_model(options: dict, dataset: Dataset, seed: int) -> MaskedImageModel:
    """The model, initialised from the seed, with the dataset's own mean and standard deviation unless given."""
    options = dict(options)
    if options.get("mean") is None or options.get("std") is None:
        sample = to_float(dataset.train_images[:10_000])
        options["mean"] = [round(v, 4) for v in sample.mean(dim=(0, 2, 3)).tolist()]
        options["std"] = [round(max(v, 1e-3), 4) for v in sample.std(dim=(0, 2, 3)).tolist()]
    name = options.pop("name")
    options |= trained_parts(name, options)
    torch.manual_seed(seed)
    return create_model(name, **options)


def trained_parts(name: str, options: dict) -> dict:
    """The options that take another trained model, with that model loaded.

    A resumed run gives such a part's configuration instead: its weights are among the run's own.

    Raises:
        UsageError: none was named.
    """
    parts = {}
    for part in getattr(MODELS.get(name), "trained_parts", ()):
        if options.get(part) is None:
            raise UsageError(
                f"{name} needs a trained {part}: make one by python -m etviz.train model={part} run=FOLDER, "
                f"then give model.{part}=FOLDER."
            )
        if not isinstance(options[part], dict):
            parts[part] = checkpoints.load_model(str(options[part]))
    return parts


def train(
    model: MaskedImageModel, dataset: Dataset, recipe: TrainConfig, folder: Path, resume: bool, test: bool
) -> None:
    """Fit with a progress bar and TensorBoard, then test the best weights once."""
    _, held_out = validation_split(dataset, recipe)
    shown = to_float(dataset.train_images[held_out[:SHOWN_IMAGES]])
    say(f"Training {model.name} on {dataset.name}, run folder {folder}")
    try:
        fit(model, dataset, recipe, folder, [ProgressBar(), TensorBoard(shown, recipe.ratio)], resume)
    except KeyboardInterrupt:
        say(f"\nStopped and saved. To go on: python -m etviz.train resume={folder}")
        sys.exit(130)
    if test:
        test_best(folder, dataset)


@rank_zero_only
def test_best(folder: Path, dataset: Dataset) -> None:
    """Masked MSE and PSNR of the best weights on the whole test split, into the card."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = checkpoints.load_model(folder).to(device)
    scores = evaluate_model(model, dataset.test_images.to(device))
    card = checkpoints.load_card(folder)
    card["metrics"]["test"] = {**scores, "images": len(dataset.test_images), "mask_seed": 0, "ratio": 0.85}
    if model.ceiling() is not None:
        card["metrics"]["ceiling"] = evaluate_model(model.ceiling(), dataset.test_images.to(device))
    checkpoints.write_card(folder, card)
    mse, psnr = scores["masked_mse"], scores["masked_psnr"]
    print(f"Best weights on the test split: masked MSE {mse:.5f}, masked PSNR {psnr:.2f} dB")


def new_run(config: dict) -> Path:
    """The run's folder: as asked, else outputs/<dataset>-<model>-<time>. Raises `UsageError` where it holds a run."""
    dataset = Path(config["dataset"]["name"]).stem
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = Path(config["run"] or OUTPUTS / f"{dataset}-{config['model']['name']}-{stamp}")
    if folder.is_dir() and any(folder.iterdir()):  # even a run killed early left snapshots that would mix with new ones
        raise UsageError(f"{str(folder)!r} holds files already: choose another run=, or go on with resume={folder}.")
    return folder


def find_run(resume: str) -> Path:
    """The folder to resume: as named, or with "auto" the one under outputs/ that saved last."""
    if resume != "auto":
        if not (Path(resume) / LAST).is_dir():
            raise UsageError(f"There is no run to resume in {resume!r}: it has no {LAST}/ folder.")
        return Path(resume)
    saved = sorted(OUTPUTS.glob(f"*/{LAST}/*.safetensors"), key=lambda p: p.stat().st_mtime)
    if not saved:
        raise UsageError(f"There is no run to resume under {str(OUTPUTS)!r}: start one without resume=auto.")
    return saved[-1].parent.parent


def refuse_overrides(argv: list[str]) -> None:
    """A resumed run keeps its own configuration; raise `UsageError` for overrides that would be ignored."""
    allowed = ("resume=", "data.", "test=")
    for override in argv:
        if not override.startswith(allowed):
            raise UsageError(f"A resumed run keeps its own configuration: leave out {override!r}.")


if __name__ == "__main__":
    run(main)
