"""Whether two models differ, measured on the same images under the same masks."""

from dataclasses import dataclass

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.metrics import standard_error

RESAMPLES = 2000
RESAMPLED_AT_ONCE = 100  # of 10,000 images each: 8 MB
LEVEL = 0.95


@dataclass(kw_only=True)
class PairedDifference:
    """The mean over images of (first model's value - second model's), and how sure it is."""

    images: int
    difference: float
    standard_error: float
    low: float  # 95% interval of the difference, by bootstrap over images
    high: float
    first_larger: float  # share of images on which the first model's value is larger; ties count half
    t_test: float  # p of the paired t-test: are the means equal?
    wilcoxon: float  # p of Wilcoxon's signed ranks: are differences symmetric about 0? Outliers weigh less.


def paired_difference(first: Tensor, second: Tensor, seed: int = 0) -> PairedDifference:
    """Compare two models image by image: what differs between images themselves falls out of the difference.

    Args:
        first, second: (n,) of the same images under the same masks, n > 1, in any unit.
        seed: of the bootstrap.

    Raises:
        UsageError: not two values an image, fewer than two images, or values that are not finite.
    """
    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise UsageError(f"It takes two values for each of two or more images: {tuple(first.shape)} cannot be paired.")
    difference = (first.double() - second.double()).cpu()
    if not difference.isfinite().all():
        raise UsageError("A value of an image is not finite: there is nothing to test.")
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
    """The 95% percentile interval of the mean of (n,) values, by drawing n of them again 2000 times."""
    import numpy as np
    from scipy.stats import bootstrap

    if (values == values[0]).all():  # there is no spread to draw from
        return values[0].item(), values[0].item()
    options = {"n_resamples": RESAMPLES, "batch": RESAMPLED_AT_ONCE, "confidence_level": LEVEL}
    found = bootstrap((values.numpy(),), np.mean, method="percentile", rng=np.random.default_rng(seed), **options)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def paired_tests(first: Tensor, second: Tensor) -> tuple[float, float]:
    """The p values of the paired t-test and of Wilcoxon's signed-rank test; 1 for equal values. (n,) twice."""
    from scipy.stats import ttest_rel, wilcoxon

    a, b = first.double().cpu().numpy(), second.double().cpu().numpy()
    if (a == b).all():
        return 1.0, 1.0
    if ((a - b) == (a - b)[0]).all():  # the same difference everywhere: no spread, of which t would be infinite
        return 0.0, float(wilcoxon(a, b).pvalue)
    return float(ttest_rel(a, b).pvalue), float(wilcoxon(a, b).pvalue)


def holm(p_values: list[float]) -> list[float]:
    """Holm's correction for asking several questions at once: p values that may each be held against one level."""
    ordered = torch.tensor(p_values, dtype=torch.float64).sort()
    count = len(p_values)
    steps = (ordered.values * torch.arange(count, 0, -1)).cummax(0).values.clamp(max=1) if count else ordered.values
    return torch.empty(count, dtype=torch.float64).scatter(0, ordered.indices, steps).tolist()
