"""One class against the rest, by reconstruction error: is a class rebuilt better by a model that learned it?

The plain error says how predictable a picture is, not which class it belongs to: a model of automobiles rebuilds a sky
well. So a copy of the model is trained briefly on the normal class, and its error is divided by that of the model
itself, which has seen pictures of all kinds. This is the likelihood ratio of Ren et al. (2019), with errors in place of
likelihoods.
"""

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from etviz.analysis.anomaly import anomaly_map, anomaly_score, roc_auc, roc_auc_standard_error
from etviz.data import Dataset
from etviz.errors import UsageError
from etviz.models import MaskedImageModel
from etviz.training import TrainConfig, fit

# The error of the model itself; that of its adapted copy; the second divided by the first.
SCORES: tuple[str, ...] = ("error", "adapted error", "ratio")
LEAST = 4  # training images of a class, of which some are held out


@dataclass(kw_only=True)
class OneClass:
    """How well one class is told from the rest, by score: 0.5 is chance, 1 is perfect."""

    name: str
    normal: int  # test images of the class
    others: int  # test images of other classes
    auc: dict[str, float]
    standard_error: dict[str, float]


def one_class(
    model: MaskedImageModel,
    dataset: Dataset,
    *,
    images: int = 2000,
    epochs: int = 2,
    training_images: int | None = None,
    ratio: float = 0.5,
    masks: int = 8,
    seed: int = 0,
    tell: Callable[[str], None] = lambda what: None,
) -> list[OneClass]:
    """Each class of a dataset in turn as the normal one, all others as anomalies.

    Args:
        model: trained on pictures of any kind; it is left unchanged.
        dataset: the class is learned from the train split, and the test split is scored.
        images: how many test images, chosen at random; all if there are fewer.
        epochs: over the class's training images, for the adapted copy.
        training_images: how many of the class's, from the first on; all if None.
        ratio, masks: of `etviz.analysis.anomaly_map`; both models get the same masks.
        seed: of the choice of images, the masks and the training.
        tell: called with what is being measured.

    Returns:
        A row for each class that has at least two test images, two test images of other classes, and four training
        images.

    Raises:
        UsageError: there is no such class; and what `anomaly_map` and `fit` raise.
    """
    chosen = torch.randperm(len(dataset.test_images), generator=torch.Generator().manual_seed(seed))[:images]
    pictures, labels = dataset.test_images[chosen], dataset.test_labels[chosen]
    usable = usable_classes(dataset, labels)
    settings = {"ratio": ratio, "masks": masks, "seed": seed}
    tell("errors of the model")
    general = anomaly_score(anomaly_map(model, pictures, **settings))
    rows = []
    for label in usable:
        name = dataset.class_names[label]
        tell(f"learning {name}")
        adapted = adapt(model, dataset, label, epochs=epochs, seed=seed, images=training_images)
        tell(f"errors after learning {name}")
        own = anomaly_score(anomaly_map(adapted, pictures, **settings))
        scores = dict[str, Tensor](zip(SCORES, (general, own, own / general), strict=True))
        rows.append(row_of(name, labels == label, scores))
    return rows


def usable_classes(dataset: Dataset, labels: Tensor) -> list[int]:
    """The classes with enough training images, and enough test images inside and outside, given test labels (n,)."""
    learned = dataset.train_labels.bincount(minlength=len(dataset.class_names))
    shown = labels.bincount(minlength=len(dataset.class_names))
    usable = (learned >= LEAST) & (shown >= 2) & (len(labels) - shown >= 2)
    if not usable.any():
        raise UsageError(
            f"{dataset.name} shows no class that could be told from others: give at least two test images of each."
        )
    return usable.nonzero().flatten().tolist()


def adapt(
    model: MaskedImageModel, dataset: Dataset, label: int, *, epochs: int, seed: int, images: int | None = None
) -> MaskedImageModel:
    """A copy of the model, trained on one class's first ``images`` pictures (None: all) by the same objective."""
    own = (dataset.train_labels == label).nonzero().flatten()[:images]
    pictures = dataclasses.replace(
        dataset, train_images=dataset.train_images[own], train_labels=dataset.train_labels[own]
    )
    recipe: dict[str, Any] = dict(
        epochs=epochs,
        batch_size=min(64, len(own) // 2),  # a class of few: some are held out
        lr=1e-3,
        min_lr=1e-5,
        warmup_steps=30,
        betas=(0.9, 0.95),
        crop=False,
        validation_images=100,
        validate_every=float(epochs),
        seed=seed,
        accelerator=model.device.type,
        devices=1,
    )
    learner = copy.deepcopy(model)
    fit(learner, pictures, TrainConfig(**recipe))
    return learner.to(model.device).eval()


def row_of(name: str, normal: Tensor, scores: dict[str, Tensor]) -> OneClass:
    """How well each of several scores (n,) tells normal images (n,) bool from the others."""
    parts = {key: (score[normal], score[~normal]) for key, score in scores.items()}
    return OneClass(
        name=name,
        normal=int(normal.sum()),
        others=int((~normal).sum()),
        auc={key: roc_auc(*part) for key, part in parts.items()},
        standard_error={key: roc_auc_standard_error(*part) for key, part in parts.items()},
    )
