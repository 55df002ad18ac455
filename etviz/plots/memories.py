"""The Hopfield memories as pictures, in the order of their use."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from etviz.errors import UsageError
from etviz.masks import grid_side
from etviz.plots.style import COOL, FAINT, GREEN, INK, SMALL, TEXT, bare, new_figure, plain, show_image

CELL = 0.2  # inches
GAP = 1  # pixels between two memories
COLUMNS = 32


def memory_grid(patches: Tensor, energy: Tensor | None = None, columns: int = COLUMNS) -> Figure:
    """All memories as patches. Given their energies, they are sorted, and a curve shows how quickly the sum is reached.

    Memories are numbered row by row from the top left. Each picture is what the decoder makes of a memory alone, far
    stronger than its trace in a reconstruction: see `etviz.analysis.memory_patches`.

    Args:
        patches: (M, C, P, P) in [0, 1], from `memory_patches`.
        energy: (M,), 0 or negative, as a row of `memory_energy`; most negative first. None leaves the order as it is.
        columns: memories in a row, at least 1.

    Raises:
        UsageError: no column, or not one energy for each memory.
    """
    if columns < 1:
        raise UsageError(f"columns must be at least 1, not {columns}.")
    if energy is not None and energy.shape != patches.shape[:1]:
        raise UsageError(f"{len(patches)} memories need as many energies, not a tensor of {tuple(energy.shape)}.")
    if energy is None:
        return _draw_all(patches, columns)
    energy, order = energy.double().cpu().sort()
    figure = _draw_all(patches[order.to(patches.device)], columns, beside=2.4)
    _draw_shares(figure.axes[1], energy.cumsum(0) / energy.sum())
    return figure


def memory_places(picture: Tensor, patches: Tensor, energy: Tensor, memories: Sequence[int]) -> Figure:
    """Where on a picture some memories fire: the picture, then under each memory its energy in every patch.

    Each map has its own scale; its lowest energy is written under it. Dark is low, where the memory fires most.
    Energies have no unit.

    Args:
        picture: (C, H, W) in [0, 1].
        patches: (M, C, P, P) in [0, 1], from `etviz.analysis.memory_patches`.
        energy: (len(memories), N), 0 or negative, CLS first, as a row of `etviz.analysis.memory_energy_by_token` each.
        memories: which of the M.

    Raises:
        UsageError: no memory, or not one row of energies for each.
    """
    if not len(memories) or len(energy) != len(memories):
        raise UsageError(f"{len(memories)} memories need as many rows of energies, at least one, not {len(energy)}.")
    side = grid_side(energy.shape[1] - 1)
    figure = new_figure(1.15 * (len(memories) + 1), 2.1)
    axes = figure.subplots(2, len(memories) + 1, height_ratios=[0.5, 1], squeeze=False)
    show_image(axes[1, 0], picture)
    axes[0, 0].set_visible(False)
    for (above, below), memory, row in zip(axes.T[1:], memories, energy, strict=True):
        show_image(above, patches[memory])
        above.set_title(f"memory {memory}", fontsize=SMALL, color=INK, pad=3)
        below.imshow(row[1:].reshape(side, side).double().cpu().numpy(), cmap=COOL, vmax=0, interpolation="nearest")
        bare(below)
        below.set_xlabel(f"down to {row[1:].min():,.0f}", fontsize=SMALL, color=INK, labelpad=2)
    return figure


def _draw_all(patches: Tensor, columns: int, beside: float = 0.0) -> Figure:
    """The mosaic, with axes of ``beside`` inches to its right if above 0."""
    rows = -(-len(patches) // columns)
    width = columns * CELL
    figure = new_figure(width + beside + 0.2, max(rows * CELL + 0.4, 2.2 if beside else 0.0))
    axes = figure.subplots(1, 2, width_ratios=[width, beside]) if beside else [figure.subplots()]
    show_image(axes[0], mosaic(patches, columns))
    order = ", strongest first" if beside else ""
    axes[0].set_title(f"{len(patches)} memories{order}", fontsize=TEXT, color=INK, loc="left")
    return figure


def mosaic(patches: Tensor, columns: int) -> Tensor:
    """(M, C, P, P) in rows of ``columns``, on white with gaps: (C, rows * (P + 1) - 1, columns * (P + 1) - 1)."""
    count, channels, side, _ = patches.shape
    rows, cell = -(-count // columns), side + GAP
    canvas = patches.new_ones(rows * columns, channels, cell, cell)
    canvas[:count, :, :side, :side] = patches
    whole = canvas.reshape(rows, columns, channels, cell, cell).permute(2, 0, 3, 1, 4)
    return whole.reshape(channels, rows * cell, columns * cell)[:, :-GAP, :-GAP]


def _draw_shares(axes: Axes, share: Tensor) -> None:
    """share (M,): of the Hopfield energy, carried by the first 1, 2, ... memories."""
    half = int((share < 0.5).sum()) + 1
    axes.plot(torch.arange(1, len(share) + 1), share, color=GREEN, linewidth=1.6)
    axes.axhline(0.5, color=FAINT, linewidth=0.8, linestyle=":")
    axes.set(ylim=(0, 1.02), xlim=(0, len(share)))
    axes.set_xlabel("strongest memories", fontsize=SMALL, color=INK)
    axes.set_ylabel("share of Hopfield energy", fontsize=SMALL, color=INK)
    axes.set_title(f"{half} of {len(share)} carry half", fontsize=TEXT, color=INK, loc="left")
    plain(axes)
