"""What a model's tokens tell about what a picture shows: features, and how well simple classifiers read them.

scikit-learn takes a while to import, so it is imported where it is used.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from etviz.data import to_float
from etviz.errors import UsageError
from etviz.models import MaskedImageModel
from etviz.models.base import POOLS

NEIGHBOURS = 20
PROBE_STEPS = 1000  # of L-BFGS, at most
PENALTY = 1e-2  # of the probe's squared weights: light, since features are few beside images


def extract_features(model: MaskedImageModel, images: Tensor, *, batch_size: int = 250, pool: str = "mean") -> Tensor:
    """The representation of each image with nothing hidden, as `MaskedImageModel.features` has it.

    Args:
        model: on any device; is put into evaluation mode meanwhile.
        images: (n, C, H, W) uint8, moved to the model's device batch by batch.
        batch_size: images at once.
        pool: "mean" over the patch tokens, or "cls".

    Returns:
        (n, D) float32 on the CPU.

    Raises:
        UsageError: there are no images, they do not fit the model, or it has no CLS token to pool.
    """
    return torch.cat(_in_batches(model, images, batch_size, lambda batch: model.features(batch, pool)))


def features_by_step(model: MaskedImageModel, images: Tensor, *, batch_size: int = 100, pool: str = "mean") -> Tensor:
    """`extract_features` of every state of a descent with nothing hidden: an asymmetric model's encoder's.

    Args: as `extract_features`; ``model`` descends an energy.

    Returns:
        (T+1, n, D) float32 on the CPU: index 0 is the state before the first step, the last one what `features` gives.

    Raises:
        UsageError: as `extract_features`, or a model without a descent.
    """
    if not hasattr(model, "trace"):
        raise UsageError(f"{model.name} descends no energy: it has features, but none by step.")
    if pool not in POOLS:
        raise UsageError(f"There is no pool {pool!r}: choose one of {', '.join(POOLS)}.")
    return torch.cat(_in_batches(model, images, batch_size, lambda batch: _pooled_states(model, batch, pool)), dim=1)


def _pooled_states(model: MaskedImageModel, images: Tensor, pool: str) -> Tensor:
    """Images (B, C, H, W) -> (T+1, B, D)."""
    trace = model.trace(images, model.nothing_hidden(images), keep_attention=False)
    descent, states = (model.descent, trace) if trace.encoder is None else (model.encoder, trace.encoder)
    tokens = descent.normalized(states.tokens)  # (B, T+1, N, D), CLS first
    return (tokens[:, :, 1:].mean(dim=2) if pool == "mean" else tokens[:, :, 0]).movedim(1, 0)


@torch.no_grad()
def _in_batches(
    model: MaskedImageModel, images: Tensor, batch_size: int, function: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """``function`` of images (n, C, H, W) uint8 as floats on the model's device, batch by batch, in evaluation mode."""
    if not len(images):
        raise UsageError("There are no images to take features of.")
    device, was_training = model.mean.device, model.training
    model.eval()
    try:
        return [function(to_float(batch.to(device))).float().cpu() for batch in images.split(batch_size)]
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
    """Share of test images whose nearest training images, by cosine similarity, mostly bear their label. 0 to 1.

    Each neighbour's vote counts alike; of several labels with as many votes the smallest wins. Features are
    standardised by the training images' mean and deviation first: cosines see no direction that all images share.

    Args:
        train_features, test_features: (n, D) and (m, D).
        train_labels, test_labels: (n,) and (m,) int64.
        neighbours: that vote; all training images where there are fewer.

    Raises:
        UsageError: features and labels that do not fit together, or fewer than one neighbour.
    """
    from sklearn.neighbors import KNeighborsClassifier

    _check(train_features, train_labels, test_features, test_labels)
    if neighbours < 1:
        raise UsageError(f"At least 1 neighbour has to vote, not {neighbours}.")
    train, test = standardise(train_features, test_features)
    classifier = KNeighborsClassifier(min(neighbours, len(train)), metric="cosine", algorithm="brute")
    return float(classifier.fit(train, train_labels.numpy()).score(test, test_labels.numpy()))


def linear_accuracy(train_features: Tensor, train_labels: Tensor, test_features: Tensor, test_labels: Tensor) -> float:
    """Share of test images that multinomial logistic regression on the features labels rightly. 0 to 1.

    Features are standardised by the training images' mean and deviation; the weights bear a light squared penalty.
    Deterministic. Arguments and errors as `knn_accuracy`; there must be two classes.
    """
    from sklearn.linear_model import LogisticRegression

    _check(train_features, train_labels, test_features, test_labels)
    if len(train_labels.unique()) < 2:
        raise UsageError("A probe tells classes apart: the training labels need at least two.")
    train, test = standardise(train_features, test_features)
    probe = LogisticRegression(C=1 / (PENALTY * len(train)), max_iter=PROBE_STEPS)
    return float(probe.fit(train, train_labels.numpy()).score(test, test_labels.numpy()))


def label_subset(labels: Tensor, share: float, seed: int = 0) -> Tensor:
    """Indices of a share of the images with the classes in their proportions, at least one image of each. (m,) int64.

    Args:
        labels: (n,) int64.
        share: above 0, at most 1.
        seed: of the choice. A larger share holds what a smaller one does.

    Raises:
        UsageError: a share out of range.
    """
    if not 0 < share <= 1:
        raise UsageError(f"The share of labels must lie above 0 and at most at 1, not {share}.")
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
    """Both sets by the first one's mean and deviation, in float64; a feature that never varies becomes 0."""
    train, test = train.double(), test.double()
    mean, deviation = train.mean(dim=0), train.std(dim=0, correction=0)
    scale = torch.where(deviation > 1e-12, 1 / deviation.clamp(min=1e-12), 0.0)
    return ((train - mean) * scale).numpy(), ((test - mean) * scale).numpy()


def _check(train_features: Tensor, train_labels: Tensor, test_features: Tensor, test_labels: Tensor) -> None:
    for part, features, labels in (("train", train_features, train_labels), ("test", test_features, test_labels)):
        if features.ndim != 2 or labels.shape != features.shape[:1] or not len(labels):
            raise UsageError(
                f"The {part} features must be (n, D) with n labels, not {tuple(features.shape)} and "
                f"{tuple(labels.shape)}."
            )
    if train_features.shape[1] != test_features.shape[1]:
        raise UsageError(f"Train features hold {train_features.shape[1]} numbers, test ones {test_features.shape[1]}.")
