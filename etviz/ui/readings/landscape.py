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
    principal_plane,
)
from etviz.analysis.perturbations import BARRIER, Control, Settled, last_of, perturbed_in_turns, undisturbed_in_turns
from etviz.data import to_float
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
LARGE, LARGE_POINTS = 100, 13  # a model of more patches than this has so many points on a line, and along a side
RUNS = 3  # from disturbed starts


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
    points = LARGE_POINTS if request.model.num_patches > LARGE else points
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
    """Descents from disturbed starts, and whether they settle in the same basin as the undisturbed one.

    Run r of seed s is the run that `perturbed_descents` gives for count 1 and seed s * RUNS + r. The control is the
    next picture of the same gallery; for an upload, the first gallery's first picture.

    Args:
        question: as `Backend.read_request` takes it, and noise: 0 to `Limits.noise`; seed: 0 to `Limits.seed`.

    Returns:
        noise, seed; criterion: the largest barrier that counts as none; limit: the most steps in which a descent may
        settle; the fields of an end, for the undisturbed descent; control: an end, its caption, and its barrier; runs:
        `RUNS` ends with barrier, same_basin, distance_ratio, and path: pairs on the plane of `read_energy_plane`.

        An end is frame: base64 of bytes, mse, energy: of the last state of the descent; and valley: {frame, mse,
        energy, steps} where it settles from there, steps null where it did not within the limit. Each mse is a masked
        MSE, null where nothing is hidden.
    """
    request = service.read_request(question)
    noise = _noise(question.get("noise"), service.limits.noise)
    seed = _seed(question.get("seed"), service.limits.seed)
    plane = _plane(request, service.trace(request))
    other, caption = _other_picture(service, request)
    start, settings = (request.model, request.image[None], request.mask), vars(request.descent)
    reference = last_of(service.in_turns(undisturbed_in_turns(*start, other=other, **settings)))
    options = {"noise": noise, "count": 1, "reference": reference} | settings
    seeds = range(seed * RUNS, (seed + 1) * RUNS)
    results = [last_of(service.in_turns(perturbed_in_turns(*start, seed=run, **options))) for run in seeds]
    assert reference.control is not None
    return {
        "noise": noise,
        "seed": seed,
        "criterion": BARRIER,
        "limit": reference.settling_steps,
        "frame": encode_pixels(to_bytes(results[0].reference_frame)),
        "mse": finite(results[0].reference_mse),
        "energy": finite(reference.trace.energy[0, -1].item()),
        "valley": _valley(reference.settled),
        "control": _control(reference.control, caption),
        "runs": [_run(result, plane) for result in results],
    }


def _other_picture(service: Backend, request: Request) -> tuple[Tensor, str]:
    """The control: the next picture of the gallery (1, 3, S, S), and its caption."""
    dataset = request.picture.get("dataset", service.galleries[0])
    pictures = service.pictures(dataset, request.model.img_size)
    index = (request.picture.get("index", -1) + 1) % len(pictures)
    return to_float(pictures.at([index])), pictures.caption(index)


def _control(control: Control, caption: str) -> dict:
    """The other picture."""
    return {
        "caption": caption,
        "frame": encode_pixels(to_bytes(control.frame)),
        "barrier": finite(control.barrier),
        "same_basin": control.same_basin,
        "valley": _valley(control.settled),
    }


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
        "valley": _valley(result.settled),
    }


def _valley(settled: Settled) -> dict:
    """Where one descent settled."""
    steps = int(settled.steps[0])
    return {
        "frame": encode_pixels(to_bytes(settled.frames[0])),
        "mse": finite(settled.masked_mse[0].item()),
        "energy": finite(settled.energy[0].item()),
        "steps": steps if steps >= 0 else None,
    }


def _path(result: Perturbations, plane: PrincipalPlane) -> list[list[float]]:
    """Where a run's states lie on the plane: those of the plane's block, where they are finite."""
    steps = plane.steps if len(plane.steps) < result.energy.shape[1] else torch.arange(result.energy.shape[1])
    path: Tensor = plane.project(result.tokens[0, steps])
    return path[path.isfinite().all(1)].tolist()


def _plane(request: Request, trace: Trace) -> PrincipalPlane:
    points = LARGE_POINTS if request.model.num_patches > LARGE else PLANE_POINTS
    return principal_plane(request.model, trace, points=points)


def _noise(value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise UsageError(f"The noise is a number from 0 to {most:g}, not {str(value)[:20]}.")
    return float(value)


def _seed(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise UsageError(f"The seed is a whole number from 0 to {most:,}, not {str(value)[:20]}.")
    return value
