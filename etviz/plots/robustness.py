"""Models and floors beyond what models were trained for: one panel for each thing that is varied."""

from collections.abc import Collection

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from etviz.analysis.robustness import AXES, SHARES, Curve
from etviz.errors import UsageError
from etviz.plots.style import INK, SMALL, TEXT, line_looks, new_figure, plain

COLUMNS = 3
APART = 0.09  # rows between the dots of one kind of mask


def robustness_panels(curves: dict[str, dict[str, Curve]], floors: Collection[str] = ()) -> Figure:
    """Masked PSNR in dB along every axis, with 95% intervals over images.

    Args:
        curves: by axis and name, from `etviz.analysis.robustness_curves`; seven names at most, floors aside.
        floors: the names that are not models: drawn grey and dashed, under the others.

    Raises:
        UsageError: there is nothing to draw, there are more lines than colours, or the axes have different names.
    """
    if not curves:
        raise UsageError("There are no curves to draw: measure along at least one axis.")
    names = list(next(iter(curves.values())))
    if any(list(by_name) != names for by_name in curves.values()):
        raise UsageError("Every panel shows the same lines: measure the same fillings along every axis.")
    looks = line_looks(names, floors)
    rows = -(-len(curves) // COLUMNS)
    figure = new_figure(9.6, 0.5 + 2.5 * rows)
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    for axes, (axis, by_name) in zip(panels, curves.items(), strict=False):
        draw = _dots if axis == "kind" else _lines
        draw(axes, by_name, looks)
        axes.set_title(AXES[axis].title, fontsize=TEXT, color=INK, loc="left")
        axes.set_xlabel(AXES[axis].unit, fontsize=SMALL, color=INK)
        if axis in SHARES:
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        plain(axes)
    for axes in panels[len(curves) :]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4, fontsize=SMALL, frameon=False)
    figure.supylabel("masked PSNR (dB), higher is better", fontsize=SMALL, color=INK)
    return figure


def _lines(axes: Axes, by_name: dict[str, Curve], looks: dict[str, dict]) -> None:
    for name, curve in by_name.items():
        axes.fill_between(curve.levels, curve.low, curve.high, color=looks[name]["color"], alpha=0.15, linewidth=0)
        axes.plot(curve.levels, curve.psnr, **looks[name], linewidth=1.5, markersize=2.5, label=name)


def _dots(axes: Axes, by_name: dict[str, Curve], looks: dict[str, dict]) -> None:
    """Kinds of masks have no order: a row for each, and in it a dot with its interval for each line."""
    for number, (name, curve) in enumerate(by_name.items()):
        rows = [row + APART * (number - (len(by_name) - 1) / 2) for row in range(len(curve.levels))]
        spread = [curve.psnr - curve.low, curve.high - curve.psnr]
        look = {key: looks[name][key] for key in ("color", "marker")}
        axes.errorbar(curve.psnr, rows, xerr=spread, **look, linestyle="none", markersize=3.5, elinewidth=1, label=name)
    axes.set_yticks(range(len(curve.levels)), curve.levels)
    axes.invert_yaxis()
