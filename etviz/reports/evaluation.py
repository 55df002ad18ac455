"""A whole evaluation as one page that needs nothing else, and as JSON that holds everything the page shows.

report.html carries its figures inside and asks no network for anything. report.json holds the options, the code's git
revision, library versions, device, seeds, weights' digests, every image's scores and labels, and which images are
drawn: each figure can be drawn anew from it and the dataset. Neither holds a time: the same call writes the same files.
"""

import base64
import json
import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from etviz import plots
from etviz.analysis.classes import psnr_by_class
from etviz.data import Dataset, to_float
from etviz.evaluation.metric_info import METRICS
from etviz.evaluation.provenance import provenance, weights_digest
from etviz.evaluation.scores import (
    STANDARD_ERROR,
    Evaluation,
    groupings,
    left_out_words,
    paired_meaning,
    paired_words,
    verdicts,
)
from etviz.files import dump, write_text
from etviz.metrics import evaluation_masks, psnr_of_mse
from etviz.models import MaskedImageModel

SAMPLES = 8  # images in a grid
COMPARED_SAMPLES = 6
DIGITS = 7  # of each image's scores: as many as float32 has
PLACES = ("report", "json", "force")  # options that say where to write, not what
GRIDS = {
    "samples": ("The first images of the split", "Under the masks that every checkpoint is measured by."),
    "best": ("Best images", "The highest masked PSNR of the split, the best first."),
    "median": ("Median images", "From the middle of the split, ordered by masked PSNR."),
    "worst": ("Worst images", "The lowest masked PSNR of the split, the worst first."),
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
        """Some of the test images in [0, 1] and the masks that they were measured by, on the model's device."""
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
        argv: its arguments, to be repeated.
        result: what the command prints: one checkpoint's report, or {"checkpoints": [...], "paired": [...]}.
        measured: what it was measured on.

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
    """(n,) values to as many digits as they were computed with; null where not finite."""
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()]


def drawn_images(evaluation: Evaluation) -> dict[str, list[int]]:
    """Numbers of the images that are shown: the split's first, and the best, median and worst by masked PSNR."""
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
        text = "Masked PSNR of every image; the dashed line is the median."
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
            continue  # they are shown side by side already
        images, mask = measured.pictures(model, drawn[kind])
        grid = plots.reconstruction_grid(images, mask, model.reconstruct(images, mask))
        yield Shown(title, f"{text} Test images {', '.join(map(str, drawn[kind]))}.", grid)
    for kind, (labels, names) in groupings(measured.dataset, measured.count).items():
        if len(labels.unique()) > 1:
            text = f"Masked PSNR of each {kind}'s mean error, with one standard error; dashed, the mean over them."
            dots = plots.class_dots(psnr_by_class(values["masked_mse"], labels, len(names)), names)
            yield Shown(f"By {kind}", text, dots)


def compared_figures(paired: list[dict], measured: Measured) -> Iterator[Shown]:
    """Differences with their intervals, and the same images by every checkpoint."""
    for metric in dict.fromkeys(row["metric"] for row in paired):
        info = METRICS[metric]
        text = f"First less second, mean over images and its 95% interval by bootstrap; {info.better} is better."
        rows = [row for row in paired if row["metric"] == metric]
        label = f"{info.label} (dB)" if info.unit else info.label
        yield Shown(f"Difference in {info.label}", text, plots.difference_intervals(rows, f"difference in {label}"))
    numbers = list(range(min(COMPARED_SAMPLES, measured.count)))
    images, mask = measured.pictures(next(iter(measured.models.values())), numbers)
    fills = {name: model.reconstruct(images, mask) for name, model in measured.models.items()}
    text = "The first images of the split, completed by each, with the PSNR of the hidden pixels."
    yield Shown("The same images and masks", text, plots.comparison_grid(images, mask, fills))


# ---- the page ----------------------------------------------------------------------------------------------------


def make_page(document: dict, shown: list[Shown]) -> str:
    """report.html: one file, without scripts."""
    reports = document["checkpoints"]
    names = ", ".join(report["checkpoint"] for report in reports)
    parts = [
        f"<h1>{escape(names)}</h1>",
        f"<p>{escape(_setting(reports[0], document))}</p>",
        *(_left_out(report) for report in reports[:1] if "left_out" in report),
        score_table(reports),
        *([paired_table(document["paired"])] if document["paired"] else []),
        *(seed_table(report) for report in reports if "over_seeds" in report),
        *(_figure(one) for one in shown),
        *(class_tables(report) for report in reports if "by_class" in report),
        definitions(reports),
        provenance_table(document),
    ]
    style = files("etviz.reports").joinpath("report.css").read_text(encoding="utf-8")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}\n<title>{escape(names)} · etviz</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body><main>\n{body}\n</main></body>\n</html>"
    )


def _setting(report: dict, document: dict) -> str:
    seeds = document["mask_seeds"]
    masks = f"mask seed {seeds[0]}" if len(seeds) == 1 else f"mask seeds {seeds[0]} to {seeds[-1]}"
    return (
        f"{report['images']:,} test images of {report['dataset']}, {report['hidden_patches']} of {report['patches']} "
        f"patches hidden, {masks}."
    )


def _left_out(report: dict) -> str:
    return f"<p class=left-out>{escape(left_out_words(report['left_out']))}</p>"


def score_table(reports: list[dict]) -> str:
    """Every metric of every checkpoint with its standard error over images, the best of several in bold."""
    metrics = [name for name in METRICS if all(name in report["metrics"] for report in reports)]
    head = ["metric", *(report["checkpoint"] for report in reports), "better"]
    rows = []
    for name in metrics:
        values = [report["metrics"][name] for report in reports]
        best = _best(name, values)
        cells = [_value(name, report["metrics"], value == best) for report, value in zip(reports, values, strict=True)]
        rows.append([f'<a href="#{name}">{escape(METRICS[name].label)}</a>', *cells, METRICS[name].better])
    return _section("Scores", _table(head, rows), "Mean ± one standard error over images.")


def _best(name: str, values: list[float | None]) -> float | None:
    """The best of several values; None where there is but one, or one that is not finite."""
    if len(values) < 2 or None in values:
        return None
    return min(values) if METRICS[name].better == "lower" else max(values)


def _value(name: str, scores: dict, bold: bool = False) -> str:
    """A score with its standard error, where it has one."""
    info, error = METRICS[name], scores.get(name + STANDARD_ERROR)
    text = info.format(scores[name])
    text = f"<b>{text}</b>" if bold else text
    return text if error is None else f"{text} <small>± {error:.{info.decimals}f}</small>"


def paired_table(rows: list[dict]) -> str:
    """Every pair of checkpoints and metric."""
    head = ["first", "second", "metric", "first - second", "95% interval", "first better on", "t-test p", "Wilcoxon p"]
    body = []
    for row in rows:
        difference, low, high, better, p_values = paired_words(row)
        names = row["first"], row["second"], METRICS[row["metric"]].label
        body.append([escape(cell) for cell in (*names, difference, f"{low} to {high}", better, *p_values)])
    found = "".join(f"<li>{escape(verdict)}</li>" for verdict in verdicts(rows))
    return _section("Paired differences", f"<ul>{found}</ul>{_table(head, body, names=3)}", paired_meaning(rows))


def seed_table(report: dict) -> str:
    """Every metric over mask seeds."""
    rows = []
    for name in (name for name in METRICS if name in report["over_seeds"]):
        over, info = report["over_seeds"][name], METRICS[name]
        scores = {name: over["mean"], name + STANDARD_ERROR: over["standard_error"]}
        rows.append([escape(info.label), _value(name, scores), *(info.format(value) for value in over["values"])])
    head = ["metric", "mean", *(f"seed {seed}" for seed in report["mask_seeds"])]
    text = "Mean ± one standard error over mask seeds, which share their images."
    return _section(f"Over mask seeds: {report['checkpoint']}", _table(head, rows), text)


def class_tables(report: dict) -> str:
    """Every class's scores, folded up."""
    parts = []
    for kind, rows in report["by_class"].items():
        metrics = [name for name in METRICS if name in rows[0]]
        head = [kind, "images", *(METRICS[name].label for name in metrics)]
        body = [[escape(r["name"]), f"{r['images']:,}", *(_value(name, r) for name in metrics)] for r in rows]
        title = escape(f"By {kind}: {report['checkpoint']}")
        parts.append(f"<details><summary>{title}</summary>{_table(head, body)}</details>")
    return "\n".join(parts)


def definitions(reports: list[dict]) -> str:
    """What each metric is."""
    names = [name for name in METRICS if any(name in report["metrics"] for report in reports)]
    items = (
        f'<dt id="{name}">{escape(METRICS[name].label)}</dt><dd>{escape(METRICS[name].text)}</dd>' for name in names
    )
    return f"<section><h2>What the metrics are</h2><dl>{''.join(items)}</dl></section>"


def provenance_table(document: dict) -> str:
    """Everything the numbers depend on."""
    libraries = ", ".join(f"{name} {version}" for name, version in document["libraries"].items())
    rows = {
        "command": f"<code>{escape(document['command'])}</code>",
        "options": f"<code>{escape(json.dumps(document['config']))}</code>",
        "mask seeds": escape(", ".join(map(str, document["mask_seeds"]))),
        "etviz": escape(f"{document['etviz']}, revision {document['revision'] or 'unknown'}"),
        "libraries": escape(f"Python {document['python']}, {libraries}"),
        "device": escape(document["device"]),
    }
    for report in document["checkpoints"]:
        rows[f"weights of {report['checkpoint']}"] = f"SHA-256 <code>{report['weights_sha256']}</code>"
    items = "".join(f"<dt>{escape(name)}</dt><dd>{text}</dd>" for name, text in rows.items())
    text = "These, every image's scores and labels, and the numbers of the images shown are in report.json."
    return f"<section><h2>How to get these numbers again</h2><p>{text}</p><dl>{items}</dl></section>"


def _section(title: str, content: str, text: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(text)}</p>{content}</section>"


def _table(head: list[str], rows: list[list[str]], names: int = 1) -> str:
    """Cells are HTML already, headings are not; the first ``names`` columns hold words."""
    top = "".join(
        f"<th scope=col{' class=words' if i < names else ''}>{escape(cell)}</th>" for i, cell in enumerate(head)
    )
    body = "".join(
        f"<tr>{''.join(f'<{_tag(i, names)}>{cell}</{_tag(i, names)[:2]}>' for i, cell in enumerate(row))}</tr>"
        for row in rows
    )
    return f"<div class=wide tabindex=0><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _tag(column: int, names: int) -> str:
    return "th scope=row" if column < names else "td"


def _figure(shown: Shown) -> str:
    """A drawing as a data URI. Its width is its own; a page that is too narrow scrolls it."""
    drawing = plots.svg_bytes(shown.figure)
    width = round(96 * shown.figure.get_size_inches()[0])
    source = f"data:image/svg+xml;base64,{base64.b64encode(drawing).decode()}"
    picture = f'<img src="{source}" width="{width}" alt="{escape(f"{shown.title}. {shown.text}")}">'
    caption = f"<figcaption>{escape(shown.text)}</figcaption>"
    figure = f"<figure><div class=wide tabindex=0>{picture}</div>{caption}</figure>"
    return f"<section><h2>{escape(shown.title)}</h2>{figure}</section>"
