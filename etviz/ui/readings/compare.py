"""Several models, snapshots or ways to descend on one picture and mask, a column each."""

import math
import time

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.masks import mask_to_hex
from etviz.metrics import masked_mse, psnr_of_mse, ssim
from etviz.models import Trace, complete
from etviz.ui.payload import encode_pixels, finite, to_bytes
from etviz.ui.request import Request, a_dict

MAX_COLUMNS = 4


def read_compare(service, question: dict) -> dict:
    """Each column's pictures and numbers, at every step.

    Args:
        question: {picture, columns: one to four of {model, snapshot, mask, settings}}, as `Service.read_request` takes
            them; a mask for each, since models may cut pictures into other patches.

    Returns:
        columns: for each, `read_column`'s dict or {error: a sentence}: one that fails leaves the others whole.
    """
    columns = question.get("columns")
    if not isinstance(columns, list) or not 1 <= len(columns) <= MAX_COLUMNS:
        raise UsageError(f"One to {MAX_COLUMNS} columns can be compared: reload the page.")
    return {"columns": [_column_or_sentence(service, question.get("picture"), column) for column in columns]}


def _column_or_sentence(service, picture: object, column: object) -> dict:
    try:
        return read_column(service, service.read_request({**a_dict(column), "picture": picture}, energy=False))
    except UsageError as error:
        return {"error": str(error)}


def read_column(service, request: Request) -> dict:
    """One column. T steps; T = 0 for a model that rebuilds at once and has no energy.

    Returns:
        size, mask, image, frames: as in `etviz.ui.payload.payload`, of the model's own size and grid.
        mse, psnr: over hidden pixels, and ssim, of the completed image: T + 1 numbers each, null where undefined.
        energy: T + 1 numbers, and rises: the steps that raised it; null without an energy.
        milliseconds: of the computation on this machine, for the pictures and energies of all steps.
    """
    with service.lock:
        start = time.perf_counter()
        frames, trace = descend(request)
        milliseconds = 1000 * (time.perf_counter() - start)
    images, masks = request.image.expand_as(frames), request.mask.expand(len(frames), -1)
    error = masked_mse(images, frames, masks)  # (T+1,)
    return {
        "size": request.image.shape[-1],
        "mask": mask_to_hex(request.mask),
        "image": encode_pixels(to_bytes(request.image)),
        "frames": encode_pixels(to_bytes(frames)),
        "mse": finite(error),
        "psnr": finite(psnr_of_mse(error)),
        "ssim": finite(ssim(images, complete(images, frames, masks))),
        "energy": finite(trace.energy[0]) if trace else None,
        "rises": [i + 1 for i, up in enumerate(trace.rises()[0].tolist()) if up] if trace else None,
        "milliseconds": milliseconds,
    }


@torch.no_grad()
def descend(request: Request) -> tuple[Tensor, Trace | None]:
    """A request's pictures (T+1, 3, S, S), and its trace where the model has an energy; else its one picture.

    Raises:
        UsageError: pixels that are no numbers, as of a descent that ran away.
    """
    trace = None
    if request.has_energy:
        trace = request.model.trace(
            request.image[None], request.mask, **request.settings.arguments(), keep_attention=False
        )
    frames = trace.frames[0] if trace else request.model.reconstruct(request.image[None], request.mask)
    if not math.isfinite(frames.sum().item()):
        raise UsageError("This descent ran away from all numbers: take a smaller step size.")
    return frames, trace
