"""One class against the rest by the error of a reconstruction: does what was learned from one class fit it better?

The plain error tells how predictable a picture is, not whether it belongs: a sky is rebuilt well by a model of
automobiles. So a copy of the model is trained on the normal class for a little while, and its error is divided by that
of the model itself, which knows pictures in general (the likelihood ratio of Ren et al. 2019, of errors in place of
likelihoods).
"""

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from etviz.analysis.anomaly import anomaly_map, anomaly_score, roc_auc, roc_auc_standard_error
from etviz.data import Dataset
from etviz.errors import UsageError
from etviz.models import MaskedImageModel
from etviz.training import TrainConfig, fit

SCORES = ("error", "adapted error", "ratio")  # the model's own; its adapted copy's; the second over the first
LEAST = 4  # training images of a class: some are held out


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
    ratio: float = 0.5,
    masks: int = 8,
    seed: int = 0,
    tell: Callable[[str], None] = lambda what: None,
) -> list[OneClass]:
    """Each class of a dataset in turn as the normal one, all others as anomalies.

    Args:
        model: trained on pictures of any kind; stays as it is.
        dataset: the class is learned from the train split, and scores are of the test split.
        images: so many test images, chosen at random; all where there are fewer.
        epochs: over the class's training images, for the adapted copy.
        ratio, masks: of `etviz.analysis.anomaly_map`, under the same masks for both.
        seed: of the choice of images, the masks and the training.
        tell: told what is being done.

    Returns:
        A row for each class with two test images at least, two others, and four to learn from.

    Raises:
        UsageError: there is no such class; or what `anomaly_map` and `fit` raise.
    """
    chosen = torch.randperm(len(dataset.test_images), generator=torch.Generator().manual_seed(seed))[:images]
    pictures, labels = dataset.test_images[chosen], dataset.test_labels[chosen]
    learned = dataset.train_labels.bincount(minlength=len(dataset.class_names))
    shown = labels.bincount(minlength=len(dataset.class_names))
    usable = (learned >= LEAST) & (shown >= 2) & (len(labels) - shown >= 2)
    if not usable.any():
        raise UsageError(f"{dataset.name} shows no class that could be told from others: it takes two images of each.")
    settings = {"ratio": ratio, "masks": masks, "seed": seed}
    tell("errors of the model itself")
    general = anomaly_score(anomaly_map(model, pictures, **settings))
    rows = []
    for label in usable.nonzero().flatten().tolist():
        name = dataset.class_names[label]
        tell(f"learning {name}")
        adapted = adapt(model, dataset, label, epochs, seed)
        tell(f"errors after learning {name}")
        own = anomaly_score(anomaly_map(adapted, pictures, **settings))
        scores = dict(zip(SCORES, (general, own, own / general), strict=True))
        rows.append(row_of(name, labels == label, scores))
    return rows


def adapt(model: MaskedImageModel, dataset: Dataset, label: int, epochs: int, seed: int) -> MaskedImageModel:
    """A copy of the model, trained on one class's pictures by the same objective."""
    own = dataset.train_labels == label
    pictures = dataclasses.replace(
        dataset, train_images=dataset.train_images[own], train_labels=dataset.train_labels[own]
    )
    config = TrainConfig(
        epochs=epochs,
        batch_size=min(64, int(own.sum()) // 2),  # a class of few: some are held out
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
    fit(learner, pictures, config)
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
