"""Several models on the same images and masks: what `python -m etviz.compare` measures, as numbers."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from etviz.data import Dataset, to_float
from etviz.errors import UsageError
from etviz.evaluation.costs import costs, training_step
from etviz.evaluation.features import extract_features, knn_labels, linear_labels
from etviz.evaluation.scores import Evaluation
from etviz.evaluation.timing import median_seconds
from etviz.inpainting import FLOORS
from etviz.metrics import Meter, Progress, Reconstruct, evaluation_masks, measure, summarize
from etviz.models import MaskedImageModel

SPEED_BATCH, SPEED_CALLS, SPEED_SECONDS = 64, 3, 1.0  # images at once; calls and seconds of timing, at least


@dataclass(kw_only=True)
class Split:
    """The images and masks that every model and floor is measured on."""

    images: Tensor  # (n, C, S, S) uint8, test images
    labels: Tensor  # (n,)
    masks: Tensor  # (n, N) bool
    ratio: float  # share of patches hidden
    mask_seed: int
    train_images: Tensor  # (m, C, S, S) uint8, for the probes alone
    train_labels: Tensor  # (m,)


def make_split(dataset: Dataset, ratio: float, num_patches: int, *, seed: int, images: int | None, probe: int) -> Split:
    """The first ``images`` test images (None: all) under `evaluation_masks`, and ``probe`` images to probe with."""
    test = dataset.test_images[:images]
    return Split(
        images=test,
        labels=dataset.test_labels[:images],
        masks=evaluation_masks(len(test), ratio, num_patches, seed),
        ratio=ratio,
        mask_seed=seed,
        train_images=dataset.train_images[:probe],
        train_labels=dataset.train_labels[:probe],
    )


def measure_floor(
    name: str,
    split: Split,
    progress: Progress | None = None,
    meters: Sequence[Meter] = (),
    device: torch.device | str = "cpu",
) -> Evaluation:
    """One of `etviz.inpainting.FLOORS`, which learn nothing. ``device`` is that of the meters."""
    return quality(name, FLOORS[name], split, meters, device=device, progress=progress)


def measure_checkpoint(
    name: str,
    model: MaskedImageModel,
    card: dict,
    split: Split,
    *,
    progress: Progress | None = None,
    meters: Sequence[Meter] = (),
) -> Evaluation:
    """Quality, features, costs and speed of one model.

    Args:
        name, card: of its checkpoint.
        model: on the device of the ``meters``.
        split: what it is measured on.
        progress: as in `etviz.metrics.measure`.
        meters: LPIPS and FID, as `etviz.evaluation.perceptual.load_meters` gives them.

    Raises:
        UsageError: the model sees what is hidden, or the masks are made for another number of patches.
    """
    if model.sees_hidden_patches:
        raise UsageError(f"{name} is an autoencoder, which sees what is hidden: it cannot be compared.")
    if model.num_patches != split.masks.shape[1]:
        raise UsageError(f"{name} has {model.num_patches} patches, and the masks have {split.masks.shape[1]}.")
    found = quality(name, model.reconstruct, split, meters, device=model.device, progress=progress)
    found.correct = probe(model, split)
    found.costs = costs(copy.deepcopy(model), SPEED_BATCH) | speeds(model, split)
    found.card = card
    found.ceiling = ceiling_of(model, split)
    return found


def quality(name: str, fill: Reconstruct, split: Split, meters: Sequence[Meter] = (), **settings) -> Evaluation:
    """The metrics of one way to fill in hidden patches; ``settings`` are those of `etviz.metrics.measure`."""
    values = measure(fill, split.images, split.masks, meters=meters, **settings)
    return Evaluation.of(name, values, ratio=split.ratio, mask_seed=split.mask_seed, meters=meters)


def probe(model: MaskedImageModel, split: Split) -> dict[str, Tensor]:
    """Which test images k-NN and a linear probe label correctly, (n,) 0 or 1 each.

    Both learn from the mean of the patch tokens with nothing hidden.
    """
    train, test = extract_features(model, split.train_images), extract_features(model, split.images)
    found = {"knn": knn_labels, "linear": linear_labels}
    return {name: (f(train, split.train_labels, test) == split.labels).double() for name, f in found.items()}


def ceiling_of(model: MaskedImageModel, split: Split) -> float | None:
    """Masked PSNR in dB of the tokenizer that a model draws with, which encodes the unmasked images; None without one.

    It is the tokenizer's own error, with every code right. It does not bound a model that draws with the expected code
    (``decoding="expected"``), since that may lie between codes.
    """
    tokenizer = model.ceiling()
    if tokenizer is None:
        return None
    values = measure(tokenizer.reconstruct, split.images, split.masks, device=tokenizer.device, include_ssim=False)
    return summarize(values)["masked_psnr"]


def speeds(model: MaskedImageModel, split: Split) -> dict[str, float]:
    """Images/s rebuilt and trained on, in batches in float32; on a CPU by the process's own time, of all its threads.

    Both are measured here, one model after another. The training speeds on the cards depend on what else those machines
    did.
    """
    batch = to_float(split.images[:SPEED_BATCH].to(model.device))
    mask = split.masks[:SPEED_BATCH].to(model.device)
    learner = copy.deepcopy(model).train()
    tasks = {
        "images_per_second": lambda: model.reconstruct(batch, mask),
        "trained_per_second": training_step(learner, learner.loss, batch, mask),
    }
    timing = {"device": model.device, "seconds": SPEED_SECONDS, "calls": SPEED_CALLS, "own": True}
    return {name: len(batch) / median_seconds(task, **timing) for name, task in tasks.items()}
