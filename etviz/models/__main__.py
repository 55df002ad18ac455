"""python -m etviz.models [presets=[et,mae]] [batch_size=64] [device=auto] [json=models.json]

What each model costs with the sizes of the training presets: parameters, FLOPs of rebuilding an image and of training
on it, peak memory of a training step. The table goes to stderr, the JSON to stdout.
"""

import importlib.resources
import json

import torch
from rich.console import Console
from rich.table import Table

from etviz.commands import CONF, file_option, load_config, run, whole_number
from etviz.devices import describe_device, pick_device
from etviz.errors import UsageError
from etviz.evaluation.costs import costs
from etviz.files import write_text
from etviz.models import create_model


def main(argv: list[str]) -> None:
    """Count as ``argv``'s options say; see the module's own text."""
    config = load_config("commands/models", argv)
    device = pick_device(config["device"])
    batch = whole_number("batch_size", config["batch_size"], least=1)
    file = file_option("json", config["json"])
    report = {"device": describe_device(device), "torch": torch.__version__, "batch_size": batch, "presets": {}}
    for preset in chosen_presets(config["presets"]):
        options = load_config("config", [f"model={preset}"])["model"]
        sizes = {key: value for key, value in options.items() if key not in ("name", "mean", "std")}
        model = create_model(options["name"], **sizes).to(device)
        report["presets"][preset] = {"model": model.name, **costs(model, batch)}
    Console(stderr=True).print(make_table(report))
    text = json.dumps(report, indent=2)
    print(text)
    if file is not None:
        write_text(file, text + "\n")


def chosen_presets(names: list | None) -> list[str]:
    """The presets asked for, or all there are. Raises `UsageError` for one that there is not."""
    files = importlib.resources.files(CONF).joinpath("model").iterdir()
    known = sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))
    if names is None:
        return known
    chosen = [str(name) for name in (names if isinstance(names, list) else [names])]
    for name in chosen:
        if name not in known:
            raise UsageError(f"There is no preset {name!r}: choose from {', '.join(known)}.")
    return chosen


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
