"""Whether two models differ, measured on the same images under the same masks.

Everything in etviz that calls one model better than another asks the tests in this file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.evaluation.metric_info import METRICS
from etviz.evaluation.scores import Evaluation
from etviz.evaluation.trainings import between_trainings
from etviz.metrics import psnr_of_mse, standard_error

RESAMPLES = 2000
RESAMPLED_AT_ONCE = 100  # of 10,000 images each: 8 MB
LEVEL = 0.95
DIFFER = 0.05  # two models differ by a metric if both corrected p values are below this
PAIRED = ("masked_mse", "masked_psnr_image_mean", "completed_ssim")  # and every LPIPS of the completed image

Pair = tuple[str, str]  # names of the first and the second model


@dataclass(kw_only=True)
class PairedDifference:
    """The mean over images of (first model's value - second model's), and how certain it is."""

    images: int
    difference: float
    standard_error: float
    low: float  # 95% interval of the difference, by bootstrap over images
    high: float
    first_larger: float  # share of images on which the first model's value is larger; ties count half
    t_test: float  # p of the paired t-test: are the means equal?
    wilcoxon: float  # p of Wilcoxon's signed-rank test: are differences symmetric about 0? Outliers weigh less.


def paired_difference(first: Tensor, second: Tensor, seed: int = 0) -> PairedDifference:
    """Compare two models' values image by image.

    Args:
        first, second: (n,) values of the same images under the same masks, n > 1, in any unit.
        seed: of the bootstrap.

    Raises:
        UsageError: the two do not have one value for each image, there are fewer than two images, or a value is not
            finite.
    """
    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise UsageError(
            f"Values of shapes {tuple(first.shape)} and {tuple(second.shape)} cannot be paired: "
            "give one value of each model for each of two or more images."
        )
    difference = (first.double() - second.double()).cpu()
    if not difference.isfinite().all():
        raise UsageError("The value of some image is not finite, so it cannot be tested.")
    low, high = bootstrap_interval(difference, seed)
    t_test, wilcoxon = paired_tests(first, second)
    return PairedDifference(
        images=len(difference),
        difference=difference.mean().item(),
        standard_error=standard_error(difference),
        low=low,
        high=high,
        first_larger=((difference > 0).double() + (difference == 0).double() / 2).mean().item(),
        t_test=t_test,
        wilcoxon=wilcoxon,
    )


def bootstrap_interval(values: Tensor, seed: int = 0) -> tuple[float, float]:
    """The 95% percentile interval of the mean of (n,) values, from 2000 bootstrap resamples."""
    import numpy as np
    from scipy.stats import bootstrap

    if (values == values[0]).all():  # without spread there is nothing to resample
        return values[0].item(), values[0].item()
    options = {"n_resamples": RESAMPLES, "batch": RESAMPLED_AT_ONCE, "confidence_level": LEVEL}
    found = bootstrap((values.numpy(),), np.mean, method="percentile", rng=np.random.default_rng(seed), **options)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def paired_tests(first: Tensor, second: Tensor) -> tuple[float, float]:
    """The p values of the paired t-test and of Wilcoxon's signed-rank test for (n,) values; 1 if they are equal."""
    from scipy.stats import ttest_rel, wilcoxon

    a, b = first.double().cpu().numpy(), second.double().cpu().numpy()
    if (a == b).all():
        return 1.0, 1.0
    if ((a - b) == (a - b)[0]).all():  # a constant difference has no spread: t would be infinite
        return 0.0, _p_value(wilcoxon(a, b))
    return _p_value(ttest_rel(a, b)), _p_value(wilcoxon(a, b))


def _p_value(result: Any) -> float:
    """Of a test of SciPy's, which does not say what type it returns."""
    return float(result.pvalue)


def holm(p_values: list[float]) -> list[float]:
    """Holm's correction for several tests at once. The results may each be held against one level."""
    ordered = torch.tensor(p_values, dtype=torch.float64).sort()
    count = len(p_values)
    steps = (ordered.values * torch.arange(count, 0, -1)).cummax(0).values.clamp(max=1) if count else ordered.values
    return torch.empty(count, dtype=torch.float64).scatter(0, ordered.indices, steps).tolist()


# ---- several models ----------------------------------------------------------------------------------------------


def family(pairs: Iterable[tuple[dict, Tensor, Tensor]]) -> list[dict]:
    """Test several pairs of values that answer one question together, and correct the p values for their number.

    Args:
        pairs: what the pair is, as a dict with at least "first" and "second", and the (n,) values of each.

    Returns:
        For each pair, that dict with `PairedDifference`'s fields (differences are first - second), and with t_test_holm
        and wilcoxon_holm, the corrected p values.

    Raises:
        UsageError: as `paired_difference`.
    """
    rows = [about | asdict(paired_difference(first, second)) for about, first, second in pairs]
    for name in ("t_test", "wilcoxon"):
        for row, p_value in zip(rows, holm([row[name] for row in rows]), strict=True):
            row[f"{name}_holm"] = p_value
    return rows


def compare(
    evaluations: dict[str, Evaluation],
    pairs: Sequence[Pair] | None = None,
    trainings: dict[str, list[str]] | None = None,
) -> list[dict]:
    """Tests between models, or between groups of trainings, on the same images under the first seed's masks.

    Args:
        evaluations: by the model's name, all of the same images and mask seeds.
        pairs: which names to compare; every two where None.
        trainings: `etviz.evaluation.trainings.group_trainings`, so that a group counts as one model: images are paired
            by each image's mean over the group. Every model stands alone where None.

    Returns:
        A row of `family` for each metric and pair: first, second, metric, and so on; trainings, how many each of the
        two has; between and between_holm, the p value of `between_trainings` and the corrected one (None for one
        training each). The pairs of one metric are one family. A metric that is not finite for some image is left out.

    Raises:
        UsageError: the images or masks differ.
    """
    counts = {(len(e.values["masked_mse"]), e.mask_seeds[0], e.ratio) for e in evaluations.values()}
    if len(counts) > 1:
        raise UsageError("Models are compared on the same images and masks: evaluate them with the same options.")
    groups = trainings or {name: [name] for name in evaluations}
    pairs = list(combinations(groups, 2)) if pairs is None else pairs
    columns = {name: paired_columns(evaluation) for name, evaluation in evaluations.items()}
    shared = set.intersection(*(set(column) for column in columns.values()))
    rows = []
    for metric in (name for name in next(iter(columns.values())) if name in shared):
        values = {
            name: torch.stack([columns[one][metric].cpu().double() for one in group]) for name, group in groups.items()
        }
        rows += _metric_family(metric, pairs, values)
    return rows


def _metric_family(metric: str, pairs: Sequence[Pair], values: dict[str, Tensor]) -> list[dict]:
    """The pairs' rows for one metric, given the values (trainings, n) of each group."""
    abouts = ({"first": a, "second": b, "metric": metric} for a, b in pairs)
    rows = family((about, values[about["first"]].mean(0), values[about["second"]].mean(0)) for about in abouts)
    for row in rows:
        both = values[row["first"]], values[row["second"]]
        row["trainings"] = [len(one) for one in both]
        row["between"] = between_trainings(*(one.mean(1) for one in both))
    corrected = iter(holm([row["between"] for row in rows if row["between"] is not None]))
    return [row | {"between_holm": None if row["between"] is None else next(corrected)} for row in rows]


def paired_columns(evaluation: Evaluation) -> dict[str, Tensor]:
    """The metrics that are compared, (n,) each, where they are finite for every image."""
    values = evaluation.values | {"masked_psnr_image_mean": psnr_of_mse(evaluation.values["masked_mse"])}
    names = [*PAIRED, *(name for name in values if name.startswith("completed_lpips")), *evaluation.correct]
    values |= evaluation.correct
    return {name: values[name] for name in names if name in values and values[name].isfinite().all()}


def against_floors(errors: dict[str, Tensor], floors: Sequence[str], levels: Sequence) -> list[dict]:
    """Test every model against the best floor at each of several levels (mask ratios, strengths of damage).

    The best floor is the one of the lowest mean error on these images, so the comparison favours the floor.

    Args:
        errors: masked MSE (L, n) at L levels, by the name of each model and floor.
        floors: the names that are floors.
        levels: L of them, as the rows name them.

    Returns:
        A row of `family` for each level and model: level, first (the model), second (the best floor there), metric, and
        so on. All rows are one family.
    """
    pairs = []
    for index, level in enumerate(levels):
        best = min(floors, key=lambda name: errors[name][index].mean().item())
        for name in (name for name in errors if name not in floors):
            about = {"level": level, "first": name, "second": best, "metric": "masked_mse"}
            pairs.append((about, errors[name][index], errors[best][index]))
    return family(pairs)


def better(row: dict) -> str | None:
    """Which of a row's two is better; None where they cannot be told apart.

    Both tests over images have to say so, and that between trainings too, where several of a recipe are known.
    """
    if not _differ_over_images(row) or _within_spread(row):
        return None
    info = METRICS.get(row["metric"])
    high = info is None or info.better == "higher"  # an accuracy is no metric of images
    return row["first"] if (row["difference"] > 0) == high else row["second"]


def verdict(row: dict) -> tuple[str, str]:
    """What a row of `compare` says of its first model against the second, and why.

    Returns:
        "ahead", "behind" or "not told apart"; and the reason, a sentence.
    """
    best = better(row)
    word = "not told apart" if best is None else "ahead" if best == row["first"] else "behind"
    if not _differ_over_images(row):
        return word, "The paired tests over images do not both find a difference."
    if row["between_holm"] is None:
        return word, "One training each: paired over images only, not between trainings."
    first, second = row["trainings"]
    test = f"{first} against {second} trainings, p {_p_text(row['between_holm'])}"
    if _within_spread(row):
        return word, f"The images tell them apart, but not beyond the spread between trainings ({test})."
    return word, f"Paired over images, and beyond the spread between trainings ({test})."


def _differ_over_images(row: dict) -> bool:
    return max(row["t_test_holm"], row["wilcoxon_holm"]) < DIFFER


def _within_spread(row: dict) -> bool:
    """Whether several trainings are known and their spread may explain the difference."""
    between = row.get("between_holm")
    return between is not None and between >= DIFFER


def _p_text(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}"
