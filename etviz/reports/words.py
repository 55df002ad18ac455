"""Sentences that tables in the terminal and pages share."""

from etviz.evaluation.metric_info import METRICS
from etviz.evaluation.paired import DIFFER, better


def paired_words(row: dict) -> tuple[str, str, str, str, list[str]]:
    """A row of `etviz.evaluation.paired.compare` as tables show it.

    Returns:
        The difference and both ends of its interval with their signs, the share of images on which the first model is
        better, and both corrected p values.
    """
    info = METRICS[row["metric"]]
    difference, low, high = (f"{row[name]:+.{info.decimals}f}" for name in ("difference", "low", "high"))
    first_better = row["first_larger"] if info.better == "higher" else 1 - row["first_larger"]
    p_values = ["< 0.001" if row[name] < 0.001 else f"{row[name]:.3f}" for name in ("t_test_holm", "wilcoxon_holm")]
    return difference, low, high, f"{first_better:.1%}", p_values


def paired_meaning(rows: list[dict]) -> str:
    """What the columns that show the rows of `compare` mean."""
    pairs = len({(row["first"], row["second"]) for row in rows})
    corrected = f", corrected by Holm for {pairs} pairs" if pairs > 1 else ""
    return (
        "All models saw the same images under the same masks. The difference is the mean of the first minus that of "
        "the second, with its 95% interval by bootstrap over images. The share is that of the images on which the "
        "first is better. p is that of the paired t-test and of Wilcoxon's signed-rank test"
        f"{corrected}. Two models are said to differ only if both p are below {DIFFER:g}. This says nothing of another "
        "training with another seed."
    )


def verdicts(rows: list[dict]) -> list[str]:
    """What the rows of `compare` amount to: a sentence for each pair of models."""
    pairs = dict.fromkeys((row["first"], row["second"]) for row in rows)
    return [_verdict(*pair, [row for row in rows if (row["first"], row["second"]) == pair]) for pair in pairs]


def _verdict(first: str, second: str, rows: list[dict]) -> str:
    ahead: dict[str | None, list[str]] = {first: [], second: [], None: []}
    for row in rows:
        ahead[better(row)].append(METRICS[row["metric"]].label)
    parts = [
        f"{best} is better than {other} by {', '.join(ahead[best])}"
        for best, other in ((first, second), (second, first))
        if ahead[best]
    ]
    names = "they" if parts else f"{first} and {second}"
    parts += [f"{names} cannot be told apart by {', '.join(ahead[None])}"] if ahead[None] else []
    return f"{'; '.join(parts)}."


def left_out_words(left_out: dict[str, str]) -> str:
    """One sentence about metrics whose weights are missing: which file each needs, by its title."""
    needs = ", ".join(f"{title} needs {file}" for title, file in left_out.items())
    return f"Not measured, because their weights are missing: {needs}."
