"""The energy around a descent: along minus the gradient, and on the plane of its states."""

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from etviz.analysis.landscape import EnergyPlane, GradientLine
from etviz.plots.style import BLUE, COOL, FAINT, INK, SMALL, TEXT, VERMILION, colorbar, new_figure, plain

LEVELS = 18


def landscape_line(line: GradientLine) -> Figure:
    """The energy (no unit) along minus the gradient against the step size a: the state, and where its step leads.

    Args:
        line: from `etviz.analysis.energy_along_gradient`: P sizes and energies.
    """
    figure = new_figure(4.4, 2.7)
    axes = figure.subplots()
    axes.plot(line.sizes.double().cpu(), line.energy.double().cpu(), color=BLUE, linewidth=1.6)
    axes.axvline(0, color=FAINT, linewidth=0.8, linestyle=":")
    marks = {"marker": "o", "markersize": 5, "linestyle": "none"}
    axes.plot([0], [line.energy_here], color=INK, label=f"state {line.step}", **marks)
    axes.plot([line.step_size], [line.energy_next], color=VERMILION, label=f"a = {line.step_size:g}", **marks)
    axes.set_xlabel("step size a in x - a dE/dg", fontsize=SMALL, color=INK)
    axes.set_ylabel("energy", fontsize=SMALL, color=INK)
    axes.set_title(f"along minus the gradient, from step {line.step}", fontsize=TEXT, color=INK, loc="left")
    axes.legend(fontsize=SMALL, frameon=False)
    plain(axes)
    return figure


def landscape_plane(plane: EnergyPlane) -> Figure:
    """Contours of the energy (no unit) on the plane of the path's first two principal components, and the path.

    Each state's dot has the colour of its own energy, on the same scale. Where a dot differs from its background, the
    plane leaves out something that matters there. Axes are in units of the (normalised) tokens.

    Args:
        plane: from `etviz.analysis.energy_plane`: P x P energies, S states.
    """
    energy, path_energy = plane.energy.double().cpu(), plane.path_energy.double().cpu()
    low, high = min(energy.min(), path_energy.min()).item(), max(energy.max(), path_energy.max()).item()
    norm = Normalize(low, high)
    figure = new_figure(5.0, 3.8)
    axes = figure.subplots()
    grid = plane.first.double().cpu(), plane.second.double().cpu(), energy
    axes.contourf(*grid, levels=LEVELS, cmap=COOL, norm=norm)
    axes.contour(*grid, levels=LEVELS, colors="white", linewidths=0.3)
    _draw_path(axes, plane, norm)
    colorbar(figure, axes, norm, "energy (no unit)", COOL)
    for set_label, rank, share in zip(
        (axes.set_xlabel, axes.set_ylabel), ("first", "second"), plane.variance, strict=True
    ):
        set_label(f"{rank} component, {share:.1%}", fontsize=SMALL, color=INK)
    title = f"this plane holds {sum(plane.variance):.1%} of the path's variance"
    axes.set_title(title, fontsize=TEXT, color=INK, loc="left")
    plain(axes)
    return figure


def _draw_path(axes: Axes, plane: EnergyPlane, norm: Normalize) -> None:
    """The states in order, each in the colour of its energy, the first and the last one labelled."""
    across, up = plane.path.double().cpu().unbind(1)
    axes.plot(across, up, color=VERMILION, linewidth=1.2, zorder=2)
    energy = plane.path_energy.double().cpu()
    axes.scatter(across, up, c=energy, cmap=COOL, norm=norm, s=22, edgecolors=VERMILION, linewidths=1.0, zorder=3)
    steps = plane.steps.tolist()
    for index in (0, -1):
        place = {"xytext": (5, 5), "textcoords": "offset points", "fontsize": SMALL, "color": "white"}
        box = {"boxstyle": "round,pad=0.15", "facecolor": INK, "edgecolor": "none", "alpha": 0.75}
        axes.annotate(f"step {steps[index]}", (across[index], up[index]), **place, bbox=box, zorder=4)
