"""Scores of whole test splits: how single images spread, and how pairs of models differ."""

from collections.abc import Sequence
from itertools import cycle

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from etviz.errors import UsageError
from etviz.plots.style import BLUE, FAINT, INK, LINES, SMALL, TEXT, new_figure, plain

ROW = 0.24  # inches for a pair


def score_histogram(values: dict[str, Tensor], label: str = "masked PSNR (dB) of an image") -> Figure:
    """How many images reach which score: one histogram for each model over the same bins, with a dashed median.

    Args:
        values: (n,) finite scores by the model's name, as from `etviz.metrics.measure`.
        label: of the axis, with the unit.

    Raises:
        UsageError: there is no model, or a score is not finite.
    """
    if not values or not all(len(scores) and scores.isfinite().all() for scores in values.values()):
        raise UsageError("A histogram takes at least one model's scores, all of them finite.")
    together = torch.cat([scores.double().cpu() for scores in values.values()])
    bins = max(5, round(2 * (len(together) / len(values)) ** (1 / 3)))  # Rice's rule: 43 for 10,000 images
    low, high = together.min().item(), together.max().item()
    edges = torch.linspace(low, high if high > low else low + 1, bins + 1, dtype=torch.float64)
    figure = new_figure(5.6, 2.7)
    axes = figure.subplots()
    for (name, scores), color in zip(values.items(), cycle(LINES), strict=False):
        counts = torch.histogram(scores.double().cpu(), edges).hist
        axes.stairs(counts, edges, color=color, linewidth=1.4, label=name, fill=False)
        if len(values) == 1:
            axes.stairs(counts, edges, color=color, alpha=0.25, fill=True)
        axes.axvline(scores.double().cpu().quantile(0.5).item(), color=color, linewidth=1, linestyle="--")
    plain(axes)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel(label, fontsize=SMALL, color=INK)
    axes.set_ylabel("images", fontsize=SMALL, color=INK)
    if len(values) == 1:
        axes.set_title(f"median {together.quantile(0.5).item():.2f}", fontsize=TEXT, color=INK, loc="left")
    else:
        axes.legend(fontsize=SMALL, frameon=False, labelcolor=INK)
    return figure


def difference_intervals(rows: Sequence[dict], title: str) -> Figure:
    """The mean difference of each pair of models as a dot, its 95% interval as a bar; the dashed line is at 0.

    Args:
        rows: of one metric, as `etviz.evaluation.paired.compare` gives them: first, second, difference, low, high.
        title: what is measured, with its unit.

    Raises:
        UsageError: there are no rows.
    """
    if not rows:
        raise UsageError("There is no pair of models to draw.")
    figure = new_figure(5.6, 0.75 + ROW * len(rows))
    axes = figure.subplots()
    places = range(len(rows) - 1, -1, -1)  # the first on top
    axes.axvline(0, color=FAINT, linewidth=1, linestyle="--")
    for place, row in zip(places, rows, strict=True):
        axes.plot([row["low"], row["high"]], [place, place], color=BLUE, linewidth=1.4)
    axes.plot([row["difference"] for row in rows], places, "o", color=BLUE, markersize=4)
    axes.set_yticks(places, [f"{row['first']} - {row['second']}" for row in rows], fontsize=SMALL)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_title(title, fontsize=TEXT, color=INK, loc="left")
    plain(axes)
    return figure
