"""Energy and error of one descent: lower energy need not be a better picture."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from etviz.analysis.inputs import check_place
from etviz.metrics import masked_mse
from etviz.models import Trace
from etviz.plots.film import complete_frames
from etviz.plots.style import BLUE, INK, SMALL, TEXT, VERMILION, new_figure, plain


def energy_and_error(trace: Trace, images: Tensor, image: int = 0) -> Figure:
    """Total energy (left axis, no unit) and masked MSE (right axis, of pixels in [0, 1]) of one image, by step.

    The dotted line marks the step of the least error.

    Args:
        trace: of T steps over B images, with frames.
        images: (B, C, H, W) in [0, 1], the ones traced.
        image: which of them.

    Raises:
        UsageError: the trace has no frames or others than of these images, or there is no such image.
    """
    check_place(trace, image)
    frames = complete_frames(trace, images)[image]  # (T+1, C, H, W); on hidden pixels, the frames themselves
    steps = range(len(trace))
    error = masked_mse(images[image].expand_as(frames), frames, trace.mask[image].expand(len(frames), -1)).cpu()
    figure = new_figure(4.4, 2.7)
    left = figure.subplots()
    right = left.twinx()
    left.plot(steps, trace.energy[image].double().cpu(), color=BLUE, linewidth=1.6, marker="o", markersize=2.5)
    right.plot(steps, error, color=VERMILION, linewidth=1.6, marker="s", markersize=2.5)
    right.axvline(int(error.argmin()), color=VERMILION, linewidth=0.8, linestyle=":")
    plain(left)
    plain(right)
    right.spines["right"].set_visible(True)
    for axes, label, color in ((left, "energy", BLUE), (right, "masked MSE", VERMILION)):
        axes.set_ylabel(label, fontsize=SMALL, color=color)
        axes.tick_params(axis="y", colors=color)
    left.set_xlabel("step", fontsize=SMALL, color=INK)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_title(
        f"least error at step {int(error.argmin())} of {len(trace) - 1}", fontsize=TEXT, color=INK, loc="left"
    )
    return figure
