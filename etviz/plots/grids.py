"""Images side by side: what was given, what the model saw, what it made of it."""

from textwrap import fill

from matplotlib.figure import Figure
from torch import Tensor

from etviz.masks import grid_side, mask_to_pixels
from etviz.metrics import masked_psnr
from etviz.models import complete
from etviz.plots.style import INK, SMALL, TEXT, new_figure, show_image

HIDDEN_GREY = 0.5
CELL = 0.95  # inches
LETTERS = 14  # that fit over a picture


def hide_patches(images: Tensor, mask: Tensor) -> Tensor:
    """The images as the model sees them, hidden patches mid-grey. (B, C, H, W) and (B, N) bool -> (B, C, H, W)."""
    patch_size = images.shape[-1] // grid_side(mask.shape[-1])
    return images.masked_fill(mask_to_pixels(mask, patch_size), HIDDEN_GREY)


def reconstruction_grid(images: Tensor, mask: Tensor, reconstruction: Tensor) -> Figure:
    """One column for each image: original, masked, reconstruction, completed, and masked PSNR in dB.

    The reconstruction is shown as it is. Models are trained on hidden patches alone, so its visible patches may look
    like anything.

    Args:
        images, reconstruction: (B, C, H, W) in [0, 1].
        mask: (B, N) bool, True = hidden.

    Raises:
        UsageError: shapes that do not fit.
    """
    psnr = masked_psnr(images, reconstruction, mask)
    rows = {
        "original": images,
        "masked": hide_patches(images, mask),
        "reconstruction": reconstruction,
        "completed": complete(images, reconstruction, mask),
    }
    count = len(images)
    figure = new_figure(CELL * count + 1.1, CELL * len(rows) + 0.3)
    axes = figure.subplots(len(rows), count, squeeze=False)
    for row, (label, pictures) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(label, fontsize=TEXT, color=INK, rotation=0, ha="right", va="center", labelpad=6)
        for cell, picture in zip(row, pictures, strict=True):
            show_image(cell, picture)
    for cell, value in zip(axes[-1], psnr.tolist(), strict=True):
        cell.set_xlabel(f"{value:.1f} dB", fontsize=SMALL, color=INK)
    below = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes[-1][0].annotate("masked PSNR", (0, 0), (-6, -4), **below, fontsize=SMALL, color=INK, ha="right", va="top")
    return figure


def comparison_grid(images: Tensor, mask: Tensor, fills: dict[str, Tensor]) -> Figure:
    """One row for each image: masked, filled in by each method, original; beneath each, masked PSNR in dB.

    Args:
        images: (B, C, H, W) in [0, 1].
        mask: (B, N) bool, True = hidden.
        fills: reconstructions by name, (B, C, H, W) in [0, 1]; visible patches show the given pixels.

    Raises:
        UsageError: shapes that do not fit.
    """
    columns = [("masked", hide_patches(images, mask), None)]
    columns += [
        (name, complete(images, filled, mask), masked_psnr(images, filled, mask)) for name, filled in fills.items()
    ]
    columns += [("original", images, None)]
    figure = new_figure(CELL * len(columns), (CELL + 0.17) * len(images) + 0.25)
    axes = figure.subplots(len(images), len(columns), squeeze=False)
    for cells, (name, pictures, psnr) in zip(axes.T, columns, strict=True):
        cells[0].set_title(fill(name, LETTERS), fontsize=SMALL, color=INK, pad=3)
        for row, cell in enumerate(cells):
            show_image(cell, pictures[row])
            if psnr is not None:
                cell.set_xlabel(f"{psnr[row]:.1f} dB", fontsize=SMALL, color=INK, labelpad=2)
    return figure
