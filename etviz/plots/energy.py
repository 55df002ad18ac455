"""The energy against the step, over many images."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from etviz.errors import UsageError
from etviz.models import Trace
from etviz.plots.style import BLUE, FAINT, GREEN, INK, LINES, ORANGE, SMALL, TEXT, new_figure, plain

LOW, HIGH = 0.1, 0.9  # quantiles that bound the band


def energy_curves(traces: Trace | Sequence[Trace]) -> Figure:
    """Total, attention and Hopfield energy against the step: the mean over images, and the band of the middle 80%.

    The energy has no unit. Lines break where one block's energy function gives way to the next one's (depth > 1). The
    title of the total says how many steps raised it: large steps may raise the energy, and the curves show it.

    Args:
        traces: one trace, or several of equally many steps; their images are drawn together.

    Raises:
        UsageError: no traces, or of different lengths (a trace that stopped early is shorter).
    """
    traces = _of_one_length(traces)
    parts = {
        "total energy": (torch.cat([t.energy for t in traces]), BLUE),
        "attention energy": (torch.cat([t.attention_energy.sum(-1) for t in traces]), ORANGE),
        "Hopfield energy": (torch.cat([t.hopfield_energy.sum(-1) for t in traces]), GREEN),
    }
    figure = new_figure(8.4, 2.7)
    panels = figure.subplots(1, 3)
    for axes, (name, (energy, color)) in zip(panels, parts.items(), strict=True):
        _draw(axes, energy.double().cpu(), traces[0].block.tolist(), color)
        axes.set_title(name, fontsize=TEXT, color=INK, loc="left")
    panels[0].set_title(f"total energy, {_rises(traces)}", fontsize=TEXT, color=INK, loc="left")
    panels[0].legend(fontsize=SMALL, frameon=False)
    return figure


def compare_descents(traces: dict[str, Trace]) -> Figure:
    """Total energy against the step, one line for each of several descents of the same images: means over the images.

    Energies have no unit, and can be compared only between descents on the same energy function: another beta is
    another function. The legend says in how many of its steps each descent went up.

    Args:
        traces: by name, at most seven, of one energy function (depth 1); their lengths may differ.

    Raises:
        UsageError: no trace, or more than there are colours for.
    """
    if not 1 <= len(traces) <= len(LINES):
        raise UsageError(f"One to {len(LINES)} descents can be told apart in a figure, not {len(traces)}.")
    columns = min(len(traces), 2)
    figure = new_figure(6.4, 3.0 + 0.18 * -(-len(traces) // columns))
    axes = figure.subplots()
    for (name, trace), color in zip(traces.items(), LINES, strict=False):
        energy = trace.energy.double().mean(dim=0).cpu()
        label = f"{name}: {_rises([trace])}"
        axes.plot(range(len(trace)), energy, color=color, linewidth=1.6, marker="o", markersize=2.5, label=label)
    axes.set_xlabel("step", fontsize=SMALL, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"total energy, mean of {len(trace.energy)} images", fontsize=TEXT, color=INK, loc="left")
    figure.legend(loc="outside lower left", ncols=columns, fontsize=SMALL, frameon=False)
    plain(axes)
    return figure


def gradient_norm(traces: Trace | Sequence[Trace]) -> Figure:
    """||dE/dg|| against the step: the mean over images and the band of the middle 80%.

    The norm is Euclidean, over all tokens of an image, in units of energy per unit of g. It does not vanish where a
    descent settles: the layer norm keeps g on a sphere, and the part of the gradient that points out of the sphere
    merely lengthens x, which changes no energy.

    Args:
        traces: as for `energy_curves`.

    Raises:
        UsageError: as `energy_curves`.
    """
    traces = _of_one_length(traces)
    figure = new_figure(3.4, 2.7)
    axes = figure.subplots()
    _draw(axes, torch.cat([t.gradient_norm for t in traces]).double().cpu(), traces[0].block.tolist(), BLUE)
    axes.set_title("gradient norm $\\|dE/dg\\|$", fontsize=TEXT, color=INK, loc="left")
    axes.legend(fontsize=SMALL, frameon=False)
    return figure


def _of_one_length(traces: Trace | Sequence[Trace]) -> list[Trace]:
    traces = [traces] if isinstance(traces, Trace) else list(traces)
    if len({len(trace) for trace in traces}) != 1:
        raise UsageError("Energy curves need traces of one length: leave tolerance out, so that all take every step.")
    return traces


def _draw(axes: Axes, energy: Tensor, block: list[int], color: str) -> None:
    """One panel: energy (B, T+1), and which block's energy each state is evaluated by."""
    count = len(energy)
    mean = energy.mean(dim=0)
    low, high = torch.quantile(energy, torch.tensor([LOW, HIGH], dtype=energy.dtype), dim=0)
    steps = torch.arange(energy.shape[1])
    for index in sorted(set(block)):
        here = torch.tensor([b == index for b in block])
        labels = ("mean", f"10-90% of {count} images") if index == block[0] else (None, None)
        axes.plot(steps[here], mean[here], color=color, linewidth=1.6, marker="o", markersize=2.5, label=labels[0])
        if count > 1:
            axes.fill_between(steps[here], low[here], high[here], color=color, alpha=0.2, linewidth=0, label=labels[1])
        if index != block[0]:
            axes.axvline(steps[here][0].item() - 0.5, color=FAINT, linewidth=0.8, linestyle=":")
    axes.set_xlabel("step", fontsize=SMALL, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)


def _rises(traces: list[Trace]) -> str:
    """How many steps of how many images raised the energy, of those within one energy function."""
    rises = sum(int(trace.rises().sum()) for trace in traces)
    comparable = int((traces[0].block[1:] == traces[0].block[:-1]).sum()) * sum(len(t.energy) for t in traces)
    return f"rose in {rises:,} of {comparable:,} steps"
