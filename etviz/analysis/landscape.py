"""The energy around a descent: along minus the gradient, and on the plane that fits its states best.

Shapes: B images, T+1 states, N tokens (CLS first), D token width, P points. Energies have no unit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from etviz.analysis.inputs import check_number, check_place, check_trace
from etviz.errors import UsageError
from etviz.models import MaskedImageModel, Trace, as_energy_model
from etviz.models.descent import DescentSettings, EnergyDescent
from etviz.models.energy import layer_normed

FLAT = 1e-12  # a direction with a smaller share of the variance does not count


@dataclass(kw_only=True)
class GradientLine:
    """The energy of x - a * dE/dg for many a. With the fixed rule, a = step_size leads to the next state."""

    sizes: Tensor  # (P,)  a, rising, in the unit of step_size
    energy: Tensor  # (P,)
    step: int  # which state x is, 0 = before the first step
    step_size: float  # of the step taken from x; for the last state, of the step that led to it
    energy_here: float  # at a = 0
    energy_next: float  # at a = step_size, by the energy function of x


@dataclass(kw_only=True)
class PrincipalPlane:
    """The plane of the first two principal components of one block's states, with a grid to look at the energy on."""

    first: Tensor  # (P,)  coordinates along the first component, in units of the (normalised) tokens
    second: Tensor  # (P,)  along the second
    path: Tensor  # (S, 2)  the states' coordinates on the plane: their projections
    path_energy: Tensor  # (S,)  the energy of the states themselves, which lie off the plane
    steps: Tensor  # (S,)  which state of the trace each is
    variance: tuple[float, float]  # the components' shares of the states' variance, 0 to 1
    mean: Tensor  # (N, D)  of the states: the plane's origin
    components: Tensor  # (2, N, D)  orthonormal
    block: int  # whose states, and whose energy
    settings: DescentSettings  # the trace's, which say which energy it is
    normalized: bool  # whether the states are layer-normed tokens

    def project(self, tokens: Tensor) -> Tensor:
        """The coordinates of any states on the plane: tokens (..., N, D) -> (..., 2)."""
        tokens = layer_normed(tokens) if self.normalized else tokens
        return (tokens - self.mean).flatten(-2) @ self.components.flatten(1).T

    def states(self, coordinates: Tensor) -> Tensor:
        """The inverse on the plane itself: coordinates (..., 2) -> tokens (..., N, D)."""
        return self.mean + (coordinates @ self.components.flatten(1)).unflatten(-1, self.mean.shape)


@dataclass(kw_only=True)
class EnergyPlane(PrincipalPlane):
    """The energy on such a plane."""

    energy: Tensor  # (P, P)  [second, first], on the plane itself


@torch.no_grad()
def energy_along_gradient(
    model: MaskedImageModel, trace: Trace, image: int = 0, step: int = 0, *, reach: float = 4.0, points: int = 161
) -> GradientLine:
    """The energy along minus the gradient from one state, from one step size backwards to ``reach`` forwards.

    The gradient is dE/dg, as in the descent (eq. 6); the line is in x. The energy falls for small steps from a = 0, and
    where the curve turns up again, a step would be too long.

    Args:
        model: the one traced; of `et_asym` its decoder's descent.
        trace: of B images; its beta is kept.
        image: which of them.
        step: which state; negative numbers count from the end.
        reach: in step sizes, above 0.
        points: P, at least 2.

    Raises:
        UsageError: the trace is not this model's, or there is no such image, step, reach or number of points.
    """
    descent = check_trace(model, trace)
    check_place(trace, image, step)
    _check_points(points)
    if not reach > 0:
        raise UsageError(f"reach must be above 0, not {reach}: it counts step sizes.")
    step %= len(trace)
    block, x = int(trace.block[step]), trace.tokens[image, step]
    gradient = descent.gradient(x[None], trace.settings, block)
    step_size = _step_size(descent, trace, image, step)
    marked = x.new_tensor([0.0, step_size])
    sizes = torch.cat([step_size * torch.linspace(-1, reach, points, dtype=x.dtype, device=x.device), marked])
    *energy, here, after = descent.energy(x - sizes[:, None, None] * gradient, trace.settings, block).unbind()
    return GradientLine(
        sizes=sizes[:-2],
        energy=torch.stack(energy),
        step=step,
        step_size=step_size,
        energy_here=here.item(),
        energy_next=after.item(),
    )


@torch.no_grad()
def energy_plane(
    model: MaskedImageModel,
    trace: Trace,
    image: int = 0,
    *,
    points: int = 25,
    margin: float = 0.25,
    block: int = -1,
    normalized: bool = True,
) -> EnergyPlane:
    """The energy on a grid over the plane of a descent, with its path. Arguments and errors as `principal_plane`."""
    plane = principal_plane(model, trace, image, points=points, margin=margin, block=block, normalized=normalized)
    return EnergyPlane(**vars(plane), energy=torch.stack(list(energy_rows(model, plane))))


@torch.no_grad()
def energy_rows(model: MaskedImageModel, plane: PrincipalPlane) -> Iterator[Tensor]:
    """The energy on a plane row by row, so that a server can answer others in between.

    Yields:
        (P,) for each coordinate along the second component: the energy along the first.
    """
    descent = as_energy_model(model).descent
    for second in plane.second:
        row = torch.stack([plane.first, second.expand_as(plane.first)], dim=1)  # (P, 2)
        yield descent.energy(plane.states(row), plane.settings, plane.block)


@torch.no_grad()
def principal_plane(
    model: MaskedImageModel,
    trace: Trace,
    image: int = 0,
    *,
    points: int = 25,
    margin: float = 0.25,
    block: int = -1,
    normalized: bool = True,
) -> PrincipalPlane:
    """The plane that fits a descent's states best, and a grid over it.

    Each state of one block is a vector of N * D numbers; the plane is that of the first two principal components of
    these vectors about their mean. The components' shares of the variance say how much of the path the plane shows. The
    rest of the path, and nearly all other directions of the energy, cannot be seen on it.

    Tokens are first layer-normed to mean 0 and variance 1, because the energy sees nothing else of them. Their length
    grows at every step and would make up most of the variance, but it changes no energy.

    Args:
        model: the one traced; of `et_asym` its decoder's descent.
        trace: of B images; its beta is kept.
        image: which of them.
        points: P, along each side, at least 2.
        margin: added on each side, as a share of the path's extent, 0 or more.
        block: whose energy function and states, for models of several; negative numbers count from the last.
        normalized: False takes the tokens as they are, length included.

    Raises:
        UsageError: the trace is not this model's, has fewer than three states of the block or states that are not
            finite or do not move, or there is no such image, number of points, margin or block.
    """
    descent = check_trace(model, trace)
    check_place(trace, image)
    _check_points(points)
    if not margin >= 0:
        raise UsageError(f"margin must be 0 or more, not {margin}.")
    check_number("block", block, len(descent.blocks), least=-len(descent.blocks))
    block %= len(descent.blocks)
    steps = (trace.block == block).nonzero()[:, 0]
    states = trace.tokens[image][steps.to(trace.tokens.device)]  # (S, N, D)
    mean, components, path, variance = _components(layer_normed(states) if normalized else states)
    first, second = (_around(path[:, axis], points, margin) for axis in (0, 1))
    return PrincipalPlane(
        first=first,
        second=second,
        path=path,
        path_energy=trace.energy[image][steps.to(trace.energy.device)],
        steps=steps,
        variance=variance,
        mean=mean,
        components=components,
        block=block,
        settings=trace.settings,
        normalized=normalized,
    )


def _components(states: Tensor) -> tuple[Tensor, Tensor, Tensor, tuple[float, float]]:
    """Mean (N, D), first two components (2, N, D), coordinates (S, 2), shares of variance of states (S, N, D)."""
    flat = states.flatten(1)
    if len(flat) < 3 or not torch.isfinite(flat).all():
        raise UsageError("A plane needs at least three finite states of one block: trace with two steps or more.")
    mean = flat.mean(dim=0)
    _, strengths, components = torch.linalg.svd(flat - mean, full_matrices=False)
    shares = strengths.square() / strengths.square().sum()
    if not shares[1] > FLAT:
        raise UsageError("These states span no plane: the descent does not move, or moves on a straight line.")
    components, path = _turned(components[:2], (flat - mean) @ components[:2].T)
    shape = states.shape[1:]
    return mean.unflatten(0, shape), components.unflatten(1, shape), path, (shares[0].item(), shares[1].item())


def _turned(components: Tensor, path: Tensor) -> tuple[Tensor, Tensor]:
    """Components (2, D) and coordinates (S, 2), each component's farthest coordinate positive: it may point either way.

    Otherwise the picture of a plane would be the other way around on another machine.
    """
    farthest = path.gather(0, path.abs().argmax(dim=0, keepdim=True)).sign()  # (1, 2)
    return components * farthest.T, path * farthest


def _around(coordinates: Tensor, points: int, margin: float) -> Tensor:
    """``points`` numbers from the least coordinate to the largest, with a margin on each side."""
    low, high = coordinates.min(), coordinates.max()
    extra = margin * (high - low)
    unit = torch.linspace(0, 1, points, dtype=coordinates.dtype, device=coordinates.device)
    return low - extra + unit * (high - low + 2 * extra)


def _step_size(descent: EnergyDescent, trace: Trace, image: int, step: int) -> float:
    """The size of the step from a state, or to the last one; the model's own if no step was taken there."""
    if trace.step_sizes.shape[1] == 0:
        return descent.step_size
    return trace.step_sizes[image, min(step, trace.step_sizes.shape[1] - 1)].item() or descent.step_size


def _check_points(points: int) -> None:
    if points < 2:
        raise UsageError(f"points must be at least 2, not {points}.")
