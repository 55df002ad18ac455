"""A whole evaluation as one self-contained page, and as JSON that holds everything the page shows.

report.html contains its figures and loads nothing from the network. report.json holds the options, the code's git
revision, library versions, device, seeds, digests of the weights, every image's scores and labels, and which images are
drawn, so each figure can be redrawn from it and the dataset. Neither holds a time: the same call writes the same files.
"""

import base64
import json
import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from etviz import plots
from etviz.analysis.classes import psnr_by_class
from etviz.data import Dataset, to_float
from etviz.evaluation.metric_info import METRICS
from etviz.evaluation.provenance import provenance, weights_digest
from etviz.evaluation.scores import STANDARD_ERROR, Evaluation, groupings
from etviz.files import dump, write_text
from etviz.metrics import evaluation_masks, psnr_of_mse
from etviz.models import MaskedImageModel
from etviz.plots.style import CSS_DPI
from etviz.reports.render import render, style
from etviz.reports.words import left_out_words, paired_meaning, paired_words, verdicts

SAMPLES = 8  # images in a grid
COMPARED_SAMPLES = 6
DIGITS = 7  # of each image's scores: as many as float32 has
PLACES = ("report", "json", "force")  # options that say where to write, not what to measure
GRIDS = {
    "samples": ("The first images of the split", "Under the masks that every checkpoint is measured with."),
    "best": ("Best images", "Those with the highest masked PSNR of the split, best first."),
    "median": ("Median images", "The middle of the split, ordered by masked PSNR."),
    "worst": ("Worst images", "Those with the lowest masked PSNR of the split, worst first."),
}


@dataclass
class Measured:
    """One or several checkpoints over one test split."""

    models: dict[str, MaskedImageModel]  # by the checkpoint's name
    dataset: Dataset
    evaluations: dict[str, Evaluation]  # in the same order

    @property
    def first(self) -> Evaluation:
        """All share its images, masks and seeds."""
        return next(iter(self.evaluations.values()))

    @property
    def count(self) -> int:
        """Images measured."""
        return len(self.first.values["masked_mse"])

    def pictures(self, model: MaskedImageModel, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """Some of the test images in [0, 1] and the masks they were measured with, on the model's device."""
        masks = evaluation_masks(self.count, self.first.ratio, model.num_patches, self.first.mask_seeds[0])
        device = model.device
        return to_float(self.dataset.test_images[numbers].to(device)), masks[numbers].to(device)


@dataclass
class Shown:
    """A figure of the page: its heading, what to see in it, and the drawing."""

    title: str
    text: str
    figure: Figure


def write_report(folder: Path, config: dict, argv: list[str], result: dict, measured: Measured) -> list[Path]:
    """Write report.html and report.json.

    Args:
        folder: to write to.
        config: the command's options.
        argv: its arguments, which the report repeats.
        result: what the command prints: one checkpoint's report, or {"checkpoints": [...], "paired": [...]}.
        measured: the models, images and scores.

    Returns:
        The paths written.
    """
    document = make_document(config, argv, result, measured)
    texts = {"report.html": make_page(document, list(make_figures(document, measured))), "report.json": dump(document)}
    for name, text in texts.items():
        write_text(folder / name, text + "\n")
    return [folder / name for name in texts]


# ---- what is in it -----------------------------------------------------------------------------------------------


def make_document(config: dict, argv: list[str], result: dict, measured: Measured) -> dict:
    """report.json: what was measured, all it depends on, and every image's scores."""
    device = next(iter(measured.models.values())).device
    groups = groupings(measured.dataset, measured.count)
    scores = measured.evaluations.items()
    return {
        "command": command_line(argv),
        "config": {name: value for name, value in config.items() if name not in PLACES},
        **provenance(device),
        "mask_seeds": measured.first.mask_seeds,
        "checkpoints": [
            report | {"weights_sha256": weights_digest(report["checkpoint"])}
            for report in result.get("checkpoints", [result])
        ],
        "paired": result.get("paired", []),
        "drawn": {name: drawn_images(evaluation) for name, evaluation in scores},
        "label_names": {kind: names for kind, (_, names) in groups.items()},
        "labels": {kind: labels.tolist() for kind, (labels, _) in groups.items()},
        "per_image": {name: {key: rounded(column) for key, column in e.values.items()} for name, e in scores},
    }


def command_line(argv: list[str]) -> str:
    """The command without the options that say where its results went."""
    kept = [argument for argument in argv if argument.partition("=")[0].lstrip("-") not in PLACES]
    return shlex.join(["python", "-m", "etviz.evaluate", *kept])


def rounded(values: Tensor) -> list[float | None]:
    """(n,) values to the number of digits that float32 has; None where not finite."""
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()]


def drawn_images(evaluation: Evaluation) -> dict[str, list[int]]:
    """Numbers of the images that are shown: the first of the split, and the best, median and worst by masked PSNR."""
    order = evaluation.values["masked_mse"].argsort(stable=True)  # the best first
    count = len(order)
    few = min(SAMPLES, count)
    middle = (count - few) // 2
    chosen = {"samples": torch.arange(few), "best": order[:few]}
    chosen |= {"median": order[middle : middle + few], "worst": order[count - few :].flip(0)}
    return {kind: numbers.tolist() for kind, numbers in chosen.items()}


# ---- figures -----------------------------------------------------------------------------------------------------


def make_figures(document: dict, measured: Measured) -> Iterator[Shown]:
    """Every figure of the page, in order."""
    psnr = {name: psnr_of_mse(evaluation.values["masked_mse"]) for name, evaluation in measured.evaluations.items()}
    if all(values.isfinite().all() for values in psnr.values()):
        text = "Masked PSNR of every image. The dashed line is the median."
        yield Shown("How single images spread", text, plots.score_histogram(psnr))
    if len(measured.models) > 1:
        yield from compared_figures(document["paired"], measured)
    for name in measured.models:
        behind = f": {name}" if len(measured.models) > 1 else ""
        for shown in checkpoint_figures(name, document["drawn"][name], measured):
            yield Shown(shown.title + behind, shown.text, shown.figure)


def checkpoint_figures(name: str, drawn: dict[str, list[int]], measured: Measured) -> Iterator[Shown]:
    """One checkpoint's grids of images, and its classes."""
    model, values = measured.models[name], measured.evaluations[name].values
    for kind, (title, text) in GRIDS.items():
        if kind == "samples" and len(measured.models) > 1:
            continue  # the comparison shows them side by side
        images, mask = measured.pictures(model, drawn[kind])
        grid = plots.reconstruction_grid(images, mask, model.reconstruct(images, mask))
        yield Shown(title, f"{text} Test images {', '.join(map(str, drawn[kind]))}.", grid)
    for kind, (labels, names) in groupings(measured.dataset, measured.count).items():
        if len(labels.unique()) > 1:
            text = (
                f"Masked PSNR of each {kind}'s mean error, ± one standard error. The dashed line is the mean over them."
            )
            dots = plots.class_dots(psnr_by_class(values["masked_mse"], labels, len(names)), names)
            yield Shown(f"By {kind}", text, dots)


def compared_figures(paired: list[dict], measured: Measured) -> Iterator[Shown]:
    """Differences with their intervals, and the same images by every checkpoint."""
    for metric in dict.fromkeys(row["metric"] for row in paired):
        info = METRICS[metric]
        text = (
            f"First minus second: the mean over images and its 95% bootstrap interval. {info.better.title()} is better."
        )
        rows = [row for row in paired if row["metric"] == metric]
        label = f"{info.label} (dB)" if info.unit else info.label
        yield Shown(f"Difference in {info.label}", text, plots.difference_intervals(rows, f"difference in {label}"))
    numbers = list(range(min(COMPARED_SAMPLES, measured.count)))
    images, mask = measured.pictures(next(iter(measured.models.values())), numbers)
    fills = {name: model.reconstruct(images, mask) for name, model in measured.models.items()}
    text = "The first images of the split, completed by each model, with the masked PSNR below."
    yield Shown("The same images and masks", text, plots.comparison_grid(images, mask, fills))


# ---- the page ----------------------------------------------------------------------------------------------------


def make_page(document: dict, shown: list[Shown]) -> str:
    """report.html: one file, without scripts."""
    reports = document["checkpoints"]
    first = {key: reports[0][key] for key in ("images", "dataset", "hidden_patches", "patches")}
    return render(
        "evaluation.html",
        **first,
        names=", ".join(report["checkpoint"] for report in reports),
        style=style(),
        seeds=document["mask_seeds"],
        left_out=left_out_words(reports[0]["left_out"]) if "left_out" in reports[0] else "",
        scores=score_table(reports),
        paired=paired_part(document["paired"]),
        seed_tables=[one_table(report, seed_table(report)) for report in reports if "over_seeds" in report],
        figures=[drawing(one) for one in shown],
        class_tables=[part for report in reports for part in class_tables(report)],
        definitions=definitions(reports),
        **provenance_part(document),
    )


def cell(text: str, error: str = "", best: bool = False, href: str = "") -> dict:
    """A table's cell: its text, its standard error, whether it is the best of its row, and where it links to."""
    return {"text": text, "error": error, "best": best, "href": href}


def score_table(reports: list[dict]) -> dict:
    """Every metric of every checkpoint with its standard error over images, the best of several in bold."""
    rows = []
    for name in (name for name in METRICS if all(name in report["metrics"] for report in reports)):
        values = [report["metrics"][name] for report in reports]
        best = _best(name, values)
        cells = [value_cell(name, report["metrics"], report["metrics"][name] == best) for report in reports]
        rows.append([cell(METRICS[name].label, href=f"#{name}"), *cells, cell(METRICS[name].better)])
    return {"head": ["metric", *(report["checkpoint"] for report in reports), "better"], "rows": rows}


def _best(name: str, values: list[float | None]) -> float | None:
    """The best of several values; None if there is only one, or if one is not finite."""
    known = [value for value in values if value is not None]
    if len(values) < 2 or len(known) < len(values):
        return None
    return min(known) if METRICS[name].better == "lower" else max(known)


def value_cell(name: str, scores: dict, best: bool = False) -> dict:
    """A score with its standard error, where it has one."""
    info, error = METRICS[name], scores.get(name + STANDARD_ERROR)
    best = best and scores[name] is not None
    return cell(info.format(scores[name]), "" if error is None else f"{error:.{info.decimals}f}", best)


def paired_part(rows: list[dict]) -> dict | None:
    """Every pair of checkpoints and metric, what the columns mean, and what they amount to; None for no pair."""
    if not rows:
        return None
    head = ["first", "second", "metric", "first - second", "95% interval", "first better on", "t-test p", "Wilcoxon p"]
    body = []
    for row in rows:
        difference, low, high, better, p_values = paired_words(row)
        names = row["first"], row["second"], METRICS[row["metric"]].label
        body.append([cell(text) for text in (*names, difference, f"{low} to {high}", better, *p_values)])
    return {"meaning": paired_meaning(rows), "verdicts": verdicts(rows), "table": {"head": head, "rows": body}}


def one_table(report: dict, table: dict) -> dict:
    """A table of one checkpoint."""
    return {"checkpoint": report["checkpoint"], "table": table}


def seed_table(report: dict) -> dict:
    """Every metric over mask seeds."""
    rows = []
    for name in (name for name in METRICS if name in report["over_seeds"]):
        over, info = report["over_seeds"][name], METRICS[name]
        scores = {name: over["mean"], name + STANDARD_ERROR: over["standard_error"]}
        values = [cell(info.format(value)) for value in over["values"]]
        rows.append([cell(info.label), value_cell(name, scores), *values])
    return {"head": ["metric", "mean", *(f"seed {seed}" for seed in report["mask_seeds"])], "rows": rows}


def class_tables(report: dict) -> list[dict]:
    """Every class's scores."""
    parts = []
    for kind, rows in report["by_class"].items() if "by_class" in report else ():
        metrics = [name for name in METRICS if name in rows[0]]
        body = [
            [cell(row["name"]), cell(f"{row['images']:,}"), *(value_cell(name, row) for name in metrics)]
            for row in rows
        ]
        head = [kind, "images", *(METRICS[name].label for name in metrics)]
        parts.append({"kind": kind} | one_table(report, {"head": head, "rows": body}))
    return parts


def definitions(reports: list[dict]) -> list[dict]:
    """What each metric is."""
    names = [name for name in METRICS if any(name in report["metrics"] for report in reports)]
    return [{"key": name, "label": METRICS[name].label, "text": METRICS[name].text} for name in names]


def provenance_part(document: dict) -> dict:
    """Everything the numbers depend on."""
    kept = {name: document[name] for name in ("command", "revision", "python", "libraries", "device")}
    weights = {report["checkpoint"]: report["weights_sha256"] for report in document["checkpoints"]}
    return kept | {"version": document["etviz"], "options": json.dumps(document["config"]), "weights": weights}


def drawing(shown: Shown) -> dict:
    """A figure as base64 of an SVG, and its own width in pixels."""
    width = round(CSS_DPI * shown.figure.get_size_inches()[0])
    source = base64.b64encode(plots.svg_bytes(shown.figure)).decode()
    return {"title": shown.title, "text": shown.text, "drawing": source, "width": width}
