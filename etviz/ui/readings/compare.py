"""Several models, snapshots or settings on one picture and mask, side by side in columns."""

import math
import time

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.files import finite
from etviz.metrics import ssim
from etviz.models import Trace, complete
from etviz.ui.payload import decoded_frames, pictures_payload, rises_of
from etviz.ui.protocol import Backend
from etviz.ui.request import Request, a_dict


def read_compare(service: Backend, question: dict) -> dict:
    """The pictures and numbers of every column, at every step.

    Args:
        question: {picture, columns: one to four of {model, snapshot, mask, settings}}, as `Backend.read_request` takes
            them. Each column has its own mask, since models may cut pictures into different patches.

    Returns:
        columns: for each, the dict of `read_column`, or {error: a sentence}. One that fails does not affect the others.
    """
    columns, most = question.get("columns"), service.limits.columns
    if not isinstance(columns, list) or not 1 <= len(columns) <= most:
        raise UsageError(f"One to {most} columns can be compared: reload the page.")
    share = 1 / len(columns)
    return {"columns": [_column_or_sentence(service, question.get("picture"), column, share) for column in columns]}


def _column_or_sentence(service: Backend, picture: object, column: object, share: float) -> dict:
    try:
        return read_column(service, service.read_request({**a_dict(column), "picture": picture}, energy=False), share)
    except UsageError as error:
        return {"error": str(error)}


def read_column(service: Backend, request: Request, share: float = 1.0) -> dict:
    """One column. T steps; T = 0 for a model without an energy, which reconstructs a picture at once.

    ``share`` is the share that its pictures may take of the answer.

    Returns:
        size, mask, image, frames, exact, mse, psnr: as in `etviz.ui.payload.payload`, at the model's own size and grid.
        ssim: of the completed image, T + 1 numbers, null where undefined.
        energy: T + 1 numbers, and rises: the steps that raised it; null without an energy.
        milliseconds: that this machine took to compute the pictures and energies of all steps.
    """
    with service.lock:
        start = time.perf_counter()
        frames, trace = descend(request)
        milliseconds = 1000 * (time.perf_counter() - start)
    images, masks = request.image.expand_as(frames), request.mask.expand(len(frames), -1)
    return {
        **pictures_payload(frames, request.image, request.mask, share),
        "ssim": finite(ssim(images, complete(images, frames, masks)).tolist()),
        "energy": finite(trace.energy[0].tolist()) if trace else None,
        "rises": rises_of(trace) if trace else None,
        "milliseconds": milliseconds,
    }


@torch.no_grad()
def descend(request: Request) -> tuple[Tensor, Trace | None]:
    """The pictures of a request, (T+1, 3, S, S), and its trace; one picture and None for a model without an energy.

    Raises:
        UsageError: some pixels are not finite, as in a descent that diverged.
    """
    if request.has_energy:
        trace = request.compute_trace()
        frames = decoded_frames(trace)
    else:
        trace, frames = None, request.model.reconstruct(request.image[None], request.mask)
    if not math.isfinite(frames.sum().item()):
        raise UsageError("This descent diverged: take a smaller step size.")
    return frames, trace
