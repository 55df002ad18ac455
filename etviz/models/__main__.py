"""python -m etviz.models [presets=[et,mae]] [batch_size=64] [device=auto] [json=models.json]

What each model costs with the sizes of the training presets: parameters, FLOPs of rebuilding an image and of training
on it, peak memory of a training step. The table goes to stderr, the JSON to stdout.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from etviz.commands import load_options, load_preset, presets, run
from etviz.devices import describe_device, pick_device
from etviz.evaluation.costs import costs
from etviz.files import make_place, write_text
from etviz.models import create_model
from etviz.options import Count, Names, Options, option


@dataclass(frozen=True, kw_only=True)
class CostOptions(Options):
    """python -m etviz.models
    Counts what each model costs: parameters, FLOPs an image (54 of 64 patches hidden) and peak memory.
    """

    presets: Names | None = option(None, "training presets, as [et,mae]; all where null")
    batch_size: Count = option(64, "of the training step whose memory is measured")
    device: str = option("auto", "cpu, cuda, mps")
    json: Path | None = option(None, "a file to write the JSON to as well")


def main(argv: list[str]) -> None:
    """Count as ``argv``'s options say; see the module's own text."""
    options = load_options(CostOptions, argv)
    device, batch = pick_device(options.device), options.batch_size
    file = options.json and make_place(options.json)
    report = {"device": describe_device(device), "torch": torch.__version__, "batch_size": batch, "presets": {}}
    chosen = {name: load_preset("model", name)["model"] for name in options.presets or presets("model")}
    for preset, config in chosen.items():
        sizes = {key: value for key, value in config.items() if key not in ("name", "mean", "std")}
        model = create_model(config["name"], **sizes).to(device)
        report["presets"][preset] = {"model": model.name, **costs(model, batch)}
    Console(stderr=True).print(make_table(report))
    text = json.dumps(report, indent=2)
    print(text)
    if file is not None:
        write_text(file, text + "\n")


def make_table(report: dict) -> Table:
    """The report for people."""
    title = f"On {report['device']}; memory of a float32 training step of {report['batch_size']} images"
    table = Table(title=title, title_justify="left")
    table.add_column("preset")
    for column in ("parameters", "trained", "rebuild\nMFLOP", "train\nMFLOP", "peak\nMiB"):
        table.add_column(column, justify="right")
    for preset, row in report["presets"].items():
        peak = "unknown" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:,.0f}"
        flops = (f"{row[key] / 1e6:,.0f}" for key in ("reconstruct_flops", "training_flops"))
        table.add_row(preset, f"{row['parameters']:,}", f"{row['trained_parameters']:,}", *flops, peak)
    return table


if __name__ == "__main__":
    run(main)
