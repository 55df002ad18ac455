"""Pictures, and beneath each how far every pixel is from what a model expects."""

from collections.abc import Sequence

from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from etviz.errors import UsageError
from etviz.plots.grids import CELL
from etviz.plots.style import HEAT, INK, SMALL, bare, colorbar, new_figure, show_image


def anomaly_maps(images: Tensor, maps: Tensor, captions: Sequence[str] | None = None) -> Figure:
    """One column for each picture: the picture, and its map of squared errors. All maps share one colour scale.

    Args:
        images: (B, C, H, W) in [0, 1].
        maps: (B, H, W), from `etviz.analysis.anomaly_map`.
        captions: B words, over the pictures.

    Raises:
        UsageError: there is not one map, or not one caption, for each picture.
    """
    captions = [""] * len(images) if captions is None else captions
    if maps.shape != images[:, 0].shape or len(captions) != len(images):
        raise UsageError(f"{len(images)} pictures need as many maps of their size, and captions if there are any.")
    figure = new_figure(CELL * len(images) + 0.8, 2 * CELL + 0.4)
    axes = figure.subplots(2, len(images), squeeze=False)
    norm = Normalize(0, maps.max().item())
    for image, error, caption, (above, below) in zip(images, maps.cpu(), captions, axes.T, strict=True):
        above.set_title(caption, fontsize=SMALL, color=INK, pad=3)
        show_image(above, image)
        below.imshow(error.numpy(), cmap=HEAT, norm=norm, interpolation="nearest")
        bare(below)
    colorbar(figure, list(axes[1]), norm, "squared error")
    return figure
