"""python -m etviz.bench [model=et_asym] [batch_size=64] [seconds=3] [json=bench.json]

Times trace, reconstruct and a training step, beside a literal autograd Energy Transformer (benchmarks/literal.py, where
the command runs in a clone), and gives each as a share of the machine's own measured matmul rate. The table goes to
stderr, the JSON to stdout.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from rich.table import Table

import etviz
from etviz.commands import load_options, run
from etviz.devices import describe_device, pick_device
from etviz.evaluation.costs import count_flops, training_step
from etviz.evaluation.timing import median_seconds
from etviz.files import make_place, write_text
from etviz.models import EnergyModel, EnergyTransformer, as_energy_model
from etviz.models.projection import Projection, make_projection
from etviz.options import Count, Options, Positive, option

MATMUL_SIZE = 2048  # of the square matrices whose product is the machine's rate


@dataclass(frozen=True, kw_only=True)
class BenchOptions(Options):
    """python -m etviz.bench
    Times trace, reconstruct and a training step of a full-size model, beside a literal autograd Energy Transformer.
    """

    model: Literal["et", "et_asym"] = option("et", "et or et_asym, with the reference recipe's sizes")
    batch_size: Count = option(64, "of reconstruct and the training step")
    device: str = option("auto", "cpu, cuda, mps")
    seconds: Positive = option(3.0, "spent on each measurement")
    json: Path | None = option(None, "a file to write the JSON to as well")


def main(argv: list[str]) -> None:
    """Measure as ``argv``'s options say; see the module's own text."""
    options = load_options(BenchOptions, argv)
    device = pick_device(options.device)
    file = options.json and make_place(options.json)
    torch.manual_seed(0)
    model = etviz.create_model(options.model, step_size=0.1, init_scale=0.07).to(device).eval()
    report = measure(as_energy_model(model), options.batch_size, options.seconds)
    Console(stderr=True).print(make_table(report))
    measured = json.dumps(report, indent=2)
    print(measured)
    if file is not None:
        write_text(file, measured + "\n")


def measure(model: EnergyModel, batch: int, seconds: float) -> dict:
    """Median seconds, images/s, FLOPs an image and share of the matmul rate of each task, and ratios between them."""
    device = model.device
    images = torch.rand(batch, 3, model.img_size, model.img_size, device=device)
    mask = etviz.random_mask(batch, num_patches=model.num_patches).to(device)
    tasks = model_tasks(model, images, mask) | literal_tasks(model, images, mask)
    rate = matmul_rate(device, seconds)
    rows = {}
    for name, (function, count) in tasks.items():
        flops = None if name.startswith("literal") else count_flops(function)  # the literal one's own waste is its own
        median = median_seconds(function, device, seconds)
        rows[name] = {"seconds": median, "images_per_second": count / median, "gflops_per_image": None, "share": None}
        if flops is not None:
            rows[name] |= {"gflops_per_image": flops / count / 1e9, "share": flops / median / rate}
    return {
        "model": model.name,
        "device": describe_device(device),
        "torch": torch.__version__,
        "batch_size": batch,
        "matmul_gflops_per_second": rate / 1e9,
        "tasks": rows,
        "ratios": ratios(rows),
    }


def model_tasks(model: EnergyModel, images, mask) -> dict[str, tuple[Callable, int]]:
    """What etviz does, each with the number of images it does it to."""
    one, one_mask = images[:1], mask[:1]
    batch = len(images)
    return {
        "trace, 1 image": (lambda: model.trace(one, one_mask, keep_attention=False), 1),
        "reconstruct, 1 image": (lambda: model.reconstruct(one, one_mask), 1),
        f"trace, {batch} images": (lambda: model.trace(images, mask, keep_attention=False), batch),
        f"reconstruct, {batch} images": (lambda: model.reconstruct(images, mask), batch),
        f"training step, {batch} images": (training_step(model, model.loss, images, mask), batch),
    }


def literal_tasks(model: EnergyModel, images, mask) -> dict[str, tuple[Callable, int]]:
    """The same by autograd; nothing without a clone around, or for another model."""
    try:
        from benchmarks import literal
    except ModuleNotFoundError:
        return {}
    if not isinstance(model, EnergyTransformer):
        return {}
    batch = len(images)

    def loss(images, mask):
        return literal.loss(model, images, mask)

    return {
        "literal trace, 1 image": (lambda: literal.trace(model, images[:1], mask[:1]), 1),
        f"literal reconstruct, {batch} images": (lambda: literal.reconstruct(model, images, mask), batch),
        f"literal training step, {batch} images": (training_step(model, loss, images, mask), batch),
    }


def ratios(rows: dict) -> dict[str, float]:
    """Literal over etviz, task by task, and trace over reconstruct."""
    found = {}
    for name, row in rows.items():
        literal = rows.get(f"literal {name}")
        if literal is not None:
            found[f"literal / etviz, {name}"] = literal["seconds"] / row["seconds"]
        if name.startswith("trace"):
            found[f"trace / reconstruct,{name.removeprefix('trace,')}"] = (
                row["seconds"] / rows[f"reconstruct,{name.removeprefix('trace,')}"]["seconds"]
            )
    return found


@torch.no_grad()
def matmul_rate(device: torch.device, seconds: float) -> float:
    """FLOP/s of a large float32 matrix product, by the faster of the products that models use here."""
    a = torch.randn(MATMUL_SIZE, MATMUL_SIZE, device=device)
    projections = {type(p): p for p in (Projection([a]), make_projection([a]))}  # plain and, on a CPU, packed
    fastest = min(median_seconds(lambda p=p: p.up(a[None]), device, seconds / 2) for p in projections.values())
    return 2 * MATMUL_SIZE**3 / fastest


def make_table(report: dict) -> Table:
    """The report for people."""
    rate = report["matmul_gflops_per_second"]
    title = f"{report['model']} on {report['device']}: float32 matmul at {rate:,.0f} GFLOP/s"
    table = Table("task", "ms", "images/s", "GFLOP an image", "share of matmul rate", title=title)
    for name, row in report["tasks"].items():
        flops = "" if row["gflops_per_image"] is None else f"{row['gflops_per_image']:.2f}"
        share = "" if row["share"] is None else f"{row['share']:.0%}"
        table.add_row(name, f"{1e3 * row['seconds']:.1f}", f"{row['images_per_second']:.1f}", flops, share)
    table.add_section()
    for name, ratio in report["ratios"].items():
        table.add_row(name, f"{ratio:.2f}x")
    return table


if __name__ == "__main__":
    run(main)
