"""Descents from disturbed starts: do they end in the same basin?"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.metrics import masked_mse
from etviz.models import EnergyModel, MaskedImageModel, Trace, as_energy_model, complete
from etviz.models.descent import DescentSettings, EnergyDescent

BARRIER = 0.001  # share of the energy lost on the way to the settled state; a smaller rise is no barrier
LINE_POINTS = 17  # between two settled states
SETTLED = 1e-4  # share of the gradient that may be left along the sphere of token directions
SETTLING_STEPS = 200
PIECE = 25  # steps: others may use the model in between

Result = TypeVar("Result")
Settling = Generator[None, None, tuple[Tensor, int]]


@dataclass(kw_only=True)
class Settled:
    """Where K descents settle when they go on, on the sphere, from where they ended."""

    steps: Tensor  # (K,)  that it took; -1: it has not settled within the limit
    energy: Tensor  # (K,)
    masked_mse: Tensor  # (K,)  of the reconstructions there
    frames: Tensor  # (K, C, H, W)  the pictures there, completed by the visible pixels
    tokens: Tensor  # (K, N, D)  the states, layer-normed

    @property
    def is_settled(self) -> Tensor:
        """(K,) bool: whether each one has settled."""
        return self.steps >= 0


@dataclass(kw_only=True)
class Control:
    """Where another picture ends under the same mask: a verdict that holds of it, too, says nothing of this picture."""

    frame: Tensor  # (C, H, W)  at the end of its descent, completed
    settled: Settled  # of one image
    barrier: float  # between both settled states
    same_basin: bool


@dataclass(kw_only=True)
class Undisturbed:
    """The descent of one picture without noise, where it settles, and where another picture settles beside it."""

    trace: Trace  # of one image
    images: Tensor  # (1, C, H, W)
    settled: Settled  # of one image
    control: Control | None  # another picture under the same mask, by the same descent
    settling_steps: int  # the limit

    @property
    def lost(self) -> Tensor:
        """The energy that the descent loses from its start to its settled state, a scalar: the unit of a barrier."""
        lost = (self.trace.energy[0, 0] - self.settled.energy[0]).abs()
        return lost.clamp(min=torch.finfo(lost.dtype).tiny)


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
    settled: Settled  # where the S descents settle
    barrier: Tensor  # (S,)  see `perturbed_descents`, as a share of what the undisturbed descent loses
    same_basin: Tensor  # (S,) bool  both have settled, and barrier is at most BARRIER
    frames: Tensor  # (S, C, H, W)  final pictures in [0, 1]: the reconstruction, completed by the visible pixels
    reference_frame: Tensor  # (C, H, W)  the undisturbed one
    tokens: Tensor  # (S, T+1, N, D)  the states on the way
    noise: float  # as asked for
    reference: Undisturbed


def undisturbed_descent(model: MaskedImageModel, images: Tensor, mask: Tensor, **options) -> Undisturbed:
    """The descent that `perturbed_descents` compares with, for several calls of it.

    Args:
        model, images, mask: as `perturbed_descents` takes them.
        options: other, settling_steps, and how to descend, as `perturbed_descents` takes them.

    Raises:
        UsageError: as `perturbed_descents`.
    """
    return last_of(undisturbed_in_turns(model, images, mask, **options))


def perturbed_descents(model: MaskedImageModel, images: Tensor, mask: Tensor, **options) -> Perturbations:
    """Add Gaussian noise to the start tokens of one image, descend, and compare with the undisturbed descent.

    The verdict ``same_basin`` is of settled states. A descent of the model's own steps ends on the way, where there is
    no minimum, and lines between such ends meet no barrier even between different pictures. So each descent goes on
    from its end, on the sphere, until it settles. If the energy on the straight line between two settled states
    (between layer-normed tokens) never exceeds the higher of them by more than 0.1% of what the undisturbed descent
    lost, there is no barrier between them, and they count as one basin. A barrier on the straight line does not prove
    that no other way leads around it. The control says what the verdict is worth: where another picture settles in the
    same basin, too, the basin says nothing about this picture.

    Args:
        model: with an energy; of `et_asym` the decoder's start is disturbed.
        images: (1, C, H, W) in [0, 1].
        mask: (1, N) bool, True = hidden.
        options:
            noise: standard deviation, as a share of each token's root mean square; 0 or more, by default 0.1.
            count: S, how many descents, at least 1, by default 8.
            seed: of the noise, drawn on the CPU, by default 0.
            other: (1, C, H, W) another picture, for the control; none by default.
            settling_steps: the most that a descent may take on the sphere, 0 or more, by default `SETTLING_STEPS`.
            reference: what `undisturbed_descent` gave for the same model, images, mask and descent; it then stands for
                ``other`` and ``settling_steps``, too.
            steps, step_size, beta, rule: as `model.trace` takes them.

    Raises:
        UsageError: the model has no energy, more or fewer images than one, or a setting out of range.
    """
    return last_of(perturbed_in_turns(model, images, mask, **options))


@torch.no_grad()
def undisturbed_in_turns(
    model: MaskedImageModel,
    images: Tensor,
    mask: Tensor,
    *,
    other: Tensor | None = None,
    settling_steps: int = SETTLING_STEPS,
    **descent,
) -> Iterator[Undisturbed | None]:
    """`undisturbed_descent` in pieces, between which others may use the model: None for each, then the result."""
    model = as_energy_model(model)
    model.check_inputs(images, mask)
    _check_images(images)
    if settling_steps < 0:
        raise UsageError(f"settling_steps must be 0 or more, not {settling_steps}.")
    trace = model.trace(images, mask, keep_attention=False, **descent)
    settled = yield from _settle(model, trace, images, settling_steps)
    reference = Undisturbed(
        trace=trace,
        images=images,
        settled=settled,
        control=None,
        settling_steps=settling_steps,
    )
    if other is not None:
        beside = model.trace(other, mask, keep_attention=False, **descent)
        there = yield from _settle(model, beside, other, settling_steps)
        barrier = _barriers(model, reference, there)
        reference.control = Control(
            frame=complete(other, beside.frames[:, -1], mask)[0],
            settled=there,
            barrier=barrier.item(),
            same_basin=bool(_same(reference, there, barrier)[0]),
        )
    yield reference


@torch.no_grad()
def perturbed_in_turns(
    model: MaskedImageModel,
    images: Tensor,
    mask: Tensor,
    *,
    noise: float = 0.1,
    count: int = 8,
    seed: int = 0,
    other: Tensor | None = None,
    settling_steps: int = SETTLING_STEPS,
    reference: Undisturbed | None = None,
    **descent,
) -> Iterator[Perturbations | None]:
    """`perturbed_descents` in pieces, as `undisturbed_in_turns`."""
    model = as_energy_model(model)
    model.check_inputs(images, mask)
    _check(images, noise, count)
    if reference is None:
        reference = undisturbed_descent(model, images, mask, other=other, settling_steps=settling_steps, **descent)
    undisturbed = reference.trace
    starts = _disturbed(undisturbed.tokens[:, 0], noise, count, seed)
    images, mask = images.expand(count, -1, -1, -1), mask.expand(count, -1)
    trace = model.trace(images, mask, start=starts, keep_attention=False, **descent)
    settled = yield from _settle(model, trace, images, reference.settling_steps)
    barrier = _barriers(model, reference, settled)
    start, end = (_distances(model, trace, undisturbed, state) for state in (0, -1))
    last = undisturbed.frames[:, -1]
    yield Perturbations(
        energy=trace.energy,
        reference_energy=undisturbed.energy[0],
        start_distance=start,
        end_distance=end,
        distance_ratio=end / start,
        masked_mse=masked_mse(images, trace.frames[:, -1], mask),
        reference_mse=masked_mse(images[:1], last, mask[:1]).item(),
        settled=settled,
        barrier=barrier,
        same_basin=_same(reference, settled, barrier),
        frames=complete(images, trace.frames[:, -1], mask),
        reference_frame=complete(images[:1], last, mask[:1])[0],
        tokens=trace.tokens,
        noise=noise,
        reference=reference,
    )


def last_of(pieces: Iterator[Result | None]) -> Result:
    """The result of a computation in pieces."""
    result = None
    for piece in pieces:
        result = piece
    assert result is not None
    return result


def _disturbed(start: Tensor, noise: float, count: int, seed: int) -> Tensor:
    """start (1, N, D) with noise relative to each token's root mean square: (S, N, D)."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, *start.shape[1:], generator=generator).to(start)
    return start + noise * start.square().mean(dim=2, keepdim=True).sqrt() * drawn


@torch.no_grad()
def _settle(model: EnergyModel, trace: Trace, images: Tensor, steps: int) -> Generator[None, None, Settled]:
    """Go on from where the descents ended, until each has settled; in pieces."""
    descent = model.descent
    ends, taken = [], []
    for x in trace.tokens[:, -1].split(1):
        end, steps_taken = yield from _settle_one(descent, x, trace.settings, steps)
        ends.append(end)
        taken.append(steps_taken)
    tokens = torch.cat(ends)
    frames = model.to_images(model.decode(tokens))
    return Settled(
        steps=torch.tensor(taken),
        energy=descent.energy(tokens, trace.settings),
        masked_mse=masked_mse(images, frames, trace.mask),
        frames=complete(images, frames, trace.mask),
        tokens=tokens,
    )


def _settle_one(descent: EnergyDescent, x: Tensor, settings: DescentSettings, steps: int) -> Settling:
    """One state (1, N, D): the settled state, and the steps that it took, or -1."""
    done = 0
    while True:
        allowed = min(PIECE, steps - done)
        x, taken = descent.settle(x, replace(settings, steps=allowed, tolerance=SETTLED))
        if taken.item() >= 0:
            return x, done + int(taken)
        done += allowed
        if done == steps:
            return x, -1
        yield


def _distances(model: EnergyModel, trace: Trace, undisturbed: Trace, state: int) -> Tensor:
    """Of one state of each descent to the undisturbed descent's, in layer-normed tokens: (S,)."""
    norm = model.descent.blocks[int(trace.block[state])].norm
    apart = norm(trace.tokens[:, state]) - norm(undisturbed.tokens[:, state])
    return apart.flatten(1).norm(dim=1)


def _same(reference: Undisturbed, settled: Settled, barrier: Tensor) -> Tensor:
    """Whether both have settled, with no barrier between them: (K,) bool."""
    both = (settled.is_settled & reference.settled.is_settled).to(barrier.device)
    return both & (barrier <= BARRIER)


@torch.no_grad()
def _barriers(model: EnergyModel, reference: Undisturbed, settled: Settled) -> Tensor:
    """How far the energy rises on the line to each settled state: (K,), a share of what the undisturbed one lost."""
    here = reference.settled.tokens[0]
    weights = torch.linspace(0, 1, LINE_POINTS, dtype=here.dtype, device=here.device)[:, None, None]
    settings = reference.trace.settings
    lines = [model.descent.energy(here + weights * (end - here), settings) for end in settled.tokens]
    rise = torch.stack([line.max() - torch.maximum(line[0], line[-1]) for line in lines])
    return rise / reference.lost


def _check_images(images: Tensor) -> None:
    if len(images) != 1:
        raise UsageError(f"Perturbations are of one image at a time, not {len(images)}: give images of shape (1, ...).")


def _check(images: Tensor, noise: float, count: int) -> None:
    _check_images(images)
    if not noise >= 0:
        raise UsageError(f"noise must be 0 or more, not {noise}: it is a share of each token's size.")
    if count < 1:
        raise UsageError(f"count must be at least 1, not {count}.")
