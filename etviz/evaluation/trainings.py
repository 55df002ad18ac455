"""Trainings of one recipe with other seeds: how far their scores spread, and whether two recipes differ beyond that.

A test over images knows nothing of another training: with another seed, the same recipe gives another model. Where
several seeds of a recipe are known, their scores are a sample of what the recipe gives, and Welch's t-test over
trainings compares two recipes, as Colas et al. (2018, arXiv 1806.08295) recommend. Two or three trainings leave their
spread unsure. Student's t distribution allows for that: with so few degrees of freedom, only a difference of several
standard deviations is called one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from etviz.checkpoints import load_card, load_config

LEVEL = 0.95
# of a training's configuration: what does not change what is learned
ASIDE = ("seed", "log_every", "snapshots", "accelerator", "devices", "num_nodes", "precision", "compile")


@dataclass(kw_only=True)
class Spread:
    """Scores of n trainings of one recipe, in the score's unit."""

    mean: float
    deviation: float | None  # standard deviation between trainings; None for one training
    low: float | None  # 95% interval of the standard deviation, for scores that are normally distributed
    high: float | None


def group_trainings(names: Sequence[str]) -> dict[str, list[str]]:
    """Checkpoints that differ in the seed of their training alone, by the first one's name; the order is kept.

    A checkpoint without a seed, or with the seed of another one of its recipe, stands alone.

    Raises:
        UsageError: there is no such checkpoint, or its configuration or card is damaged.
    """
    by_recipe: dict[str, list[str]] = {}
    for name in names:
        by_recipe.setdefault(recipe_of(name), []).append(name)
    together = [members for members in by_recipe.values() if _differ([seed_of(name) for name in members])]
    grouped = {members[0]: members for members in together}
    others = {name for members in together for name in members[1:]}
    return {name: grouped.get(name, [name]) for name in names if name not in others}


def recipe_of(name: str) -> str:
    """All that a checkpoint learned by, but the seed and the machine, as text."""
    config = load_config(name)
    train = {key: value for key, value in (config.get("train") or {}).items() if key not in ASIDE}
    parts = config.get("model"), config.get("dataset"), train, load_card(name).get("images_seen")
    return json.dumps(parts, sort_keys=True, default=str)


def seed_of(name: str) -> int | None:
    """The seed of a checkpoint's training; None where its configuration does not say."""
    return (load_config(name).get("train") or {}).get("seed")


def _differ(seeds: Sequence[int | None]) -> bool:
    return None not in seeds and len(set(seeds)) == len(seeds)


def spread_of(scores: Tensor) -> Spread:
    """How far the scores (n,) of a recipe's trainings spread."""
    from scipy.stats import chi2

    count, mean = len(scores), scores.double().mean().item()
    if count < 2:
        return Spread(mean=mean, deviation=None, low=None, high=None)
    deviation = scores.double().std().item()
    ends = (1 + LEVEL) / 2, (1 - LEVEL) / 2
    low, high = (deviation * ((count - 1) / chi2.ppf(end, count - 1)) ** 0.5 for end in ends)
    return Spread(mean=mean, deviation=deviation, low=float(low), high=float(high))


def between_trainings(first: Tensor, second: Tensor) -> float | None:
    """p of the hypothesis that two recipes give the same score on average, from trainings of each.

    With two or more trainings of both it is that of Welch's t-test. With one training of one of them, it is that of
    Student's, which takes the other's spread for both.

    Args:
        first, second: a score of every training, (n,) and (m,).

    Returns:
        p; None for one training of each, which say nothing of the spread.
    """
    from scipy.stats import ttest_ind

    if len(first) + len(second) < 3:
        return None
    a, b = first.double().cpu().numpy(), second.double().cpu().numpy()
    if a.std() == 0 and b.std() == 0:  # t would be infinite, or 0 / 0
        return float(a.mean() == b.mean())
    welch = len(a) > 1 and len(b) > 1
    _, p_value = cast("tuple[float, float]", ttest_ind(a, b, equal_var=not welch))
    return float(p_value)
