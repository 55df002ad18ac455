"""python -m etviz.compare [dataset=cifar10] [checkpoints=[et-cifar10,mae-cifar10]] [images=1000] [out=docs]

The shipped models that were trained on one dataset, on the same test images under the same masks: writes comparison.md
with its figures and comparison.json into a folder, docs for CIFAR-10; another dataset's page wants its own, as
dataset=cifar100 out=docs/cifar100. --help lists every option.
"""

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import etviz
from etviz import analysis, plots
from etviz.analysis import ClassMeans
from etviz.commands import load_config, path_option, run, whole_number, word
from etviz.data import load_dataset, to_float
from etviz.devices import describe_device, pick_device
from etviz.evaluation.comparison import FLOORS, Entry, make_split, measure_floor, measure_model
from etviz.evaluation.inputs import chosen, find_meters, trained
from etviz.files import dump, finite, make_folder, write_bytes, write_text
from etviz.plots.style import figure_bytes
from etviz.reports.comparison import NAME, make_page

GRID_IMAGES = 6
RATIOS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95)


def main(argv: list[str]) -> None:
    """Measure and write as ``argv``'s options say; see the module's own text."""
    config = load_config("commands/compare", argv)
    dataset_name = word("dataset", config["dataset"])
    limit = None if config["images"] is None else whole_number("images", config["images"], least=2)
    probe = whole_number("probe_images", config["probe_images"], least=1)
    few = whole_number("ratio_images", config["ratio_images"], least=1)
    seed = whole_number("seed", config["seed"])
    out, device = make_folder(path_option("out", config["out"])), pick_device(config["device"])
    models = {name: etviz.load_model(name).to(device) for name in chosen(config["checkpoints"], dataset_name)}
    meters, left_out = find_meters(config, device)
    first = next(iter(models.values()))
    dataset = load_dataset(dataset_name, config["data"]["root"], first.img_size, config["data"]["download"])
    split = make_split(dataset, config["ratio"], first.num_patches, seed=seed, images=limit, probe=probe)

    with _progress() as bar:
        task = bar.add_task("", total=len(split.images))

        def step(name):
            bar.update(task, description=name, completed=0)
            return lambda done, _: bar.update(task, completed=done)

        floors = [measure_floor(name, split, step(name), meters, device) for name in FLOORS]
        entries = [
            measure_model(name, model, trained(name, model), split, progress=step(name), meters=meters)
            for name, model in models.items()
        ]
        bar.update(task, description="mask ratios", completed=0)
        fills = {name: model.reconstruct for name, model in models.items()} | FLOORS
        shown = to_float(split.images[:few].to(device))
        curves = analysis.psnr_by_ratio(fills, shown, RATIOS, num_patches=first.num_patches, seed=seed)

    images, masks = to_float(split.images[:GRID_IMAGES].to(device)), split.masks[:GRID_IMAGES].to(device)
    filled = {name: fill(images, masks) for name, fill in fills.items()}
    figures = {
        "psnr": plots.class_dots(as_means(entries + floors), [e.name for e in entries + floors], average=False),
        "ratios": plots.ratio_curves(RATIOS, curves, floors=FLOORS),
        "grid": plots.comparison_grid(images, masks, filled),
    }
    setting = describe(config, dataset.name, split, few, device) | {"left_out": left_out}
    by_ratio = {name: values.tolist() for name, values in curves.items()}
    for name, figure in figures.items():
        write_bytes(out / f"{NAME}-{name}.png", figure_bytes(figure, dpi=150, facecolor="white"))
    write_text(out / f"{NAME}.json", dump(as_json(setting, entries, floors, by_ratio)) + "\n")
    write_text(out / f"{NAME}.md", make_page(setting, entries, floors, by_ratio))
    print(out / f"{NAME}.md")


def as_means(entries: list[Entry]) -> ClassMeans:
    """Masked PSNR in dB of each entry, and its standard error."""
    psnr, spread = ([entry.metrics[key] for entry in entries] for key in ("masked_psnr", "masked_psnr_standard_error"))
    counts = torch.tensor([len(entry.errors) for entry in entries])
    return ClassMeans(mean=torch.tensor(psnr), standard_error=torch.tensor(spread), count=counts)


def describe(config: dict, dataset: str, split, few: int, device: torch.device) -> dict:
    """Everything that the numbers depend on, beside the checkpoints themselves."""
    return {
        "dataset": dataset,
        "images": len(split.images),
        "ratio": config["ratio"],
        "hidden_patches": int(split.masks[0].sum()),
        "patches": split.masks.shape[1],
        "mask_seed": config["seed"],
        "probe_images": len(split.train_images),
        "ratio_images": min(few, len(split.images)),
        "ratios": list(RATIOS),
        "device": describe_device(device),
        "torch": torch.__version__,
        "etviz": etviz.__version__,
    }


def as_json(setting: dict, entries: list[Entry], floors: list[Entry], by_ratio: dict[str, list[float]]) -> dict:
    """The setting and every entry's numbers, without those of single images."""
    kept = ("metrics", "accuracy", "costs", "ceiling")
    found = {
        e.name: {key: getattr(e, key) for key in kept} | {"psnr_by_ratio": by_ratio[e.name]} for e in entries + floors
    }
    return finite(setting | {"entries": found})


def _progress() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    run(main)
