"""One number for each class, in order."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from etviz.analysis.classes import ClassMeans
from etviz.errors import UsageError
from etviz.plots.style import BLUE, FAINT, INK, SMALL, TEXT, new_figure, plain

ROW = 0.19  # inches a class


def class_dots(
    values: ClassMeans,
    names: Sequence[str],
    title: str = "masked PSNR (dB), higher is better",
    average: bool = True,
) -> Figure:
    """A dot for each class that has images, the highest on top, with a bar of one standard error to either side.

    A thin line marks zero if there are values on both sides of it.

    Args:
        values: of K classes, from `etviz.analysis.psnr_by_class` or `mean_by_class`.
        names: K names.
        title: what is measured, with its unit.
        average: whether to draw the mean over classes, as a dashed line.

    Raises:
        UsageError: there is not one name for each class, or no class has an image.
    """
    if len(names) != len(values.mean):
        raise UsageError(f"There are {len(values.mean)} classes and {len(names)} names: give one for each.")
    there = values.count.nonzero()[:, 0]
    if not len(there):
        raise UsageError("No class has an image: there is nothing to draw.")
    order = there[values.mean[there].argsort()]
    rows = range(len(order))
    figure = new_figure(5.6, 0.7 + ROW * len(order))
    axes = figure.subplots()
    if average:
        axes.axvline(values.mean[there].mean().item(), color=FAINT, linewidth=1, linestyle="--")
    if values.mean[order[0]] < 0 < values.mean[order[-1]]:
        axes.axvline(0, color=INK, linewidth=0.8)
    spread = torch.nan_to_num(values.standard_error[order])
    axes.errorbar(values.mean[order], rows, xerr=spread, fmt="o", color=BLUE, markersize=4, linewidth=1.2)
    axes.set_yticks(rows, [names[int(index)] for index in order], fontsize=SMALL)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_title(title, fontsize=TEXT, color=INK, loc="left")
    plain(axes)
    return figure
