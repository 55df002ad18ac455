"""Several models on the same images and masks: what `python -m etviz.compare` measures, as numbers."""

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from etviz import inpainting
from etviz.data import Dataset, to_float
from etviz.errors import UsageError
from etviz.evaluation.costs import costs, training_step
from etviz.evaluation.features import extract_features, knn_accuracy, linear_accuracy
from etviz.metrics import Meter, Progress, Reconstruct, evaluation_masks, measure, standard_error, summarize
from etviz.models import MaskedImageModel

FLOORS = {"visible mean": inpainting.mean_fill, "Navier-Stokes": inpainting.navier_stokes_fill}
SPEED_BATCH, SPEED_REPEATS, SPEED_SECONDS = 64, 5, 1.0  # images at once; calls and seconds of timing, at least
SURE = 2.0  # standard errors, from which on a difference is called one


@dataclass(kw_only=True)
class Entry:
    """One model, or one way to fill in without any, as measured."""

    name: str
    errors: Tensor  # (n,) float64, masked MSE of each image
    metrics: dict[str, float]  # `etviz.metrics.summarize`'s
    accuracy: dict[str, float] = field(default_factory=dict)  # knn and linear, 0 to 1; none for a floor
    costs: dict = field(default_factory=dict)  # `etviz.evaluation.costs.costs`'s, and images/s rebuilt and trained on
    card: dict = field(default_factory=dict)  # how it was trained; ratio: the share of patches hidden meanwhile
    ceiling: float | None = None  # masked PSNR in dB with every code right, of a model that draws with codes


@dataclass(kw_only=True)
class Split:
    """What all are measured on."""

    images: Tensor  # (n, C, S, S) uint8, test images
    labels: Tensor  # (n,)
    masks: Tensor  # (n, N) bool
    train_images: Tensor  # (m, C, S, S) uint8, for the probes alone
    train_labels: Tensor  # (m,)


def make_split(dataset: Dataset, ratio: float, num_patches: int, *, seed: int, images: int | None, probe: int) -> Split:
    """The first ``images`` test images (None: all) under `evaluation_masks`, and ``probe`` images to probe with."""
    test = dataset.test_images[:images]
    return Split(
        images=test,
        labels=dataset.test_labels[:images],
        masks=evaluation_masks(len(test), ratio, num_patches, seed),
        train_images=dataset.train_images[:probe],
        train_labels=dataset.train_labels[:probe],
    )


def measure_floor(
    name: str,
    split: Split,
    progress: Progress | None = None,
    meters: Sequence[Meter] = (),
    device: torch.device | str = "cpu",
) -> Entry:
    """One of `FLOORS`, which learns nothing; the device is the meters'."""
    errors, metrics = quality(FLOORS[name], split, device, progress, meters)
    return Entry(name=name, errors=errors, metrics=metrics)


def measure_model(
    name: str,
    model: MaskedImageModel,
    card: dict,
    split: Split,
    *,
    progress: Progress | None = None,
    meters: Sequence[Meter] = (),
) -> Entry:
    """Everything about one model.

    Args:
        name, card: of its checkpoint.
        model: on the device of the ``meters``.
        split: what it is measured on.
        progress: as in `etviz.metrics.measure`.
        meters: LPIPS and FID, as `etviz.evaluation.perceptual.load_meters` gives them.

    Raises:
        UsageError: it sees what is hidden, or cuts images into other patches than the masks are made for.
    """
    if model.sees_hidden_patches:
        raise UsageError(f"{name} is an autoencoder, which sees what is hidden: it cannot be compared.")
    if model.num_patches != split.masks.shape[1]:
        raise UsageError(f"{name} has {model.num_patches} patches, and the masks have {split.masks.shape[1]}.")
    errors, metrics = quality(model.reconstruct, split, model.device, progress, meters)
    return Entry(
        name=name,
        errors=errors,
        metrics=metrics,
        accuracy=probe(model, split),
        costs=costs(copy.deepcopy(model), SPEED_BATCH) | speeds(model, split),
        card=card,
        ceiling=ceiling_of(model, split),
    )


def quality(
    fill: Reconstruct,
    split: Split,
    device: torch.device | str,
    progress: Progress | None,
    meters: Sequence[Meter],
) -> tuple[Tensor, dict[str, float]]:
    """Masked MSE of each image, and the metrics of all together."""
    values = measure(fill, split.images, split.masks, device=device, progress=progress, meters=meters)
    return values["masked_mse"], summarize(values, meters)


def probe(model: MaskedImageModel, split: Split) -> dict[str, float]:
    """Accuracies of the two simplest classifiers on the mean of the patch tokens, nothing hidden."""
    train, test = extract_features(model, split.train_images), extract_features(model, split.images)
    sets = train, split.train_labels, test, split.labels
    return {"knn": knn_accuracy(*sets), "linear": linear_accuracy(*sets)}


def ceiling_of(model: MaskedImageModel, split: Split) -> float | None:
    """Masked PSNR in dB of what bounds this model, as a tokenizer does; None where nothing does."""
    bound = model.ceiling()
    if bound is None:
        return None
    values = measure(bound.reconstruct, split.images, split.masks, device=bound.device, include_ssim=False)
    return summarize(values)["masked_psnr"]


def speeds(model: MaskedImageModel, split: Split) -> dict[str, float]:
    """Images/s rebuilt and trained on, in batches in float32.

    Measured one after the other: what cards say of the trainings depends on what else their machines did.
    """
    batch = to_float(split.images[:SPEED_BATCH].to(model.device))
    mask = split.masks[:SPEED_BATCH].to(model.device)
    learner = copy.deepcopy(model).train()
    step, weight = training_step(learner, learner.loss, batch, mask), next(learner.parameters())

    def learn() -> None:
        step()
        weight.sum().item()  # waits for the device

    rebuilt = _median_seconds(lambda: model.reconstruct(batch, mask).sum().item())
    return {"images_per_second": len(batch) / rebuilt, "trained_per_second": len(batch) / _median_seconds(learn)}


def _median_seconds(function: Callable[[], object]) -> float:
    """Of some calls, after one to warm up."""
    function()
    times: list[float] = []
    while len(times) < SPEED_REPEATS or sum(times) < SPEED_SECONDS:
        times.append(_seconds(function))
    return statistics.median(times)


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


# ---- what the numbers say ----------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Difference:
    """Two entries on the same images and masks."""

    better: str
    worse: str
    mse: float  # how much lower the better one's mean error is
    standard_error: float  # of that, from the differences of single images

    @property
    def sure(self) -> bool:
        """Whether it is beyond `SURE` standard errors."""
        return self.mse > SURE * self.standard_error


def difference(first: Entry, second: Entry) -> Difference:
    """The paired difference of two entries' masked MSE, image by image."""
    better, worse = sorted((first, second), key=lambda entry: entry.errors.mean().item())
    gaps = worse.errors - better.errors
    return Difference(better=better.name, worse=worse.name, mse=gaps.mean().item(), standard_error=standard_error(gaps))


def ranked(entries: Sequence[Entry]) -> list[Entry]:
    """Best first, by masked MSE."""
    return sorted(entries, key=lambda entry: entry.metrics["masked_mse"])
