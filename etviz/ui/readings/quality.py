"""How good the picture is beside what needs no learning: SSIM at every step, and two floors."""

from functools import lru_cache

import torch
from torch import Tensor

from etviz.inpainting import mean_fill, navier_stokes_fill
from etviz.masks import mask_from_hex, mask_to_hex
from etviz.metrics import SSIM_MIN_SIZE, masked_mse, psnr_of_mse, ssim
from etviz.models import complete
from etviz.ui.payload import finite

FLOORS = {"mean_fill": mean_fill, "navier_stokes": navier_stokes_fill}


def read_quality(service, question: dict) -> dict:
    """What the descent's own payload leaves out, since it takes longer. No model computes here but for a lost trace.

    Args:
        question: as `Service.read_request` takes it.

    Returns:
        ssim: of the completed picture at each of T + 1 steps; mean_fill, navier_stokes: {mse, psnr, ssim} each, mse and
        psnr over hidden pixels. Null where nothing is hidden, where infinite, or where a picture is too small for SSIM.
    """
    request = service.read_request(question)
    frames = service.trace(request).frames[0].cpu()  # (T+1, 3, S, S)
    image = request.image.expand_as(frames)
    completed = complete(image, frames, request.mask.expand(len(frames), -1))
    floors = floors_of(request.image.numpy().tobytes(), tuple(request.image.shape), mask_to_hex(request.mask))
    return {"ssim": ssim_of(image, completed), **floors}


@lru_cache(maxsize=256)
def floors_of(pixels: bytes, shape: tuple, mask: str) -> dict:
    """Both floors' metrics of one picture (float32 bytes) under one mask; they do not depend on the model."""
    image = torch.frombuffer(bytearray(pixels), dtype=torch.float32).reshape(1, *shape)
    hidden = mask_from_hex(mask, 4 * len(mask))
    return {name: measure_fill(image, fill(image, hidden), hidden) for name, fill in FLOORS.items()}


def measure_fill(image: Tensor, filled: Tensor, mask: Tensor) -> dict:
    """The metrics of one filled-in picture, (1, 3, S, S) both."""
    error = masked_mse(image, filled, mask)
    return {"mse": finite(error)[0], "psnr": finite(psnr_of_mse(error))[0], "ssim": ssim_of(image, filled)[0]}


def ssim_of(images: Tensor, completed: Tensor) -> list[float | None]:
    """SSIM of each of B pictures, or None for those too small for it."""
    return finite(ssim(images, completed)) if images.shape[-1] >= SSIM_MIN_SIZE else [None] * len(images)


def warm_up() -> None:
    """Import what a first question would wait for: torchmetrics, OpenCV and transformers take seconds."""
    image = torch.rand(1, 3, 2 * SSIM_MIN_SIZE, 2 * SSIM_MIN_SIZE)
    floors_of(image.numpy().tobytes(), tuple(image.shape[1:]), "8")
    from transformers import SwinForMaskedImageModeling, ViTMAEForPreTraining  # noqa: F401 - Compare's other models
