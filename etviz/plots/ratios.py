"""Quality against the share of patches hidden."""

from collections.abc import Collection, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from etviz.errors import UsageError
from etviz.plots.style import INK, SMALL, TEXT, line_looks, new_figure, plain


def ratio_curves(ratios: Sequence[float], psnr: dict[str, Tensor], floors: Collection[str] = ()) -> Figure:
    """Masked PSNR in dB against the share of patches hidden, a line for each way to fill them in.

    Args:
        ratios: shares, 0 to 1.
        psnr: by name, (len(ratios),), from `etviz.analysis.psnr_by_ratio`; seven at most, floors aside.
        floors: the names that are not models: drawn grey and dashed, under the others.

    Raises:
        UsageError: there is no line, there are more than colours, or a line does not have one value for each ratio.
    """
    looks = line_looks(list(psnr), floors)
    if any(len(values) != len(ratios) for values in psnr.values()):
        raise UsageError(f"{len(ratios)} ratios need as many values on each line.")
    figure = new_figure(6.2, 3.2)
    axes = figure.subplots()
    for name, values in psnr.items():
        axes.plot(ratios, values.cpu(), **looks[name], linewidth=1.6, markersize=2.5, label=name)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("patches hidden", fontsize=SMALL, color=INK)
    axes.set_title("masked PSNR (dB), higher is better", fontsize=TEXT, color=INK, loc="left")
    figure.legend(loc="outside right upper", fontsize=SMALL, frameon=False)
    plain(axes)
    return figure
