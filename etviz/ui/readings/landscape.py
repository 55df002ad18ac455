"""The energy around a descent: along minus the gradient, on the plane of its path, and from disturbed starts."""

from collections.abc import Iterator

import torch
from torch import Tensor

from etviz.analysis import (
    GradientLine,
    Perturbations,
    PrincipalPlane,
    energy_along_gradient,
    energy_rows,
    perturbed_descents,
    principal_plane,
)
from etviz.analysis.perturbations import BARRIER
from etviz.errors import UsageError
from etviz.files import finite
from etviz.models import Trace
from etviz.ui.payload import encode_floats, encode_pixels, to_bytes
from etviz.ui.protocol import Backend
from etviz.ui.request import Request

REACH = 4.0  # length of a line, in step sizes
FINE, COARSE = 41, 21  # points on a line: every eighth of a step size, or every fourth
FEW_STATES = 21  # up to this many states, the lines are fine
PLANE_POINTS = 25  # along either side
RUNS = 5  # from disturbed starts


def read_gradient_lines(service: Backend, question: dict) -> dict:
    """The energy along minus the gradient, from every state; in a long descent, from every second, third, ... state.

    Args:
        question: as `Backend.read_request` takes it.

    Returns:
        every: 1 where every state has a line, 2 where every second one has, ...; lines: {step, sizes, energy: P numbers
        each, step_size, energy_here, energy_next} as in `etviz.analysis.GradientLine`, null where not finite, and
        moved: whether the descent took a step from there.
    """
    request = service.read_request(question)
    trace = service.trace(request)
    every = -(-len(trace) // service.limits.gradient_lines)
    return {"every": every, "lines": list(service.in_turns(_lines(request, trace, every)))}


def _lines(request: Request, trace: Trace, every: int) -> Iterator[dict]:
    points = FINE if len(trace) <= FEW_STATES else COARSE
    moved = [*trace.step_sizes[0].bool().tolist(), False]
    for step in range(0, len(trace), every):
        line = energy_along_gradient(request.model, trace, step=step, reach=REACH, points=points)
        yield _line(line) | {"moved": moved[step]}


def _line(line: GradientLine) -> dict:
    return {
        "step": line.step,
        "sizes": line.sizes.tolist(),
        "energy": finite(line.energy.tolist()),
        "step_size": line.step_size,
        "energy_here": finite(line.energy_here),
        "energy_next": finite(line.energy_next),
    }


def read_energy_plane(service: Backend, question: dict) -> dict:
    """The energy on the plane of a descent's first two principal components.

    Args:
        question: as `Backend.read_request` takes it.

    Returns:
        As in `etviz.analysis.EnergyPlane`. first, second: P coordinates each; energy: base64 of P * P float32, a row
        for each coordinate of second; path: S pairs; path_energy, steps: S numbers; variance: the shares of the two
        components; block: the block whose energy this is; blocks: how many there are.

    Raises:
        UsageError: the descent spans no plane.
    """
    request = service.read_request(question)
    plane = _plane(request, service.trace(request))
    energy = torch.stack(list(service.in_turns(energy_rows(request.model, plane))))
    return {
        "first": plane.first.tolist(),
        "second": plane.second.tolist(),
        "energy": encode_floats(energy),
        "path": plane.path.tolist(),
        "path_energy": finite(plane.path_energy.tolist()),
        "steps": plane.steps.tolist(),
        "variance": plane.variance,
        "block": plane.block,
        "blocks": len(request.energy_model.descent.blocks),
    }


def read_perturbations(service: Backend, question: dict) -> dict:
    """Descents from disturbed starts, and whether they end in the same basin as the undisturbed one.

    Run r of seed s is the run that `perturbed_descents` gives for count 1 and seed s * RUNS + r.

    Args:
        question: as `Backend.read_request` takes it, and noise: 0 to `Limits.noise`; seed: 0 to `Limits.seed`.

    Returns:
        noise, seed; criterion: the largest barrier that counts as none; frame, mse, energy: of the last state of the
        undisturbed descent; runs: `RUNS` of {frame: base64 of bytes, mse, energy: of the last state; barrier,
        same_basin, distance_ratio, path: pairs on the plane of `read_energy_plane`}. Each mse is a masked MSE, null
        where nothing is hidden.
    """
    request = service.read_request(question)
    noise = _noise(question.get("noise"), service.limits.noise)
    seed = _seed(question.get("seed"), service.limits.seed)
    plane = _plane(request, service.trace(request))
    results = list(service.in_turns(_disturbed(request, noise, seed)))
    first = results[0]
    return {
        "noise": noise,
        "seed": seed,
        "criterion": BARRIER,
        "frame": encode_pixels(to_bytes(first.reference_frame)),
        "mse": finite(first.reference_mse),
        "energy": finite(first.reference_energy[-1].item()),
        "runs": [_run(result, plane) for result in results],
    }


def _disturbed(request: Request, noise: float, seed: int) -> Iterator[Perturbations]:
    start = request.model, request.image[None], request.mask
    for run in range(RUNS):
        yield perturbed_descents(*start, noise=noise, count=1, seed=seed * RUNS + run, **vars(request.descent))


def _run(result: Perturbations, plane: PrincipalPlane) -> dict:
    """One disturbed descent."""
    return {
        "frame": encode_pixels(to_bytes(result.frames[0])),
        "path": _path(result, plane),
        "same_basin": bool(result.same_basin[0]),
        "mse": finite(result.masked_mse[0].item()),
        "energy": finite(result.energy[0, -1].item()),
        "barrier": finite(result.barrier[0].item()),
        "distance_ratio": finite(result.distance_ratio[0].item()),
    }


def _path(result: Perturbations, plane: PrincipalPlane) -> list[list[float]]:
    """Where a run's states lie on the plane: those of the plane's block, where they are finite."""
    steps = plane.steps if len(plane.steps) < result.energy.shape[1] else torch.arange(result.energy.shape[1])
    path: Tensor = plane.project(result.tokens[0, steps])
    return path[path.isfinite().all(1)].tolist()


def _plane(request: Request, trace: Trace) -> PrincipalPlane:
    return principal_plane(request.model, trace, points=PLANE_POINTS)


def _noise(value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise UsageError(f"The noise is a number from 0 to {most:g}, not {str(value)[:20]}.")
    return float(value)


def _seed(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise UsageError(f"The seed is a whole number from 0 to {most:,}, not {str(value)[:20]}.")
    return value
