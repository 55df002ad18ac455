"""One style for every figure: sizes, colours, and how an image is drawn on its axes."""

import io
import itertools
from collections.abc import Collection, Sequence

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from etviz.errors import UsageError

# Okabe and Ito's palette, told apart by readers of any colour vision.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY = "#CC79A7", "#56B4E9"
LINES = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, "#000000")  # of curves to tell apart, in this order
GREY, DASHES, MARKERS = "#777777", ("--", ":", "-.", (0, (1, 3))), ("s", "D", "^", "v")  # of floors
INK, FAINT = "#222222", "#BBBBBB"
HEAT, COOL = "viridis", "cividis"  # of weights; of energies

TEXT, SMALL = 9, 7.5  # font sizes in points
DPI = 200
NOTEBOOK_DPI, CSS_DPI = 144, 96  # pixels in the file, and on the page, for every inch


class NotebookFigure(Figure):
    """A Figure that a notebook shows by itself, sharp on dense screens and small in the file."""

    def _repr_png_(self) -> tuple[bytes, dict]:
        width, height = (round(CSS_DPI * inches) for inches in self.get_size_inches())
        return figure_bytes(self, NOTEBOOK_DPI), {"width": width, "height": height}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` by ``height`` inches that keeps its own layout tight."""
    return NotebookFigure(figsize=(width, height), dpi=DPI, layout="constrained")


def figure_bytes(figure: Figure, dpi: float | None = None, **options) -> bytes:
    """A figure as a PNG, at ``dpi`` or its own; ``options`` as its savefig takes them."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi or "figure", **options)
    return file.getvalue()


def line_looks(names: Sequence[str], floors: Collection[str] = ()) -> dict[str, dict]:
    """How to draw each of several lines, as options of Axes.plot: models in colours, floors grey and dashed under them.

    Raises:
        UsageError: no line, or more models than there are colours for.
    """
    models = [name for name in names if name not in floors]
    if not names or len(models) > len(LINES):
        raise UsageError(f"One to {len(LINES)} lines can be told apart in a figure, not {len(models)}.")
    looks = {name: {"color": color, "marker": "o"} for name, color in zip(models, LINES, strict=False)}
    dashed = zip([name for name in names if name in floors], itertools.cycle(DASHES), itertools.cycle(MARKERS))
    return looks | {name: {"color": GREY, "linestyle": d, "marker": m, "zorder": 1} for name, d, m in dashed}


def show_image(axes: Axes, image: Tensor) -> None:
    """Draw a (C, H, W) image in [0, 1], pixel by pixel, without ticks or frame. C is 1 or 3."""
    pixels = image.detach().float().cpu().clamp(0, 1).permute(1, 2, 0).numpy()
    axes.imshow(
        pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels, interpolation="nearest", cmap="gray", vmin=0, vmax=1
    )
    bare(axes)


def bare(axes: Axes) -> None:
    """No ticks, no frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def plain(axes: Axes) -> None:
    """A curve's axes: left and bottom lines only, small numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(labelsize=SMALL, colors=INK)


def colorbar(
    figure: Figure | SubFigure, axes: Axes | list[Axes], norm: Normalize, label: str, cmap: str = HEAT
) -> None:
    """A slim colour bar beside ``axes``; ``label`` says what is measured, with its unit if it has one."""
    bar = figure.colorbar(ScalarMappable(norm, cmap), ax=axes, shrink=0.8, aspect=18, pad=0.02)
    bar.set_label(label, fontsize=SMALL, color=INK)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.outline.set_visible(False)
