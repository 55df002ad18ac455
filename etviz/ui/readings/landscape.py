"""The energy around a descent: along minus the gradient, on the plane of its path, and from disturbed starts."""

import base64
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
from etviz.models import Trace
from etviz.ui.payload import encode_pixels, finite, to_bytes
from etviz.ui.request import Request

REACH = 4.0  # step sizes along minus the gradient
FINE, COARSE = 41, 21  # points on a line: step sizes are cut in eight, or in four
FEW_STATES = 21  # whose lines are fine
MAX_LINES = 61  # of a longer descent, not every state has its line
PLANE_POINTS = 25
RUNS = 5
MAX_NOISE = 2.0
MAX_SEED = 2**32 - 1


def read_gradient_lines(service, question: dict) -> dict:
    """The energy along minus the gradient, from every state; of a long descent from every second, third, ...

    Args:
        question: as `Service.read_request` takes it.

    Returns:
        every: 1 where each state has a line, 2 where each second has, ...; lines: {step, sizes, energy: P numbers
            each, energy null where not finite, step_size, energy_here, energy_next} as `etviz.analysis.GradientLine`
            has them, and moved: whether a step was taken from there.
    """
    request = service.read_request(question)
    trace = service.trace(request)
    every = -(-len(trace) // MAX_LINES)
    return {"every": every, "lines": list(service.in_turns(_lines(request, trace, every)))}


def _lines(request: Request, trace: Trace, every: int) -> Iterator[dict]:
    points = FINE if len(trace) <= FEW_STATES else COARSE
    moved = [*trace.step_sizes[0].bool().tolist(), False]
    for step in range(0, len(trace), every):
        line = energy_along_gradient(request.model, trace, step=step, reach=REACH, points=points)
        yield _line(line) | {"moved": moved[step]}


def _line(line: GradientLine) -> dict:
    here, after = finite(torch.tensor([line.energy_here, line.energy_next]))
    return {
        "step": line.step,
        "sizes": line.sizes.tolist(),
        "energy": finite(line.energy),
        **dict(step_size=line.step_size, energy_here=here, energy_next=after),
    }


def read_energy_plane(service, question: dict) -> dict:
    """The energy on the plane of a descent's first two principal components.

    Args:
        question: as `Service.read_request` takes it.

    Returns:
        `etviz.analysis.EnergyPlane`: first, second: P coordinates each; energy: base64 of P * P float32, row by row
        along second; path: S pairs; path_energy, steps: S numbers; variance: two shares; block, blocks: which one of
        how many.

    Raises:
        UsageError: the descent spans no plane.
    """
    request = service.read_request(question)
    plane = _plane(request, service.trace(request))
    energy = torch.stack(list(service.in_turns(energy_rows(request.model, plane))))
    return {
        "first": plane.first.tolist(),
        "second": plane.second.tolist(),
        "energy": base64.b64encode(energy.float().contiguous().numpy().tobytes()).decode(),
        "path": plane.path.tolist(),
        "path_energy": finite(plane.path_energy),
        "steps": plane.steps.tolist(),
        "variance": plane.variance,
        "block": plane.block,
        "blocks": len(request.model.descent.blocks),
    }


def read_perturbations(service, question: dict) -> dict:
    """Descents from disturbed starts, and whether they fall into the basin of the undisturbed one.

    Run r of seed s is that of `perturbed_descents` with count 1 and seed s * RUNS + r.

    Args:
        question: as `Service.read_request` takes it, and noise: 0 to MAX_NOISE; seed: 0 to MAX_SEED.

    Returns:
        noise, seed; criterion: the largest barrier that counts as none; frame, mse, energy of the undisturbed end;
        runs: RUNS of {frame: base64 of bytes, mse, energy: at the end, barrier, same_basin, distance_ratio,
        path: pairs on the plane of `read_energy_plane`}; mse is null where nothing is hidden.
    """
    request = service.read_request(question)
    noise, seed = _noise(question.get("noise")), _seed(question.get("seed"))
    plane = _plane(request, service.trace(request))
    results = list(service.in_turns(_disturbed(request, noise, seed)))
    first = results[0]
    return {
        "noise": noise,
        "seed": seed,
        "criterion": BARRIER,
        "frame": encode_pixels(to_bytes(first.reference_frame)),
        "mse": finite(torch.tensor([first.reference_mse]))[0],
        "energy": finite(first.reference_energy[-1:])[0],
        "runs": [_run(result, plane) for result in results],
    }


def _disturbed(request: Request, noise: float, seed: int) -> Iterator[Perturbations]:
    arguments = request.settings.arguments() | {"noise": noise, "count": 1}
    for run in range(RUNS):
        yield perturbed_descents(request.model, request.image[None], request.mask, seed=seed * RUNS + run, **arguments)


def _run(result: Perturbations, plane: PrincipalPlane) -> dict:
    """One disturbed descent."""
    numbers = torch.stack([result.masked_mse[0], result.energy[0, -1], result.barrier[0], result.distance_ratio[0]])
    mse, energy, barrier, ratio = finite(numbers)
    return {
        "frame": encode_pixels(to_bytes(result.frames[0])),
        "path": _path(result, plane),
        "same_basin": bool(result.same_basin[0]),
        **dict(mse=mse, energy=energy, barrier=barrier, distance_ratio=ratio),
    }


def _path(result: Perturbations, plane: PrincipalPlane) -> list[list[float]]:
    """Where a run's states lie on the plane: those of the plane's block, as far as they are finite."""
    steps = plane.steps if len(plane.steps) < result.energy.shape[1] else torch.arange(result.energy.shape[1])
    path: Tensor = plane.project(result.tokens[0, steps])
    return path[path.isfinite().all(1)].tolist()


def _plane(request: Request, trace: Trace) -> PrincipalPlane:
    return principal_plane(request.model, trace, points=PLANE_POINTS)


def _noise(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_NOISE:
        raise UsageError(f"The noise is a number from 0 to {MAX_NOISE:g}, not {str(value)[:20]}.")
    return float(value)


def _seed(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SEED:
        raise UsageError(f"The seed is a whole number from 0 to {MAX_SEED:,}, not {str(value)[:20]}.")
    return value
