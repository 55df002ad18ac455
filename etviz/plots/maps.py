"""The energy of single tokens, over the picture."""

import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from etviz.analysis.inputs import check_place
from etviz.masks import grid_side
from etviz.models import Trace
from etviz.plots.film import complete_frames
from etviz.plots.style import COOL, INK, TEXT, bare, colorbar, new_figure, show_image

TERMS = {"attention": "attention energy", "hopfield": "Hopfield energy"}


def token_energy_maps(trace: Trace, images: Tensor, image: int = 0, step: int = -1) -> Figure:
    """Both terms' energies of every patch token, beside the completed picture of the same state.

    A white line separates hidden from visible patches. Each map has its own scale, since the terms differ in size.
    Energies have no unit. CLS has no place in the picture, so its energy is written out.

    Args:
        trace: with frames, and energies (B, T+1, N), CLS first.
        images: (B, C, H, W) in [0, 1], the ones traced.
        image: which of the B images.
        step: which state; -1 is the last.

    Raises:
        UsageError: the trace has no frames, or is of other images, or there is no such image or step.
    """
    check_place(trace, image, step)
    completed = complete_frames(trace, images)[image, step]
    figure = new_figure(8.2, 2.6)
    picture, *panels = figure.subplots(1, 3)
    show_image(picture, completed)
    picture.set_title(f"step {step % len(trace)}", fontsize=TEXT, color=INK)
    for axes, (term, title) in zip(panels, TERMS.items(), strict=True):
        energy = getattr(trace, f"{term}_energy")[image, step].double().cpu()
        norm = _draw_map(axes, energy[1:], trace.mask[image].cpu())
        axes.set_title(f"{title}; CLS {energy[0]:,.1f}", fontsize=TEXT, color=INK)
        colorbar(figure, axes, norm, "energy (no unit)", COOL)
    return figure


def _draw_map(axes: Axes, energy: Tensor, mask: Tensor) -> Normalize:
    """energy (patches,) over the grid, and where mask (patches,) changes."""
    side = grid_side(len(mask))
    finite = energy[torch.isfinite(energy)]
    norm = Normalize(finite.min().item(), finite.max().item()) if len(finite) else Normalize(0, 1)
    axes.imshow(energy.reshape(side, side).numpy(), cmap=COOL, norm=norm, interpolation="nearest")
    _draw_border(axes, mask.reshape(side, side))
    bare(axes)
    return norm


def _draw_border(axes: Axes, mask: Tensor) -> None:
    """A line along every edge between a hidden and a visible patch, for mask (side, side)."""
    style = {"colors": "white", "linewidth": 1.0}
    for row, column in (mask[:, 1:] != mask[:, :-1]).nonzero().tolist():
        axes.vlines(column + 0.5, row - 0.5, row + 0.5, **style)
    for row, column in (mask[1:] != mask[:-1]).nonzero().tolist():
        axes.hlines(row + 0.5, column - 0.5, column + 0.5, **style)
