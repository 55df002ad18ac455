"""python -m etviz.evaluate checkpoint=et-cifar10 [dataset=cifar100] [images=1000] [json=scores.json]

Masked MSE and PSNR, and MSE, PSNR and SSIM of the completed images, over a whole test split under fixed masks. The
table and the progress bar go to stderr and the JSON to stdout, so that `... > scores.json` holds nothing else. Two
calls with the same options print the same JSON. --help lists every option.
"""

import json
import math

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import etviz
from etviz import checkpoints
from etviz.checkpoints import make_place, write_text
from etviz.commands import load_config, path_option, pick_device, run, whole_number, word
from etviz.data import Dataset, load_dataset
from etviz.errors import UsageError
from etviz.masks import num_hidden
from etviz.metrics import evaluate_model
from etviz.models import MaskedImageModel

TABLE = {
    "masked_mse": ("masked MSE", "{:.6f}", "hidden pixels, mean over images"),
    "masked_psnr": ("masked PSNR", "{:.3f} dB", "of that mean"),
    "masked_psnr_image_mean": ("", "{:.3f} dB", "mean of each image's own"),
    "completed_mse": ("completed MSE", "{:.6f}", "all pixels, mean over images"),
    "completed_psnr": ("completed PSNR", "{:.3f} dB", "of that mean"),
    "completed_psnr_image_mean": ("", "{:.3f} dB", "mean of each image's own"),
    "completed_ssim": ("completed SSIM", "{:.4f}", "mean over images"),
}


def main(argv: list[str]) -> None:
    """Score a checkpoint as ``argv``'s options say; see the module's own text."""
    config = load_config("commands/evaluate", argv)
    limit = None if config["images"] is None else whole_number("images", config["images"], least=1)
    file = None if config["json"] is None else make_place(path_option("json", config["json"]))  # before the long part
    console = Console(stderr=True)
    model = etviz.load_model(str(config["checkpoint"])).to(pick_device(config["device"]))
    dataset = load_test_split(config, model)
    images = dataset.test_images[:limit]
    settings = {
        "ratio": config["ratio"],
        "mask_seed": whole_number("seed", config["seed"]),
        "batch_size": config["batch_size"],
    }
    with _progress_bar(console) as bar:
        task = bar.add_task(f"{model.name} on {dataset.name}", total=len(images))
        scores = evaluate_model(model, images, progress=lambda done, _: bar.update(task, completed=done), **settings)
    report = make_report(config, model, dataset, len(images), scores)
    if model.ceiling() is not None:
        report["ceiling"] = _finite(evaluate_model(model.ceiling(), images, **settings))
    console.print(make_table(report))
    scored = json.dumps(report, indent=2, allow_nan=False)
    print(scored)
    if file is not None:
        write_text(file, scored + "\n")


def load_test_split(config: dict, model: MaskedImageModel) -> Dataset:
    """The dataset asked for, else the one that the checkpoint was trained on, at the model's size."""
    name = config["dataset"] if config["dataset"] is not None else trained_on(str(config["checkpoint"]))
    return load_dataset(word("dataset", name), config["data"]["root"], model.img_size, config["data"]["download"])


def trained_on(checkpoint: str) -> str:
    """What `load_dataset` finds a checkpoint's dataset by: its configuration says where, an older card only which."""
    section = checkpoints.load_config(checkpoint).get("dataset", {})
    name = section.get("name") or checkpoints.load_card(checkpoint).get("dataset")
    if name is None:
        raise UsageError("The checkpoint does not say what it was trained on: name a dataset, as dataset=cifar10.")
    return name


def make_report(config: dict, model: MaskedImageModel, dataset: Dataset, count: int, scores: dict[str, float]) -> dict:
    """What was measured, and everything it depends on; a number that is not finite becomes null, which JSON has."""
    return {
        "checkpoint": str(config["checkpoint"]),
        "model": model.name,
        "dataset": dataset.name,
        "split": "test",
        "images": count,
        "ratio": config["ratio"],
        "hidden_patches": num_hidden(config["ratio"], model.num_patches),
        "patches": model.num_patches,
        "mask_seed": config["seed"],
        "metrics": _finite(scores),
    }


def _finite(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def make_table(report: dict) -> Table:
    """The report's metrics, a row each."""
    table = Table(
        title=f"{report['checkpoint']} on {report['dataset']}",
        caption=f"{report['images']:,} test images, {report['hidden_patches']} of {report['patches']} patches hidden, "
        f"mask seed {report['mask_seed']}",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("over")
    for name, (label, form, over) in TABLE.items():
        value = report["metrics"][name]
        table.add_row(label, "infinite" if value is None else form.format(value), over)
    if report.get("ceiling") is not None and report["ceiling"]["masked_psnr"] is not None:
        psnr = report["ceiling"]["masked_psnr"]
        table.add_row("its ceiling", f"{psnr:.3f} dB", "masked PSNR with every code right: the tokenizer's own")
    return table


def _progress_bar(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("images, left")
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True)


if __name__ == "__main__":
    run(main)
