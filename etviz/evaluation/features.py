"""Features of pictures from a model's tokens, and how well simple classifiers read classes from them.

scikit-learn takes a while to import, so it is imported where it is used.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from etviz.data import to_float
from etviz.errors import UsageError
from etviz.models import EnergyModel, MaskedImageModel, as_energy_model
from etviz.models.base import POOLS

NEIGHBOURS = 20
PROBE_STEPS = 1000  # of L-BFGS, at most
VOTERS = 1000  # test images whose neighbours are searched at once
PENALTY = 1e-2  # of the probe's squared weights: light, since there are far fewer features than images


def extract_features(model: MaskedImageModel, images: Tensor, *, batch_size: int = 250, pool: str = "mean") -> Tensor:
    """The representation of each image with nothing hidden, as `MaskedImageModel.features` has it.

    Args:
        model: on any device; put into evaluation mode for the time of the call.
        images: (n, C, H, W) uint8, moved to the model's device batch by batch.
        batch_size: images at once.
        pool: "mean" over the patch tokens, or "cls".

    Returns:
        (n, D) float32 on the CPU.

    Raises:
        UsageError: there are no images, they do not fit the model, or the model has no CLS token to pool.
    """
    return torch.cat(_in_batches(model, images, batch_size, lambda batch: model.features(batch, pool).float().cpu()))


def extract_pools(
    model: MaskedImageModel,
    images: Tensor,
    *,
    by_step: bool = False,
    batch_size: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Tensor]:
    """`extract_features` for every pool that the model has, from one pass over the images.

    Args:
        model, images, batch_size: as in `extract_features`.
        by_step: also keep the state after each step of the descent; for an asymmetric model, of the encoder's descent.
        progress: called after each batch with the number of images done and the total.

    Returns:
        float32 on the CPU by the pool's name: (n, D), or (T+1, n, D) by step. Index 0 is the state before the first
        step, and the last index is what `features` gives.

    Raises:
        UsageError: as `extract_features`, or steps are asked of a model that has no descent.
    """
    if by_step and not model.has_energy:
        raise UsageError(f"{model.name} descends no energy, so it has no features by step.")
    pooled = partial(_pooled_states, as_energy_model(model)) if by_step else partial(_pooled, model)
    parts = _in_batches(model, images, batch_size, pooled, progress)
    return {pool: torch.cat([part[pool] for part in parts], dim=-2) for pool in parts[0]}


def features_by_step(model: MaskedImageModel, images: Tensor, *, batch_size: int = 100, pool: str = "mean") -> Tensor:
    """`extract_pools` by step, for one pool: (T+1, n, D).

    Arguments and errors as in `extract_features`; ``model`` has to descend an energy.
    """
    if pool not in POOLS:
        raise UsageError(f"There is no pool {pool!r}: choose one of {', '.join(POOLS)}.")
    return extract_pools(model, images, by_step=True, batch_size=batch_size)[pool]


def _pooled(model: MaskedImageModel, images: Tensor) -> dict[str, Tensor]:
    """Images (B, C, H, W) -> (B, D) by pool."""
    model.check_inputs(images, model.nothing_hidden(images))
    cls_token, patches = model.encode(images)
    found = {"mean": patches.mean(dim=1)} | ({} if cls_token is None else {"cls": cls_token})
    return {pool: features.float().cpu() for pool, features in found.items()}


def _pooled_states(model: EnergyModel, images: Tensor) -> dict[str, Tensor]:
    """Images (B, C, H, W) -> (T+1, B, D) by pool."""
    trace = model.trace(images, model.nothing_hidden(images), keep_attention=False)
    tokens = model.represented(trace).movedim(1, 0)  # (T+1, B, N, D), CLS first
    return {"mean": tokens[:, :, 1:].mean(dim=2).float().cpu(), "cls": tokens[:, :, 0].float().cpu()}


@torch.no_grad()
def _in_batches(
    model: MaskedImageModel,
    images: Tensor,
    batch_size: int,
    function: Callable[[Tensor], Any],
    progress: Callable[[int, int], None] | None = None,
) -> list:
    """``function`` of each batch of images (n, C, H, W) uint8, as floats on the model's device, in evaluation mode."""
    if not len(images):
        raise UsageError("There are no images to take features of.")
    device, was_training, found = model.device, model.training, []
    model.eval()
    try:
        for start in range(0, len(images), batch_size):
            found.append(function(to_float(images[start : start + batch_size].to(device))))
            if progress is not None:
                progress(min(start + batch_size, len(images)), len(images))
        return found
    finally:
        model.train(was_training)


def knn_accuracy(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    neighbours: int = NEIGHBOURS,
) -> float:
    """Share of test images that `knn_labels` labels correctly, 0 to 1. Arguments and errors as there."""
    _check("test", test_features, test_labels)
    found = knn_labels(train_features, train_labels, test_features, neighbours=neighbours)
    return int((found == test_labels).sum()) / len(test_labels)


def knn_labels(
    train_features: Tensor, train_labels: Tensor, test_features: Tensor, *, neighbours: int = NEIGHBOURS
) -> Tensor:
    """The label that most of each test image's nearest training images have, by cosine similarity. (m,) int64.

    All neighbours' votes count the same; of labels with equally many votes the smallest wins. Features are first
    standardised by the training images' mean and deviation, since a direction that all images share would dominate
    every cosine.

    Args:
        train_features, test_features: (n, D) and (m, D).
        train_labels: (n,) int64.
        neighbours: how many vote; all training images if there are fewer.

    Raises:
        UsageError: features and labels do not fit together, or fewer than one neighbour.
    """
    _check("train", train_features, train_labels)
    if neighbours < 1:
        raise UsageError(f"At least 1 neighbour has to vote, not {neighbours}.")
    train, test = (normalize(torch.from_numpy(part).float()) for part in standardise(train_features, test_features))
    ballots, count = one_hot(train_labels), min(neighbours, len(train))
    found = []
    for part in test.split(VOTERS):
        nearest = (part @ train.T).topk(count).indices  # (b, neighbours)
        found.append(ballots[nearest].sum(dim=1).argmax(dim=1))
    return torch.cat(found)


def linear_accuracy(train_features: Tensor, train_labels: Tensor, test_features: Tensor, test_labels: Tensor) -> float:
    """Share of test images that `linear_labels` labels correctly, 0 to 1. Arguments and errors as there."""
    _check("test", test_features, test_labels)
    found = linear_labels(train_features, train_labels, test_features)
    return int((found == test_labels).sum()) / len(test_labels)


def linear_labels(train_features: Tensor, train_labels: Tensor, test_features: Tensor) -> Tensor:
    """The labels that multinomial logistic regression on the features gives the test images. (m,) int64.

    Features are standardised by the training images' mean and deviation; the weights bear a light squared penalty.
    Deterministic. Arguments and errors as `knn_labels`; there must be two classes.
    """
    from sklearn.linear_model import LogisticRegression

    _check("train", train_features, train_labels)
    if len(train_labels.unique()) < 2:
        raise UsageError("A probe tells classes apart: the training labels need at least two.")
    train, test = (part.astype(np.float32) for part in standardise(train_features, test_features))
    probe = LogisticRegression(C=1 / (PENALTY * len(train)), max_iter=PROBE_STEPS)
    return torch.from_numpy(probe.fit(train, train_labels.numpy()).predict(test))


def label_subset(labels: Tensor, share: float, seed: int = 0) -> Tensor:
    """Indices of a share of the images, with the classes in proportion and at least one image of each. (m,) int64.

    Args:
        labels: (n,) int64.
        share: above 0, at most 1.
        seed: of the choice. A larger share contains every smaller one.

    Raises:
        UsageError: the share is out of range.
    """
    if not 0 < share <= 1:
        raise UsageError(f"The share of labels must be above 0 and at most 1, not {share}.")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    chosen = []
    for label in labels.unique():
        own = order[labels[order] == label]
        chosen.append(own[: max(1, round(share * len(own)))])
    return torch.cat(chosen).sort().values


def accuracy_interval(accuracy: float, count: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's confidence interval of an accuracy (0 to 1) that was measured on ``count`` images."""
    from scipy.stats import binomtest

    interval = binomtest(round(accuracy * count), count).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def standardise(train: Tensor, test: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Both sets by the first one's mean and deviation, in float64; a feature that never varies becomes 0.

    Raises:
        UsageError: they do not have the same number of features.
    """
    if train.shape[1:] != test.shape[1:]:
        found = f"Train features hold {train.shape[-1]} numbers, and test features {test.shape[-1]}"
        raise UsageError(f"{found}: both must be features of one kind.")
    train, test = train.cpu().double(), test.cpu().double()
    mean, deviation = train.mean(dim=0), train.std(dim=0, correction=0)
    scale = torch.where(deviation > 1e-12, 1 / deviation.clamp(min=1e-12), 0.0)
    return ((train - mean) * scale).numpy(), ((test - mean) * scale).numpy()


def _check(part: str, features: Tensor, labels: Tensor) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1] or not len(labels):
        shapes = f"{tuple(features.shape)} and {tuple(labels.shape)}"
        raise UsageError(f"The {part} features must be (n, D) with n labels, not {shapes}.")
