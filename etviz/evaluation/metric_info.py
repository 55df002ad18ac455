"""What each metric is: its range, direction, unit and use, stated once for tables, reports and the app.

`python -m etviz.metric_info` writes etviz/ui/page/lib/metrics.js from it, which holds the page's labels and texts.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "ui" / "page" / "lib" / "metrics.js"
LPIPS_NETS = ("alex", "vgg", "squeeze")


@dataclass(frozen=True)
class MetricInfo:
    """One metric. ``low`` and ``high`` are the ends of its range; ``high`` is infinite if there is no upper end."""

    label: str
    meaning: str  # what is measured
    use: str  # what it is for
    better: str  # "lower" or "higher"
    low: float
    high: float
    unit: str = ""
    decimals: int = 4
    over: str = "mean over images"  # what one number for a split is

    @property
    def range(self) -> str:
        """As "from 0 to 1", or "from 0 up" without an upper end."""
        return f"from {self.low:g} up" if math.isinf(self.high) else f"from {self.low:g} to {self.high:g}"

    @property
    def text(self) -> str:
        """Everything in a few short sentences, as a tooltip says it."""
        unit = f"in {self.unit}" if self.unit else "no unit"
        return f"{self.meaning} {self.range.capitalize()}, {unit}; {self.better} is better. {self.use}"

    def format(self, value: float | None) -> str:
        """A value with its decimals and unit. None stands for what JSON has no number for: an infinite one."""
        if value is None or math.isinf(value):
            return "infinite"
        return f"{value:.{self.decimals}f}{' dB' if self.unit == DECIBELS else ''}"


DECIBELS = "decibels (dB)"
PARTS = {
    "masked": "over the hidden pixels alone",
    "completed": "over all pixels of the completed picture, whose visible pixels are as given",
    "raw": "over all pixels of the raw reconstruction, in which the visible patches are predicted too",
}
# What each part is for. Checkpoints are compared by the masked metrics.
PART_USE = {
    "masked": "Shows how well the missing part was guessed.",
    "completed": "Rates the finished picture, and flatters it: the visible pixels are right by construction.",
    "raw": "Shows how the model redraws what it was shown; models are trained on hidden patches alone.",
}


def _errors(part: str) -> dict[str, MetricInfo]:
    """MSE and PSNR of one part of the picture, and the image mean of the PSNR."""
    where, use = PARTS[part], PART_USE[part]
    pixels = "hidden pixels" if part == "masked" else "all pixels"
    mse = MetricInfo(
        f"{part} MSE", f"Mean squared error {where}, of values in 0 to 1.", use, "lower", 0, 1, "", 6,
        pixels,
    )  # fmt: skip
    ratio = f"Peak signal-to-noise ratio {where}: -10 log10 of the MSE."
    psnr = MetricInfo(f"{part} PSNR", ratio, use, "higher", 0, math.inf, DECIBELS, 3, "of that mean")
    mean = MetricInfo(
        f"{part} PSNR by image", f"{ratio} Of each image, then averaged.",
        f"{use} Gives easy pictures more weight than the PSNR of the mean error does.",
        "higher", 0, math.inf, DECIBELS, 3, "mean of each image's own",
    )  # fmt: skip
    return {f"{part}_mse": mse, f"{part}_psnr": psnr, f"{part}_psnr_image_mean": mean}


def _perception(part: str) -> dict[str, MetricInfo]:
    """SSIM, LPIPS and FID of a whole picture, completed or raw."""
    picture = f"the {part} {'picture' if part == 'completed' else 'reconstruction'}"
    ssim = MetricInfo(
        f"{part} SSIM", f"Structural similarity of {picture} and the original, in 11x11 windows.",
        "Shows whether edges and textures are kept, which the MSE does not see.", "higher", -1, 1,
    )  # fmt: skip
    lpips = {f"{part}_lpips_{net}": _lpips(part, picture, net) for net in LPIPS_NETS}
    fid = MetricInfo(
        f"{part} FID", f"Frechet distance between Inception features of all {part} pictures and of all originals.",
        "Shows whether the pictures look real as a set, not whether each is right. Falls with the number of images: "
        "compare only equal numbers of images.", "lower", 0, math.inf, "", 3, "of all images together",
    )  # fmt: skip
    return {f"{part}_ssim": ssim, **lpips, f"{part}_fid": fid}


def _lpips(part: str, picture: str, net: str) -> MetricInfo:
    return MetricInfo(
        f"{part} LPIPS ({net})",
        f"Learned perceptual distance of {picture} and the original: between features of {net}.",
        "Estimates how different people would find the two; blur costs more than in the MSE.", "lower", 0, math.inf,
    )  # fmt: skip


METRICS = {
    **_errors("masked"),
    **_errors("completed"),
    **_perception("completed"),
    **_errors("raw"),
    **_perception("raw"),
}


def script() -> str:
    """The source of etviz/ui/page/lib/metrics.js."""
    known = {key: {"label": info.label, "text": info.text, "better": info.better} for key, info in METRICS.items()}
    head = "/** What each metric is. Written by `python -m etviz.metric_info`: change it there. */\n\n"
    return f"{head}export const METRIC_INFO = {json.dumps(known, indent=2)};\n"
