"""How the energy usually falls: its quantiles over many images under one mask, to compare a single descent with."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from etviz.data import to_float
from etviz.errors import UsageError
from etviz.masks import check_mask
from etviz.models import EnergyModel, MaskedImageModel, Trace, as_energy_model

QUANTILES = (0.1, 0.5, 0.9)
CHUNK = 8  # images: what a descent takes through the CPU's cache at once


@dataclass(kw_only=True)
class EnergyBand:
    """Quantiles over images of the energy at every step. Rows are the 10% quantile, the median and the 90% quantile.

    The quantiles of the parts do not add up to those of the total: each is taken by itself. Energies have no unit.
    """

    total: Tensor  # (3, T+1)
    attention: Tensor  # (3, T+1)
    hopfield: Tensor  # (3, T+1)
    count: int  # images


def energy_band(model: MaskedImageModel, images: Tensor, mask: Tensor, chunk: int = CHUNK, **descent) -> EnergyBand:
    """The band of many descents. Arguments and errors as `energies_in_chunks`."""
    return band_of(energies_in_chunks(model, images, mask, chunk, **descent))


def energies_in_chunks(
    model: MaskedImageModel, images: Tensor, mask: Tensor, chunk: int = CHUNK, **descent
) -> Iterator[Tensor]:
    """Descend a few images at a time, so that a server can answer others in between.

    Args:
        model: with an energy.
        images: (n, C, H, W) uint8, or float in [0, 1]; moved to the model's device chunk by chunk.
        mask: (1, N) bool, True = hidden: one mask for all images; or (n, N), one for each.
        chunk: images at once, at least 1.
        descent: steps, step_size, beta, rule as `model.trace` takes them.

    Yields:
        (3, b, T+1): total, attention and Hopfield energy of b <= chunk images, on the CPU.

    Raises:
        UsageError: at once, if the model has no energy, there are no images, or mask or chunk do not fit; while
            descending, as `model.trace`.
    """
    model = as_energy_model(model)
    if len(images) == 0:
        raise UsageError("An energy band needs at least one image.")
    if chunk < 1:
        raise UsageError(f"chunk must be at least 1, not {chunk}.")
    mask = mask.expand(len(images), -1) if len(mask) == 1 else mask
    check_mask(mask, len(images), model.num_patches)
    parts = zip(images.split(chunk), mask.split(chunk), strict=True)
    return (_energies(_trace(model, *part, **descent)) for part in parts)


def band_of(energies: Iterable[Tensor]) -> EnergyBand:
    """The band of what `energies_in_chunks` yields: (3, b, T+1) of at least one chunk, all of one length."""
    together = torch.cat(list(energies), dim=1).cpu().double()  # (3, n, T+1)
    quantiles = torch.quantile(together, together.new_tensor(QUANTILES), dim=1)  # (quantile, part, T+1)
    total, attention, hopfield = quantiles.unbind(1)
    return EnergyBand(total=total, attention=attention, hopfield=hopfield, count=together.shape[1])


def _trace(model: EnergyModel, images: Tensor, mask: Tensor, **descent) -> Trace:
    images, mask = images.to(model.device), mask.to(model.device)
    images = images if images.is_floating_point() else to_float(images)
    return model.trace(images, mask, keep_attention=False, **descent)


def _energies(trace: Trace) -> Tensor:
    """Total, attention and Hopfield energy, (3, B, T+1)."""
    parts = trace.energy, trace.attention_energy.sum(-1), trace.hopfield_energy.sum(-1)
    return torch.stack(parts).cpu()
