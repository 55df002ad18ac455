"""How good the picture is next to fills that need no learning: SSIM at every step, the mean, and the best of three."""

import torch
from torch import Tensor

from etviz.files import finite
from etviz.inpainting import FLOORS
from etviz.metrics import SSIM_MIN_SIZE, masked_mse, psnr_of_mse, ssim
from etviz.models import complete
from etviz.ui.cache import Cache
from etviz.ui.payload import decoded_frames
from etviz.ui.protocol import Backend

MEAN = "visible mean"
FLOORS_KEPT: Cache[dict] = Cache(256)  # they do not depend on the model or its settings


def read_quality(service: Backend, question: dict) -> dict:
    """What `read_descent` leaves out because it takes longer. No model computes here unless the trace is gone.

    Args:
        question: as `Backend.read_request` takes it.

    Returns:
        ssim: of the completed picture at each of T + 1 steps; mean_fill, best_fill: {name, mse, psnr, ssim} each, of
        the visible mean and of the filler from neighbouring pixels with the lowest error here, where mse and psnr are
        masked MSE and masked PSNR. Numbers are null where nothing is hidden, where a value is infinite, or where the
        picture is too small for SSIM.
    """
    request = service.read_request(question)
    frames = decoded_frames(service.trace(request)).cpu()  # (T+1, 3, S, S)
    image = request.image.expand_as(frames)
    completed = complete(image, frames, request.mask.expand(len(frames), -1))
    floors = FLOORS_KEPT.get(request.picture_key(), lambda: floors_of(request.image[None], request.mask))
    return {"ssim": ssim_of(image, completed), **floors}


def floors_of(image: Tensor, mask: Tensor) -> dict:
    """The metrics of the mean and of the best other filler on one picture (1, 3, S, S) under one mask (1, N)."""
    found = {name: measure_fill(image, fill(image, mask), mask) for name, fill in FLOORS.items()}
    others = [name for name in found if name != MEAN]
    best = min(others, key=lambda name: found[name]["mse"] or 0.0)
    return {key: {"name": name, **found[name]} for key, name in (("mean_fill", MEAN), ("best_fill", best))}


def measure_fill(image: Tensor, filled: Tensor, mask: Tensor) -> dict:
    """The metrics of one picture and its filled-in version, both (1, 3, S, S)."""
    error = masked_mse(image, filled, mask)
    return {
        "mse": finite(error.item()),
        "psnr": finite(psnr_of_mse(error).item()),
        "ssim": ssim_of(image, filled)[0],
    }


def ssim_of(images: Tensor, completed: Tensor) -> list[float | None]:
    """SSIM of each of B pictures, or None where they are too small for it."""
    return finite(ssim(images, completed).tolist()) if images.shape[-1] >= SSIM_MIN_SIZE else [None] * len(images)


def warm_up() -> None:
    """Import torchmetrics, OpenCV, scikit-image and transformers.

    They take seconds, and otherwise the first question waits for them.
    """
    floors_of(torch.rand(1, 3, 2 * SSIM_MIN_SIZE, 2 * SSIM_MIN_SIZE), torch.tensor([[True, False, False, False]]))
    from transformers import SwinForMaskedImageModeling, ViTMAEForPreTraining  # noqa: F401 - Compare's other models
