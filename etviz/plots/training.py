"""The course of a training: its curves, and the same images rebuilt by its snapshots."""

import os
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from etviz.analysis.snapshots import snapshot_frames
from etviz.checkpoints import load_history
from etviz.errors import UsageError
from etviz.metrics import psnr_of_mse
from etviz.models import complete
from etviz.plots.grids import hide_patches
from etviz.plots.style import BLUE, GREEN, INK, ORANGE, SMALL, TEXT, VERMILION, new_figure, plain, show_image
from etviz.training import TrainConfig, learning_rate

CELL = 0.9  # inches
CURVES = {
    "train_loss": ("training loss (normalised units)", BLUE),
    "masked_psnr": ("validation masked PSNR (dB)", GREEN),
    "lr": ("learning rate", ORANGE),
    "images_per_second": ("images / s", VERMILION),
}


def training_curves(history: str | os.PathLike | Sequence[dict]) -> Figure:
    """Training loss, validation masked PSNR in dB, learning rate and images/s against the epoch.

    The loss is the mean squared error on hidden patches in normalised units, not comparable with masked MSE.

    Args:
        history: a run folder or shipped checkpoint, or the rows themselves: `etviz.training.State.history`.

    Raises:
        UsageError: no such run, no history, or one without rows.
    """
    rows = load_history(history) if isinstance(history, str | os.PathLike) else list(history)
    if not rows:
        raise UsageError("This history has no row yet: the first one is written after the first validation.")
    figure = new_figure(9.6, 2.4)
    epochs = [row["epoch"] for row in rows]
    for axes, (name, (title, color)) in zip(figure.subplots(1, 4), CURVES.items(), strict=True):
        axes.plot(epochs, [row[name] for row in rows], color=color, linewidth=1.6, marker="o", markersize=2.5)
        axes.set_title(title, fontsize=TEXT, color=INK, loc="left")
        axes.set_xlabel("epoch", fontsize=SMALL, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        plain(axes)
    figure.axes[-1].set_ylim(bottom=0)
    return figure


def learning_rates(config: TrainConfig, total_steps: int) -> Figure:
    """The learning rate of every step of a training: `etviz.training.learning_rate`.

    Args:
        config: the recipe.
        total_steps: its length.

    Raises:
        UsageError: a training of no step.
    """
    if total_steps < 1:
        raise UsageError(f"A training has at least 1 step, not {total_steps}.")
    figure = new_figure(4.4, 2.2)
    axes = figure.subplots()
    axes.plot([learning_rate(step, total_steps, config) for step in range(total_steps)], color=ORANGE, linewidth=1.6)
    axes.set_title("learning rate", fontsize=TEXT, color=INK, loc="left")
    axes.set_xlabel("step", fontsize=SMALL, color=INK)
    plain(axes)
    return figure


def epoch_strip(run: str | os.PathLike, images: Tensor, mask: Tensor) -> Figure:
    """One row for each image: the masked input, completed by each snapshot of a run, and the original.

    Beneath each picture stands the PSNR of its hidden pixels, in dB; above, the epoch of the snapshot.

    Args:
        run, images, mask: as `etviz.analysis.snapshot_frames`.

    Raises:
        UsageError: as there.
    """
    frames = list(snapshot_frames(run, images, mask))
    columns = [("masked", hide_patches(images, mask), None)]
    columns += [(f"epoch {_short(f.epoch)}", complete(images, f.reconstruction, mask), f.masked_mse) for f in frames]
    columns += [("original", images, None)]
    figure = new_figure(CELL * len(columns), (CELL + 0.12) * len(images) + 0.25)
    axes = figure.subplots(len(images), len(columns), squeeze=False)
    for cells, (label, pictures, error) in zip(axes.T, columns, strict=True):
        cells[0].set_title(label, fontsize=SMALL, color=INK, pad=3)
        for row, cell in enumerate(cells):
            show_image(cell, pictures[row])
            if error is not None:
                cell.set_xlabel(f"{psnr_of_mse(error[row]):.1f} dB", fontsize=SMALL, color=INK, labelpad=2)
    return figure


def _short(epoch: float) -> str:
    """Two digits are enough for a fraction of an epoch."""
    return f"{epoch:.0f}" if epoch >= 10 else f"{epoch:.2g}"
