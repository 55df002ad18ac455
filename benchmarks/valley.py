"""Where the picture is on the way down: python -m benchmarks.valley [MODEL] [images=100] [steps=500] [basins=20].

Test images of CIFAR-10, 54 of 64 patches hidden by mask seed 0. Each descends by the model's own steps, and goes on
from there, on the sphere, until it has settled (`etviz.models.descent.EnergyDescent.settle`), in at most ``steps``
steps. Prints the masked PSNR over all hidden pixels, the energy, the stationarity, and the share of the gradient that
is left along the sphere, at both states: means over images with their standard errors, and the differences, paired
over the images.

Then, for the first ``basins`` images under one mask: the largest rise of the energy on the straight line to the next
image's state and to that of a start disturbed by 10% noise, as a share of the energy lost, at both states.
"""

import sys
from dataclasses import replace

import torch
from torch import Tensor

import etviz
from etviz.analysis import perturbed_descents, undisturbed_descent
from etviz.analysis.perturbations import BARRIER, LINE_POINTS, SETTLED, Perturbations
from etviz.data import to_float
from etviz.evaluation.paired import paired_difference
from etviz.metrics import evaluation_masks, masked_mse, psnr_of_mse, standard_error
from etviz.models import EnergyModel, as_energy_model
from etviz.models.energy import layer_normed

NOISE = 0.1


def main(argv: list[str]) -> None:
    """Measure and print."""
    numbers = {name: int(value) for name, value in (word.split("=", 1) for word in argv if "=" in word)}
    name = next((word for word in argv if "=" not in word), "et-cifar10")
    model = as_energy_model(etviz.load_model(name))
    images = to_float(etviz.load_dataset("cifar10").test_images[: numbers.get("images", 100)])
    masks = evaluation_masks(len(images))
    print(f"{name}: {len(images)} test images, {int(masks[0].sum())} of {masks.shape[1]} patches hidden")
    print_states(model, images, masks, numbers.get("steps", 500))
    print_basins(model, images[: numbers.get("basins", 20) + 1], masks[:1])


def print_states(model: EnergyModel, images: Tensor, masks: Tensor, steps: int) -> None:
    """The state after the model's own steps beside the one where the descent settles."""
    descent, own = model.descent, model.descent.settings()
    settings = replace(own, steps=steps, tolerance=SETTLED)
    ends, settled, taken = [], [], []
    with torch.no_grad():
        for image, mask in zip(images.split(1), masks.split(1), strict=True):
            ends.append(descent(model.start_tokens(image, mask)))
            state, count = descent.settle(ends[-1], settings)
            settled.append(state)
            taken.append(int(count))
    on_the_way, there = (measure(model, torch.cat(states), images, masks) for states in (ends, settled))
    counts = torch.tensor([count for count in taken if count >= 0], dtype=torch.float64)
    known = f"after {counts.median():.0f} steps at the median, {counts.max():.0f} at most" if len(counts) else ""
    print(f"settled within {steps} further steps: {len(counts)} of {len(taken)}, {known}")
    for title, found in ((f"step {own.steps}", on_the_way), ("settled", there)):
        psnr = psnr_of_mse(found["masked MSE"].mean()).item()
        print(f"{title:>10}: {psnr:.2f} dB, " + ", ".join(told(key, values) for key, values in found.items()))
    for key, values in there.items():
        found = paired_difference(values, on_the_way[key])
        print(
            f"{key}, settled minus step {own.steps}: {found.difference:.5g} +- {found.standard_error:.2g}, higher on "
            f"{100 * found.first_larger:.0f}% of the images, p {found.t_test:.1g} and {found.wilcoxon:.1g}"
        )


def measure(model: EnergyModel, tokens: Tensor, images: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Of each image's state."""
    with torch.no_grad():
        error = masked_mse(images, model.to_images(model.decode(tokens)), masks)
        record = [
            model.descent.record(x, model.descent.settings(steps=0), keep_attention=False) for x in tokens.split(1)
        ]
        gamma = model.descent.blocks[-1].norm.gamma.abs()
        left = torch.cat([state.stationarity[:, 0] / (gamma * state.gradient_norm[:, 0]) for state in record])
        stationarity = torch.cat([state.stationarity[:, 0] for state in record])
        energy = model.descent.energy(tokens)
    return {
        "masked MSE": error,
        "masked PSNR by image": psnr_of_mse(error),
        "energy": energy,
        "stationarity": stationarity,
        "share of the gradient": left,
    }


def told(key: str, values: Tensor) -> str:
    return f"{key} {values.mean():.5g} +- {standard_error(values):.2g}"


def print_basins(model: EnergyModel, images: Tensor, mask: Tensor) -> None:
    """Barriers to other pictures and to disturbed starts, on the way and where the descents settle."""
    found: dict[str, list[float]] = {}
    for number in range(len(images) - 1):
        image, other = images[number : number + 1], images[number + 1 : number + 2]
        reference = undisturbed_descent(model, image, mask, other=other)
        result = perturbed_descents(model, image, mask, noise=NOISE, count=1, seed=number, reference=reference)
        beside = model.trace(other, mask, keep_attention=False).tokens[:, -1]
        for title, end in (("another picture", beside), ("10% noise", result.tokens[:, -1])):
            found.setdefault(f"to {title}, on the way", []).append(rise(model, result, end))
        if reference.control and reference.settled.is_settled[0] and reference.control.settled.is_settled[0]:
            found.setdefault("to another picture, settled", []).append(reference.control.barrier)
        if reference.settled.is_settled[0] and result.settled.is_settled[0]:
            found.setdefault("to 10% noise, settled", []).append(result.barrier.item())
    for title, shares in sorted(found.items()):
        values = 100 * torch.tensor(shares)
        low = f"{int((values <= 100 * BARRIER).sum())} of {len(values)} at most {100 * BARRIER:.1f}%"
        print(f"barrier {title}: {low}, median {values.median():.2f}%, largest {values.max():.2f}%")


@torch.no_grad()
def rise(model: EnergyModel, result: Perturbations, end: Tensor) -> float:
    """On the line between the ends of two descents, as a share of what the undisturbed one lost."""
    trace = result.reference.trace
    here, there = layer_normed(trace.tokens[:, -1]), layer_normed(end)
    weights = torch.linspace(0, 1, LINE_POINTS)[:, None, None]
    line = model.descent.energy(here + weights * (there - here))
    lost = (trace.energy[0, 0] - trace.energy[0, -1]).abs()
    return ((line.max() - torch.maximum(line[0], line[-1])) / lost).item()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
