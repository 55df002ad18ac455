"""What features tell about classes: a map of them, and the accuracy of classifiers after each step of the descent."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from torch import Tensor

from etviz.errors import UsageError
from etviz.plots.style import INK, LINES, SMALL, TEXT, bare, new_figure, plain

MAX_NAMED = 20  # classes that a legend can tell apart


def feature_map(points: Tensor, labels: Tensor, class_names: Sequence[str], title: str = "") -> Figure:
    """Features laid out in the plane, as by t-SNE, coloured by class. Distances between clusters mean little.

    Args:
        points: (n, 2).
        labels: (n,) int64.
        class_names: of the labels; more than 20 are left without a legend.
        title: what is shown.

    Raises:
        UsageError: points and labels that do not fit together.
    """
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise UsageError(f"Points must be (n, 2) with n labels, not {tuple(points.shape)} and {tuple(labels.shape)}.")
    figure = new_figure(5.4, 4.0)
    axes = figure.subplots()
    present = labels.unique().tolist()
    colors = figure_colors(len(class_names))
    for label in present:
        own = points[labels == label]
        axes.scatter(own[:, 0], own[:, 1], s=7, color=colors[label], linewidths=0, alpha=0.8, label=class_names[label])
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(title, fontsize=TEXT, color=INK, loc="left")
    bare(axes)
    if len(present) <= MAX_NAMED:
        figure.legend(loc="outside right upper", fontsize=SMALL, frameon=False, markerscale=2)
    return figure


def figure_colors(count: int) -> list:
    """At least ``count`` colours: those of a qualitative map if it has enough, else colours along a wheel."""
    for name, size in (("tab10", 10), ("tab20", 20)):
        if count <= size:
            return [colormaps[name](i) for i in range(size)]
    return [colormaps["hsv"](i / count) for i in range(count)]


def step_accuracy(
    accuracies: Mapping[str, Sequence[float]], intervals: Mapping[str, Sequence[tuple[float, float]]], classes: int
) -> Figure:
    """Accuracy against the step of the descent whose state is read, a line with its interval for each classifier.

    Args:
        accuracies: by classifier, (T+1,), 0 to 1.
        intervals: by classifier, T+1 pairs (low, high).
        classes: how many there are: 1 / classes is drawn as chance.
    """
    figure = new_figure(5.4, 3.0)
    axes = figure.subplots()
    for (name, values), color in zip(accuracies.items(), LINES, strict=False):
        steps, bounds = range(len(values)), torch.tensor(intervals[name])
        axes.fill_between(steps, bounds[:, 0], bounds[:, 1], color=color, alpha=0.15, linewidth=0)
        axes.plot(steps, values, color=color, linewidth=1.6, marker="o", markersize=2.5, label=name)
    axes.axhline(1 / classes, color="#777777", linestyle=":", linewidth=1, label="chance")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("step of the descent, nothing hidden", fontsize=SMALL, color=INK)
    axes.set_title("accuracy on test images, with 95% intervals", fontsize=TEXT, color=INK, loc="left")
    figure.legend(loc="outside right upper", fontsize=SMALL, frameon=False)
    plain(axes)
    return figure
