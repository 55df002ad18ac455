"""What one model scores over a split: under one mask seed or several, and by class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from etviz.analysis.classes import mean_by_class, psnr_by_class
from etviz.data import CIFAR100_CLASSES, CIFAR100_SUPERCLASSES, Dataset, coarse_labels
from etviz.metrics import PARTS, Meter, measure_model, standard_error, summarize
from etviz.models import MaskedImageModel

SeedProgress = Callable[[int, int], None]  # images done over all seeds, images times seeds
STANDARD_ERROR = "_standard_error"


@dataclass(kw_only=True)
class Evaluation:
    """What one model, or one filler that learns nothing, scored on a split of n images.

    The first mask seed is the one whose single images are kept. The fields from ``correct`` on are empty unless
    `etviz.evaluation.comparison` measured them.
    """

    ratio: float  # share of patches hidden
    mask_seeds: list[int]
    values: dict[str, Tensor]  # (n,) float64 by metric: each image under the first seed's masks
    by_seed: list[dict[str, float]]  # `summarize`'s dict and the meters', one for each seed
    name: str = ""
    correct: dict[str, Tensor] = field(default_factory=dict)  # (n,) 0 or 1, by classifier: knn, linear
    costs: dict = field(default_factory=dict)  # `etviz.evaluation.costs.costs`'s, and images/s rebuilt and trained on
    card: dict = field(default_factory=dict)  # how it was trained; ratio: the share of patches hidden in training
    ceiling: float | None = None  # masked PSNR in dB of a tokenizer's own encoding and decoding, of a model with one

    @classmethod
    def of(
        cls,
        name: str,
        values: dict[str, Tensor],
        *,
        ratio: float = 0.85,
        mask_seed: int = 0,
        meters: Sequence[Meter] = (),
        **more,
    ) -> "Evaluation":
        """From what `etviz.metrics.measure` gave under one mask seed; ``more`` are further fields."""
        summary = summarize(values, meters)
        return cls(name=name, ratio=ratio, mask_seeds=[mask_seed], values=values, by_seed=[summary], **more)

    @property
    def metrics(self) -> dict[str, float]:
        """The averages under the first seed."""
        return self.by_seed[0]

    @property
    def errors(self) -> Tensor:
        """Masked MSE of each image under the first seed's masks, (n,)."""
        return self.values["masked_mse"]

    @property
    def accuracy(self) -> dict[str, float]:
        """Share of images that each classifier labels correctly, 0 to 1, by classifier."""
        return {name: correct.mean().item() for name, correct in self.correct.items()}


def ranked(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The best first, by masked MSE."""
    return sorted(evaluations, key=lambda evaluation: evaluation.metrics["masked_mse"])


def evaluate_seeds(
    model: MaskedImageModel,
    images: Tensor,
    mask_seeds: Sequence[int] = (0,),
    *,
    meters: Sequence[Meter] = (),
    progress: SeedProgress | None = None,
    ratio: float = 0.85,
    **settings,
) -> Evaluation:
    """Measure a model under each of several mask seeds.

    Args:
        model, images, ratio, settings: as `etviz.metrics.measure_model` takes them.
        mask_seeds: one or more, of `etviz.metrics.evaluation_masks`.
        meters: further metrics, such as those of `etviz.evaluation.perceptual`.
        progress: called after each batch with the number of images done and the total, over all seeds.

    Raises:
        UsageError: as `measure_model`.
    """
    count, first, by_seed = len(images), {}, []
    for done, seed in enumerate(mask_seeds):
        tell = None if progress is None else _shifted(progress, done * count, count * len(mask_seeds))
        values = measure_model(model, images, ratio=ratio, mask_seed=seed, meters=meters, progress=tell, **settings)
        first = first or values
        by_seed.append(summarize(values, meters))
    return Evaluation(ratio=ratio, mask_seeds=list(mask_seeds), values=first, by_seed=by_seed)


def _shifted(progress: SeedProgress, before: int, total: int) -> SeedProgress:
    """One seed's progress as a part of that over all seeds."""
    return lambda now, _: progress(before + now, total)


def over_seeds(evaluation: Evaluation) -> dict[str, dict]:
    """Each metric's mean over mask seeds, its standard error over them, and its value under each; by metric.

    All seeds share the same images, so this spread is that of the choice of masks, not of the choice of images.
    """
    table = {}
    for name in evaluation.metrics:
        if name.endswith(STANDARD_ERROR):
            continue
        values = torch.tensor([scores[name] for scores in evaluation.by_seed], dtype=torch.float64)
        table[name] = {"mean": values.mean().item(), "standard_error": None, "values": values.tolist()}
        if len(values) > 1:
            table[name]["standard_error"] = standard_error(values)
    return table


# ---- by class ----------------------------------------------------------------------------------------------------


def groupings(dataset: Dataset, count: int | None = None) -> dict[str, tuple[Tensor, list[str]]]:
    """Labels (n,) and names of the first ``count`` test images: by "class", and for CIFAR-100 also by "superclass"."""
    labels = dataset.test_labels[:count].cpu()
    found = {"class": (labels, dataset.class_names)}
    if dataset.class_names == CIFAR100_CLASSES:
        found["superclass"] = coarse_labels(labels), list(CIFAR100_SUPERCLASSES)
    return found


def class_table(values: dict[str, Tensor], labels: Tensor, names: Sequence[str]) -> list[dict]:
    """A row for each class that has images: name, images, and every metric with its standard error.

    Args:
        values: (n,) by metric, as `etviz.metrics.measure` gives.
        labels: (n,) int64.
        names: one for each label.
    """
    columns = {name: mean_by_class(column, labels, len(names)) for name, column in values.items()}
    columns |= {f"{part}_psnr": psnr_by_class(values[f"{part}_mse"], labels, len(names)) for part in PARTS}
    rows = []
    for index, name in enumerate(names):
        count = int(columns["masked_mse"].count[index])
        row = {"name": name, "images": count}
        for metric, column in columns.items():
            row[metric] = column.mean[index].item()
            row[metric + STANDARD_ERROR] = column.standard_error[index].item()
        rows += [row] if count else []
    return rows
