"""Descents from disturbed starts: do they end in the same basin?"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from etviz.errors import UsageError
from etviz.metrics import masked_mse
from etviz.models import MaskedImageModel, Trace, as_energy_model, complete
from etviz.models.descent import EnergyDescent

BARRIER = 0.01  # share of the energy that the undisturbed descent loses; a smaller rise is no barrier
LINE_POINTS = 17  # between two end states


@dataclass(kw_only=True)
class Perturbations:
    """``count`` descents from disturbed starts, S of them, beside the undisturbed one.

    Distances are Euclidean, between layer-normed tokens, over all tokens of an image. Energy and decoder see nothing
    else of a state, and the tokens themselves grow as they descend.
    """

    energy: Tensor  # (S, T+1)
    reference_energy: Tensor  # (T+1,)  of the undisturbed descent
    start_distance: Tensor  # (S,)  to the undisturbed start
    end_distance: Tensor  # (S,)  to the undisturbed end
    distance_ratio: Tensor  # (S,)  end over start: below 1 the descent undoes; NaN without noise
    masked_mse: Tensor  # (S,)  of the final reconstructions
    reference_mse: float
    barrier: Tensor  # (S,)  see `perturbed_descents`, as a share of what the undisturbed descent loses
    same_basin: Tensor  # (S,) bool  barrier is at most BARRIER
    frames: Tensor  # (S, C, H, W)  final pictures in [0, 1]: the reconstruction, completed by the visible pixels
    reference_frame: Tensor  # (C, H, W)  the undisturbed one
    tokens: Tensor  # (S, T+1, N, D)  the states on the way
    noise: float  # as asked for


@torch.no_grad()
def perturbed_descents(
    model: MaskedImageModel,
    images: Tensor,
    mask: Tensor,
    *,
    noise: float = 0.1,
    count: int = 8,
    seed: int = 0,
    **descent,
) -> Perturbations:
    """Add Gaussian noise to the start tokens of one image, descend, and compare with the undisturbed descent.

    The verdict ``same_basin`` looks at the straight line between the two end states, in layer-normed tokens. If the
    energy on it never exceeds the higher end by more than 1% of what the undisturbed descent lost, there is no barrier
    between them, and they count as one basin. A barrier on the straight line does not prove that no other way leads
    around it.

    Args:
        model: with an energy; of `et_asym` the decoder's start is disturbed.
        images: (1, C, H, W) in [0, 1].
        mask: (1, N) bool, True = hidden.
        noise: standard deviation, as a share of each token's root mean square; 0 or more.
        count: S, how many descents, at least 1.
        seed: of the noise, drawn on the CPU.
        descent: steps, step_size, beta, rule as `model.trace` takes them.

    Raises:
        UsageError: the model has no energy, more or fewer images than one, or a setting out of range.
    """
    model = as_energy_model(model)
    energies = model.descent
    model.check_inputs(images, mask)
    _check(images, noise, count)
    start = model.start_tokens(images, mask)
    starts = torch.cat([start, _disturbed(start, noise, count, seed)])
    images, mask = images.expand(1 + count, -1, -1, -1), mask.expand(1 + count, -1)
    trace = model.trace(images, mask, start=starts, keep_attention=False, **descent)
    distance = _distances(energies, trace)
    error = masked_mse(images, trace.frames[:, -1], mask)
    completed = complete(images, trace.frames[:, -1], mask)
    barrier = _barriers(energies, trace)
    return Perturbations(
        energy=trace.energy[1:],
        reference_energy=trace.energy[0],
        start_distance=distance[:, 0],
        end_distance=distance[:, 1],
        distance_ratio=distance[:, 1] / distance[:, 0],
        masked_mse=error[1:],
        reference_mse=error[0].item(),
        barrier=barrier,
        same_basin=barrier <= BARRIER,
        frames=completed[1:],
        reference_frame=completed[0],
        tokens=trace.tokens[1:],
        noise=noise,
    )


def _disturbed(start: Tensor, noise: float, count: int, seed: int) -> Tensor:
    """start (1, N, D) with noise relative to each token's root mean square: (S, N, D)."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, *start.shape[1:], generator=generator).to(start)
    return start + noise * start.square().mean(dim=2, keepdim=True).sqrt() * drawn


def _distances(energies: EnergyDescent, trace: Trace) -> Tensor:
    """Of the first and the last state to the first image's, in layer-normed tokens: (S, 2)."""
    ends = [energies.blocks[int(trace.block[t])].norm(trace.tokens[:, t]) for t in (0, -1)]
    return torch.stack([(g[1:] - g[:1]).flatten(1).norm(dim=1) for g in ends], dim=1)


def _barriers(energies: EnergyDescent, trace: Trace) -> Tensor:
    """How far the energy rises between each end and the first image's: (S,), a share of what that one lost."""
    ends = F.layer_norm(trace.tokens[:, -1], trace.tokens.shape[-1:])  # the energy knows no other length
    weights = torch.linspace(0, 1, LINE_POINTS, dtype=ends.dtype, device=ends.device)[:, None, None]
    lines = [energies.energy(ends[0] + weights * (end - ends[0]), trace.settings) for end in ends[1:]]
    rise = torch.stack([line.max() - torch.maximum(line[0], line[-1]) for line in lines])
    lost = (trace.energy[0, 0] - trace.energy[0, -1]).abs()
    return rise / lost.clamp(min=torch.finfo(lost.dtype).tiny)  # a descent of no steps loses nothing


def _check(images: Tensor, noise: float, count: int) -> None:
    if len(images) != 1:
        raise UsageError(f"Perturbations are of one image at a time, not {len(images)}: give images of shape (1, ...).")
    if not noise >= 0:
        raise UsageError(f"noise must be 0 or more, not {noise}: it is a share of each token's size.")
    if count < 1:
        raise UsageError(f"count must be at least 1, not {count}.")
