"""python -m etviz.evaluate NAME [NAME ...] [dataset=cifar100] [seeds=5] [by_class=true] [report=DIR] [json=scores.json]

Measures MSE, PSNR, SSIM, LPIPS and FID over a whole test split under fixed masks: of the hidden pixels, of the
completed images and of the raw reconstructions. The tables and the progress bar go to stderr and the JSON to stdout, so
`... > scores.json` holds nothing else. Two calls with the same options print the same JSON.

Several checkpoints are compared by paired tests over the same images and masks. If the weights for LPIPS or FID are
missing, one sentence says which, and the metric is left out; with require=true (or --require) the command ends with
exit status 2 instead. --help lists every option.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from torch import Tensor

import etviz
from etviz.commands import load_named, run
from etviz.data import Dataset
from etviz.devices import pick_device
from etviz.errors import UsageError
from etviz.evaluation.inputs import find_meters, load_shared_split
from etviz.evaluation.metric_info import METRICS
from etviz.evaluation.paired import compare
from etviz.evaluation.scores import (
    STANDARD_ERROR,
    Evaluation,
    class_table,
    evaluate_seeds,
    groupings,
    over_seeds,
)
from etviz.files import dump, finite, make_folder, make_place, write_text
from etviz.masks import num_hidden
from etviz.metrics import Meter, evaluate_model
from etviz.models import MaskedImageModel
from etviz.options import (
    NOT_EMPTY,
    Count,
    DataOptions,
    Name,
    Names,
    Options,
    WeightsOptions,
    Whole,
    as_dict,
    at_least,
    at_most,
    check_option,
    option,
    section,
)
from etviz.reports.words import paired_meaning, paired_words, verdicts

FLAGS = ("require", "force")  # may be written --require too
CLASS_COLUMNS = ("masked_psnr", "completed_ssim")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """python -m etviz.evaluate checkpoint=et-cifar10
    python -m etviz.evaluate et-cifar10 mae-cifar10 simmim-cifar10 report=comparison
    Scores checkpoints on a whole test split: tables on stderr, JSON on stdout. Several are compared by paired tests.
    """

    checkpoint: Annotated[Names, NOT_EMPTY] = option(
        text="a name under checkpoints/, a run folder, or its model.safetensors; or names without checkpoint="
    )
    dataset: Name | None = option(
        None, "cifar10, cifar100, an .npz archive or an image folder; the one it was trained on where null"
    )
    data: DataOptions = section(DataOptions)
    ratio: float = option(0.85, "share of patches hidden: 54 of 64")
    seed: Whole = option(0, "of the masks")
    seeds: Annotated[int, at_least(1), at_most(1000)] = option(
        1, "so many mask seeds, from seed on: the mean and the standard error over them too"
    )
    images: Count | None = option(None, "only the first so many of the split; all where null")
    by_class: bool = option(False, "a table by class, and for CIFAR-100 by superclass")
    lpips: Names = option(("alex",), "learned perceptual distance, by any of alex, vgg, squeeze; [] for none")
    fid: bool = option(True, "Frechet inception distance; slow on a CPU")
    weights: WeightsOptions = section(WeightsOptions)
    require: bool = option(False, "fail where LPIPS or FID lacks its weights, instead of leaving it out; or --require")
    batch_size: Count = option(250, "changes memory and speed, not the result")
    device: str = option("auto", "cpu, cuda, mps")
    json: Path | None = option(None, "a file to write the JSON to as well")
    report: Path | None = option(
        None, "a folder for report.html, self-contained, and report.json, which holds all that it shows"
    )
    force: bool = option(False, "replace a report that is there already; or --force")


def main(argv: list[str]) -> None:
    """Score checkpoints as ``argv``'s options say; see the module's own text."""
    options = load_named(EvaluateOptions, argv, FLAGS)
    seeds = mask_seeds(options)
    file = options.json and make_place(options.json)
    folder = options.report and report_folder(options.report, options.force)
    console = Console(stderr=True)
    device = pick_device(options.device)
    models = {name: etviz.load_model(name).to(device) for name in options.checkpoint}
    dataset = load_shared_split(options.dataset, options.data, models)
    images = dataset.test_images[: options.images]
    num_hidden(options.ratio, next(iter(models.values())).num_patches)  # a wrong ratio is refused before the weights
    meters, left_out = find_meters(options.lpips, options.fid, options.weights, options.require, device)
    evaluations, reports = {}, []
    for name, model in models.items():
        settings = {"meters": meters, "console": console}
        evaluations[name] = evaluate_model_seeds(model, dataset.name, images, seeds, options, **settings)
        report = make_report(name, options, model, dataset, evaluations[name])
        report |= further(options, model, dataset, evaluations[name], images)
        reports.append(report | ({"left_out": left_out} if left_out else {}))
        console.print(*make_tables(reports[-1]), sep="\n")
    result = reports[0] if len(reports) == 1 else {"checkpoints": reports, "paired": finite(compare(evaluations))}
    show_pairs(console, result.get("paired", []))
    print(dump(result))
    if file is not None:
        write_text(file, dump(result) + "\n")
    if folder is not None:
        from etviz.reports.evaluation import Measured, write_report

        for path in write_report(folder, as_dict(options), argv, result, Measured(models, dataset, evaluations)):
            print(path, file=sys.stderr)


def evaluate_model_seeds(
    model: MaskedImageModel,
    dataset: str,
    images: Tensor,
    seeds: list[int],
    options: EvaluateOptions,
    *,
    meters: list[Meter],
    console: Console,
) -> Evaluation:
    """One model under every mask seed, with a progress bar."""
    with _progress_bar(console) as bar:
        task = bar.add_task(f"{model.name} on {dataset}", total=len(images) * len(seeds))
        settings = {"ratio": options.ratio, "batch_size": options.batch_size, "meters": meters}
        settings |= {"progress": lambda done, _: bar.update(task, completed=done)}
        return evaluate_seeds(model, images, seeds, **settings)


# ---- options -----------------------------------------------------------------------------------------------------


def mask_seeds(options: EvaluateOptions) -> list[int]:
    """seed, seed + 1, ...: as many as asked for."""
    return [check_option("seed", options.seed + i, Whole) for i in range(options.seeds)]


def report_folder(folder: Path, force: bool) -> Path:
    """The folder for a report. Raises `UsageError` if it holds one already, unless that is to be replaced."""
    there = [place for place in ("report.html", "report.json") if (folder / place).exists()]
    if there and not force:
        raise UsageError(
            f"{str(folder)!r} holds a report already: choose another report=, or replace it by force=true."
        )
    return make_folder(folder)


# ---- what was measured -------------------------------------------------------------------------------------------


def make_report(
    name: str, options: EvaluateOptions, model: MaskedImageModel, dataset: Dataset, evaluation: Evaluation
) -> dict:
    """What was measured, and everything it depends on. A number that is not finite becomes null, as JSON needs."""
    return {
        "checkpoint": name,
        "model": model.name,
        "dataset": dataset.name,
        "split": "test",
        "images": len(evaluation.values["masked_mse"]),
        "ratio": options.ratio,
        "hidden_patches": num_hidden(options.ratio, model.num_patches),
        "patches": model.num_patches,
        "mask_seed": options.seed,
        "metrics": finite(evaluation.metrics),
    }


def further(
    options: EvaluateOptions, model: MaskedImageModel, dataset: Dataset, evaluation: Evaluation, images
) -> dict:
    """What is added on request, or if the model has it: mask seeds, classes, the error of its tokenizer's codes."""
    found = {}
    if len(evaluation.mask_seeds) > 1:
        found["mask_seeds"] = evaluation.mask_seeds
        found["over_seeds"] = finite(over_seeds(evaluation))
    if options.by_class or options.report is not None:
        parts = groupings(dataset, len(images)).items()
        found["by_class"] = {kind: finite(class_table(evaluation.values, *labels)) for kind, labels in parts}
    tokenizer = model.ceiling()
    if tokenizer is not None:
        settings = {"ratio": options.ratio, "mask_seed": options.seed, "batch_size": options.batch_size}
        found["ceiling"] = finite(evaluate_model(tokenizer, images, **settings))
    return found


# ---- tables ------------------------------------------------------------------------------------------------------


def show_pairs(console: Console, paired: list[dict]) -> None:
    """The tables of every pair of checkpoints, and what their columns mean."""
    if paired:
        console.print(*make_paired_tables(paired), sep="\n")
        console.print(f"\n{paired_meaning(paired)}", markup=False, highlight=False)


def make_tables(report: dict) -> list[Table]:
    """The report's metrics, and those over mask seeds and by class if asked for."""
    seeds = [make_seed_table(report)] if "over_seeds" in report else []
    return [make_table(report), *seeds, *(make_class_table(*group) for group in report.get("by_class", {}).items())]


def make_table(report: dict) -> Table:
    """A row for each of the report's metrics, with the standard error over images."""
    table = _table(
        f"{report['checkpoint']} on {report['dataset']}",
        f"{report['images']:,} test images, {report['hidden_patches']} of {report['patches']} patches hidden, "
        f"mask seed {report['mask_seed']}",
    )
    _add_columns(table, "metric", "value", "± s.e.")
    table.add_column("over")
    metrics = report["metrics"]
    for name in (name for name in METRICS if name in metrics):
        cells = METRICS[name].format(metrics[name]), error_cell(name, metrics.get(name + STANDARD_ERROR))
        table.add_row(METRICS[name].label, *cells, METRICS[name].over)
    if report.get("ceiling") is not None and report["ceiling"]["masked_psnr"] is not None:
        psnr = report["ceiling"]["masked_psnr"]
        table.add_row("its codes", f"{psnr:.3f} dB", "", "masked PSNR of the tokenizer itself, with every code right")
    return table


def error_cell(name: str, value: float | None) -> str:
    """A standard error with its metric's decimals; nothing if there is none, as for a single image."""
    return "" if value is None else f"{value:.{METRICS[name].decimals}f}"


def make_seed_table(report: dict) -> Table:
    """A row a metric: its mean over mask seeds, and how far the choice of masks moves it."""
    first, last = report["mask_seeds"][0], report["mask_seeds"][-1]
    table = _table(
        f"over mask seeds {first} to {last}", "± one standard error over mask seeds, which share their images"
    )
    _add_columns(table, "metric", "mean", "± s.e.", "lowest", "highest")
    for name in (name for name in METRICS if name in report["over_seeds"]):
        over, form = report["over_seeds"][name], METRICS[name].format
        known = [value for value in over["values"] if value is not None] or [None]
        cells = form(over["mean"]), error_cell(name, over["standard_error"]), form(min(known)), form(max(known))
        table.add_row(METRICS[name].label, *cells)
    return table


def make_class_table(kind: str, rows: list[dict]) -> Table:
    """A row for each class, the best rebuilt first."""
    table = _table(f"by {kind}", "± one standard error over the class's images")
    _add_columns(table, kind, "images", *(METRICS[column].label for column in CLASS_COLUMNS))
    for row in sorted(rows, key=lambda row: row["masked_mse"]):
        cells = [f"{METRICS[name].format(row[name])} {spread(name, row)}".rstrip() for name in CLASS_COLUMNS]
        table.add_row(row["name"], f"{row['images']:,}", *cells)
    return table


def spread(name: str, row: dict) -> str:
    """A standard error as "± 0.01", or nothing for a single image."""
    error = error_cell(name, row.get(name + STANDARD_ERROR))
    return f"± {error}" if error else ""


def make_paired_tables(rows: list[dict]) -> list[Table]:
    """A table for each pair of checkpoints with a row for each metric, and the verdict below it."""
    tables = {}
    for row in rows:
        pair = row["first"], row["second"]
        if pair not in tables:
            tables[pair] = _table(f"{pair[0]} - {pair[1]}", "")
            _add_columns(tables[pair], "metric", "difference", "95% interval", "better", "t-test", "Wilcoxon")
        tables[pair].add_row(METRICS[row["metric"]].label, *paired_cells(row))
    for table, verdict in zip(tables.values(), verdicts(rows), strict=True):
        table.caption = verdict
    return list(tables.values())


def paired_cells(row: dict) -> list[str]:
    """Difference, interval, share of images on which the first is better, and both p values, as cells of a table."""
    difference, low, high, better, p_values = paired_words(row)
    return [difference, f"{low}..{high}", better, *p_values]


def _add_columns(table: Table, name: str, *numbers: str) -> None:
    """A column of names, and columns of numbers, which stay on one line."""
    table.add_column(name)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)


def _table(title: str, caption: str) -> Table:
    return Table(title=title, caption=caption, title_justify="left", caption_justify="left")


def _progress_bar(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("images, left")
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True)


if __name__ == "__main__":
    run(main)
