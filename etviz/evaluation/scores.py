"""Whole evaluations: one model or several over a split, under one mask seed or several, by class, and compared."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import torch
from torch import Tensor

from etviz.analysis.classes import mean_by_class, psnr_by_class
from etviz.data import CIFAR100_CLASSES, CIFAR100_SUPERCLASSES, Dataset, coarse_labels
from etviz.errors import UsageError
from etviz.evaluation.metric_info import METRICS
from etviz.evaluation.paired import holm, paired_difference
from etviz.metrics import PARTS, Meter, measure_model, psnr_of_mse, standard_error, summarize
from etviz.models import MaskedImageModel

SeedProgress = Callable[[int, int], None]  # images done over all seeds, images times seeds
STANDARD_ERROR = "_standard_error"
PAIRED = ("masked_mse", "masked_psnr_image_mean", "completed_ssim")  # and every LPIPS of the completed image
DIFFER = 0.05  # two models are taken to differ by a metric where both corrected p values are below


@dataclass(kw_only=True)
class Evaluation:
    """One model over one split of n images, by mask seed. The first seed's is the one that is looked at closely."""

    ratio: float  # share of patches hidden
    mask_seeds: list[int]
    values: dict[str, Tensor]  # (n,) float64 by metric: every image under the first seed's masks
    by_seed: list[dict[str, float]]  # `summarize`'s dict and the meters', a seed each

    @property
    def metrics(self) -> dict[str, float]:
        """Under the first seed."""
        return self.by_seed[0]


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
        meters: further metrics, as of `etviz.evaluation.perceptual`.
        progress: called after each batch with the images done and those to do, over all seeds.

    Raises:
        UsageError: as `measure_model`.
    """
    count, first, by_seed = len(images), None, []
    for done, seed in enumerate(mask_seeds):

        def tell(now: int, _: int, before: int = done * count) -> None:
            progress(before + now, count * len(mask_seeds))

        options = {"ratio": ratio, "mask_seed": seed, "meters": meters, "progress": tell if progress else None}
        values = measure_model(model, images, **options, **settings)
        first = values if first is None else first
        by_seed.append(summarize(values, meters))
    return Evaluation(ratio=ratio, mask_seeds=list(mask_seeds), values=first, by_seed=by_seed)


def over_seeds(evaluation: Evaluation) -> dict[str, dict]:
    """Each metric's mean over mask seeds, its standard error over them, and its value under each; by metric.

    The seeds share their images: this is what the choice of masks leaves open, not that of images.
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
    """Labels (n,) and names of the first ``count`` test images: by "class", and for CIFAR-100 by "superclass" too."""
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


# ---- several models ----------------------------------------------------------------------------------------------


def compare(evaluations: dict[str, Evaluation]) -> list[dict]:
    """Paired tests of every two models, on the same images under the first seed's masks.

    Args:
        evaluations: by the model's name, all of the same images and mask seeds.

    Returns:
        A row for each pair and metric: first, second, metric, `PairedDifference`'s fields (differences are first -
        second), and t_test_holm and wilcoxon_holm, the p values corrected for all pairs of that metric. A metric that
        is not finite for some image is left out.

    Raises:
        UsageError: other images or masks.
    """
    counts = {(len(e.values["masked_mse"]), e.mask_seeds[0]) for e in evaluations.values()}
    if len(counts) > 1:
        raise UsageError("Models are compared on the same images and masks: evaluate them with the same options.")
    columns = {name: paired_columns(evaluation) for name, evaluation in evaluations.items()}
    shared = set.intersection(*(set(column) for column in columns.values()))
    rows = []
    for metric in (name for name in next(iter(columns.values())) if name in shared):
        pairs = list(combinations(columns, 2))
        found = [paired_difference(columns[a][metric], columns[b][metric]) for a, b in pairs]
        holms = holm([one.t_test for one in found]), holm([one.wilcoxon for one in found])
        for (a, b), one, t_test, wilcoxon in zip(pairs, found, *holms, strict=True):
            corrected = {"t_test_holm": t_test, "wilcoxon_holm": wilcoxon}
            rows.append({"first": a, "second": b, "metric": metric, **asdict(one), **corrected})
    return rows


def paired_words(row: dict) -> tuple[str, str, str, str, list[str]]:
    """A row of `compare` as tables say it.

    Returns:
        The difference and both ends of its interval with their signs, the share of images on which the first model is
        better, and both corrected p values.
    """
    info = METRICS[row["metric"]]
    difference, low, high = (f"{row[name]:+.{info.decimals}f}" for name in ("difference", "low", "high"))
    better = row["first_larger"] if info.better == "higher" else 1 - row["first_larger"]
    p_values = ["< 0.001" if row[name] < 0.001 else f"{row[name]:.3f}" for name in ("t_test_holm", "wilcoxon_holm")]
    return difference, low, high, f"{better:.1%}", p_values


def paired_meaning(rows: list[dict]) -> str:
    """What the columns that show the rows of `compare` are."""
    pairs = len({(row["first"], row["second"]) for row in rows})
    corrected = f", corrected by Holm for {pairs} pairs" if pairs > 1 else ""
    return (
        "Over the same images and masks: the mean of the first less the second, its 95% interval by bootstrap over "
        "images, the share of images on which the first is better, and p of the paired t-test and of Wilcoxon's "
        f"signed-rank test{corrected}. Two are taken to differ where both p are below {DIFFER:g}."
    )


def verdicts(rows: list[dict]) -> list[str]:
    """What the rows of `compare` come to: a sentence for each pair of models."""
    pairs = dict.fromkeys((row["first"], row["second"]) for row in rows)
    return [_verdict(*pair, [row for row in rows if (row["first"], row["second"]) == pair]) for pair in pairs]


def _verdict(first: str, second: str, rows: list[dict]) -> str:
    ahead = {first: [], second: [], None: []}
    for row in rows:
        differ = max(row["t_test_holm"], row["wilcoxon_holm"]) < DIFFER
        first_better = (row["difference"] > 0) == (METRICS[row["metric"]].better == "higher")
        ahead[(first if first_better else second) if differ else None].append(METRICS[row["metric"]].label)
    parts = [
        f"{better} is better than {worse} by {', '.join(ahead[better])}"
        for better, worse in ((first, second), (second, first))
        if ahead[better]
    ]
    names = "they" if parts else f"{first} and {second}"
    parts += [f"{names} cannot be told apart by {', '.join(ahead[None])}"] if ahead[None] else []
    return f"{'; '.join(parts)}."


def paired_columns(evaluation: Evaluation) -> dict[str, Tensor]:
    """The metrics that are compared, (n,) each; those that are finite for every image."""
    values = evaluation.values | {"masked_psnr_image_mean": psnr_of_mse(evaluation.values["masked_mse"])}
    names = [*PAIRED, *(name for name in values if name.startswith("completed_lpips"))]
    return {name: values[name] for name in names if name in values and values[name].isfinite().all()}


def left_out_words(left_out: dict[str, str]) -> str:
    """One sentence about metrics without weights: which file each needs, by its title."""
    needs = ", ".join(f"{title} needs {file}" for title, file in left_out.items())
    return f"Not measured, for want of weights: {needs}."


# ---- as JSON -----------------------------------------------------------------------------------------------------
