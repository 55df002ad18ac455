"""Descents from disturbed starts, and where they end."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from etviz.analysis.perturbations import Perturbations
from etviz.plots.style import BLUE, INK, SMALL, TEXT, VERMILION, new_figure, plain, show_image

SHOWN = 9  # end states as pictures, the undisturbed one included
COLORS = {True: BLUE, False: VERMILION}
VERDICTS = {True: "same basin", False: "another basin"}


def perturbations(result: Perturbations) -> Figure:
    """Energies (no unit) by step, final energy against masked MSE, and the first end states as pictures.

    Blue descents settle in the basin of the undisturbed one (black, dashed), orange-red ones behind a barrier, or
    nowhere within the limit. The criterion is that of `etviz.analysis.perturbed_descents`.

    Args:
        result: of S disturbed descents of T steps.
    """
    figure = new_figure(7.6, 3.9)
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.6, 1.1])[:, 0]
    curves, ends = top.subplots(1, 2)
    _draw_curves(curves, result)
    _draw_ends(ends, result)
    pictures = [result.reference_frame, *result.frames[: SHOWN - 1]]
    settled = (result.settled.is_settled & result.reference.settled.is_settled).tolist()
    verdicts = zip(result.same_basin.tolist(), settled, strict=True)
    labels = ["undisturbed", *(VERDICTS[same] if known else "not settled" for same, known in verdicts)]
    cells = bottom.subplots(1, SHOWN)
    for cell in cells[len(pictures) :]:
        cell.set_visible(False)
    for cell, picture, label in zip(cells, pictures, labels, strict=False):
        show_image(cell, picture)
        cell.set_title(label, fontsize=SMALL, color=INK, pad=3)
    return figure


def _draw_curves(axes: Axes, result: Perturbations) -> None:
    for energy, same in zip(result.energy.double().cpu(), result.same_basin.tolist(), strict=True):
        axes.plot(energy, color=COLORS[same], linewidth=1.0)
    axes.plot(result.reference_energy.double().cpu(), color=INK, linewidth=1.4, linestyle="--")
    same, count = int(result.same_basin.sum()), len(result.energy)
    title = f"noise {result.noise:g}: {same} of {count} in the same basin"
    axes.set_title(title, fontsize=TEXT, color=INK, loc="left")
    axes.set_xlabel("step", fontsize=SMALL, color=INK)
    axes.set_ylabel("energy", fontsize=SMALL, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)


def _draw_ends(axes: Axes, result: Perturbations) -> None:
    final, error = result.energy[:, -1].double().cpu(), result.masked_mse.double().cpu()
    for same in sorted(set(result.same_basin.tolist())):
        chosen = result.same_basin.cpu() == same
        axes.scatter(final[chosen], error[chosen], color=COLORS[same], s=16, label=VERDICTS[same])
    end = result.reference_energy[-1].item()
    axes.scatter([end], [result.reference_mse], color=INK, marker="*", s=60, label="undisturbed")
    title = f"end / start distance: {result.distance_ratio.median():.2f} at the median"
    axes.set_title(title, fontsize=TEXT, color=INK, loc="left")
    axes.set_xlabel("final energy", fontsize=SMALL, color=INK)
    axes.set_ylabel("masked MSE", fontsize=SMALL, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.legend(fontsize=SMALL, frameon=False)
    plain(axes)
