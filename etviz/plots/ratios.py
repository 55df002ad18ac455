"""Quality against how much is hidden."""

import itertools
from collections.abc import Collection, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from etviz.errors import UsageError
from etviz.plots.style import INK, LINES, SMALL, TEXT, new_figure, plain

GREY, DASHES = "#777777", ("--", ":", "-.")  # of floors


def ratio_curves(ratios: Sequence[float], psnr: dict[str, Tensor], floors: Collection[str] = ()) -> Figure:
    """Masked PSNR in dB against the share of patches hidden, a line for each way to fill them in.

    Args:
        ratios: shares, 0 to 1.
        psnr: by name, (len(ratios),), from `etviz.analysis.psnr_by_ratio`; seven at most, floors aside.
        floors: which of the names are no models: drawn grey and dashed, under the others.

    Raises:
        UsageError: no line, more than there are colours for, or not one value a ratio.
    """
    models = [name for name in psnr if name not in floors]
    if not psnr or len(models) > len(LINES):
        raise UsageError(f"One to {len(LINES)} lines can be told apart in a figure, not {len(models)}.")
    if any(len(values) != len(ratios) for values in psnr.values()):
        raise UsageError(f"{len(ratios)} ratios need as many values on each line.")
    figure = new_figure(6.2, 3.2)
    axes = figure.subplots()
    colors, dashes = iter(LINES), itertools.cycle(DASHES)
    for name, values in psnr.items():
        look = {"color": GREY, "linestyle": next(dashes), "zorder": 1} if name in floors else {"color": next(colors)}
        axes.plot(ratios, values.cpu(), **look, linewidth=1.6, marker="o", markersize=2.5, label=name)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("patches hidden", fontsize=SMALL, color=INK)
    axes.set_title("masked PSNR (dB), higher is better", fontsize=TEXT, color=INK, loc="left")
    figure.legend(loc="outside right upper", fontsize=SMALL, frameon=False)
    plain(axes)
    return figure
