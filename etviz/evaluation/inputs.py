"""What an evaluation starts from: checkpoints, the split to score them on, and the metrics that have their weights."""

import sys
from collections.abc import Sequence

from etviz.checkpoints import list_checkpoints, load_card, load_config
from etviz.commands import check_named_once
from etviz.data import Dataset, load_dataset
from etviz.errors import UsageError
from etviz.evaluation.perceptual import load_meters, missing_sentence
from etviz.evaluation.trainings import group_trainings
from etviz.metrics import Meter
from etviz.models import MODELS, MaskedImageModel
from etviz.options import DataOptions, Name, WeightsOptions, check_option
from etviz.plots.style import LINES


def load_test_split(name: str | None, data: DataOptions, checkpoint: str, model: MaskedImageModel) -> Dataset:
    """The dataset ``name``, or the one that the checkpoint was trained on if None, at the model's size."""
    found = check_option("dataset", name or trained_on(checkpoint), Name)
    return load_dataset(found, data.root, model.img_size, data.download)


def load_shared_split(name: str | None, data: DataOptions, models: dict[str, MaskedImageModel]) -> Dataset:
    """`load_test_split` for several models, by checkpoint name, which have to take the same images and masks."""
    first, *others = models
    for other in others:
        if name is None and trained_on(other) != trained_on(first):
            raise UsageError(f"{first!r} and {other!r} were trained on different images: name one, as dataset=cifar10.")
        sizes = [(models[key].img_size, models[key].num_patches) for key in (first, other)]
        if sizes[0] != sizes[1]:
            raise UsageError(f"{first!r} and {other!r} cut images into different patches: no mask fits both.")
    return load_test_split(name, data, first, models[first])


def trained_on(checkpoint: str) -> str:
    """The name by which `load_dataset` finds a checkpoint's dataset: from its configuration, or from its card."""
    section = load_config(checkpoint).get("dataset", {})
    name = section.get("name") or load_card(checkpoint).get("dataset")
    if name is None:
        raise UsageError("The checkpoint does not say what it was trained on: name a dataset, as dataset=cifar10.")
    return name


def find_meters(
    lpips: Sequence[str], fid: bool, weights: WeightsOptions, require: bool, device
) -> tuple[list[Meter], dict[str, str]]:
    """LPIPS and FID as far as their weights are there, and the missing file of each of the others, by title.

    Raises:
        UsageError: weights are missing although they are required.
    """
    meters, missing = load_meters(list(lpips), fid, weights.root, weights.download, device)
    if missing and require:
        raise UsageError(missing_sentence(missing))
    if missing:
        print(missing_sentence(missing), file=sys.stderr)
    return [*meters], {error.title: error.file for error in missing}


def chosen(names: Sequence[str] | None, dataset: str) -> dict[str, list[str]]:
    """The checkpoints asked for, or else all shipped ones that were trained on the dataset and fill in hidden patches.

    Returns:
        Groups of trainings that differ in their seed alone, as `group_trainings` makes them.

    Raises:
        UsageError: there are none, one is named twice, or there are more groups than a figure can show.
    """
    if names is None:
        found = [name for name in list_checkpoints() if load_card(name).get("dataset") == dataset and _fills_in(name)]
    else:
        found = list(names)
    if not found:
        raise UsageError(f"No shipped checkpoint was trained on {dataset}: name some, as checkpoints=[NAME,NAME].")
    check_named_once(found)
    groups = group_trainings(found) if len(found) > 1 else {name: [name] for name in found}
    if len(groups) > len(LINES):
        some = ",".join(found[:2])
        raise UsageError(
            f"A figure can tell {len(LINES)} models apart, not {len(groups)}: name some, as checkpoints=[{some}]."
        )
    return groups


def _fills_in(name: str) -> bool:
    """Whether a checkpoint is a masked image model, not a tokenizer. An unknown model passes here, and fails later."""
    kind = MODELS.get(load_config(name)["model"]["name"])
    return kind is None or not kind.sees_hidden_patches


def trained(name: str, model: MaskedImageModel) -> dict:
    """How a checkpoint was trained: its card, and its ``ratio``, the share of patches hidden, and ``seed``.

    Each of the two is None where its configuration does not say. The ratio is "mixture" for masks of all shares.
    """
    recipe = load_config(name).get("train") or {}
    ratio = "mixture" if recipe.get("masks") == "mixture" else recipe.get("ratio")
    return load_card(name) | {"ratio": model.own_ratio or ratio, "seed": recipe.get("seed")}
