"""python -m etviz.visualize checkpoint=et-cifar10 [out=pictures] [images=[0,1,2]] [query=27] [steps=24]

Writes reconstruction.png, and for models that descend an energy film.gif, film.png, energy.png, attention.png and
attention_heads.png, and prints their paths. --help lists every option.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

import etviz
from etviz import plots
from etviz.commands import load_options, run
from etviz.data import to_float
from etviz.devices import pick_device
from etviz.errors import UsageError
from etviz.evaluation.inputs import load_test_split
from etviz.files import make_folder, write_bytes
from etviz.masks import grid_side
from etviz.metrics import evaluation_masks
from etviz.models import EnergyModel, Trace, as_energy_model
from etviz.options import Count, DataOptions, Name, Options, Positive, Whole, option, section
from etviz.plots.style import figure_bytes

FIRST_IMAGES = 8  # drawn unless others are asked for
MAX_IMAGES = 16  # in one picture: more are too small to see
BATCH = 32  # traced at once for the energy curves


@dataclass(frozen=True, kw_only=True)
class VisualizeOptions(Options):
    """python -m etviz.visualize checkpoint=et-cifar10 out=pictures
    Draws reconstructions, the film of the descent, energy curves and attention maps of test images.
    """

    checkpoint: Name = option(text="a name under checkpoints/, a run folder, or its model.safetensors")
    out: Path = option("pictures", "folder to write to; pictures of an earlier call are replaced")
    dataset: Name | None = option(
        None, "cifar10, cifar100, an .npz archive or an image folder; the one it was trained on where null"
    )
    data: DataOptions = section(DataOptions)
    images: Whole | tuple[Whole, ...] | None = option(
        None, "numbers of the test images, as [3,14]; the first eight where null. Attention is the first one's"
    )
    energy_images: Count = option(128, "the energy curves run over so many images, the first of the test split")
    ratio: float = option(0.85, "share of patches hidden: 54 of 64")
    seed: Whole = option(0, "of the masks: image by image the masks that etviz.evaluate scores with this seed")
    query: Whole | None = option(None, "patch of the attention maps, row by row from 0; the centre where null")
    steps: Whole | None = option(None, "of the descent; the model's own where null, as for the next two")
    step_size: Positive | None = option(None, "alpha")
    beta: Positive | None = option(None, "inverse temperature of the attention")
    device: str = option("auto", "cpu, cuda, mps")


def main(argv: list[str]) -> None:
    """Draw what ``argv``'s options say; see the module's own text."""
    options = load_options(VisualizeOptions, argv)
    descent = descent_options(options)
    count = options.energy_images
    model = etviz.load_model(options.checkpoint).to(pick_device(options.device))
    test_images = load_test_split(options.dataset, options.data, options.checkpoint, model).test_images
    masks = evaluation_masks(len(test_images), options.ratio, model.num_patches, options.seed)
    chosen = chosen_images(options.images, len(test_images))
    query = chosen_patch(options.query, model.num_patches)
    out = make_folder(options.out)

    images, mask = to_float(test_images[chosen].to(model.device)), masks[chosen].to(model.device)
    if not model.has_energy:  # not every model descends an energy
        _report(out / "reconstruction.png", plots.reconstruction_grid(images, mask, model.reconstruct(images, mask)))
        return
    model = as_energy_model(model)
    draw_descent(out, model.trace(images, mask, **descent), images, query)
    traces = energy_traces(model, test_images[:count], masks[:count], descent)
    _report(out / "energy.png", plots.energy_curves(list(traces)))


def draw_descent(out: Path, trace: Trace, images: Tensor, query: int) -> None:
    """Write every picture of one trace: reconstructions, film, attention of patch ``query`` of the first image."""
    _report(out / "reconstruction.png", plots.reconstruction_grid(images, trace.mask, trace.frames[:, -1]))
    _report(out / "film.png", plots.film_strip(trace, images))
    plots.film_gif(out / "film.gif", trace, images)
    print(out / "film.gif")
    _report(out / "attention.png", plots.attention_maps(trace, images, query))
    _report(out / "attention_heads.png", plots.attention_heads(trace, images, query))


def descent_options(options: VisualizeOptions) -> dict:
    """steps, step_size and beta as `model.trace` takes them; those that are not given are the model's own."""
    given = {"steps": options.steps, "step_size": options.step_size, "beta": options.beta}
    return {name: value for name, value in given.items() if value is not None}


def chosen_images(numbers: Sequence[int] | int | None, count: int) -> list[int]:
    """The images asked for, else the first few. Raises `UsageError` unless all are among ``count``, or for too many."""
    if numbers is None:
        return list(range(min(FIRST_IMAGES, count)))
    numbers = [numbers] if isinstance(numbers, int) else list(numbers)
    if not 1 <= len(numbers) <= MAX_IMAGES:
        raise UsageError(f"images takes 1 to {MAX_IMAGES} numbers, not {len(numbers)}.")
    for number in numbers:
        if number >= count:
            raise UsageError(f"There is no test image {number}: they are numbered 0 to {count - 1}.")
    return numbers


def chosen_patch(number: int | None, num_patches: int) -> int:
    """The patch asked for, else the centre. Raises `UsageError` where there is none of that number."""
    if number is None:
        side = grid_side(num_patches)
        return side // 2 * side + side // 2
    if number >= num_patches:
        raise UsageError(f"There is no patch {number}: they are numbered 0 to {num_patches - 1}, row by row.")
    return number


def energy_traces(model: EnergyModel, images: Tensor, masks: Tensor, descent: dict) -> Iterator[Trace]:
    """Traces without attention maps of (n, C, H, W) uint8 images, in batches."""
    device = model.device
    for batch, mask in zip(images.split(BATCH), masks.split(BATCH), strict=True):
        yield model.trace(to_float(batch.to(device)), mask.to(device), keep_attention=False, **descent)


def _report(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, atomically, and print its path."""
    write_bytes(path, figure_bytes(figure))
    print(path)


if __name__ == "__main__":
    run(main)
