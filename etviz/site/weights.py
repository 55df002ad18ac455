"""Weights as a browser fetches them: in half precision, where the pictures stay as good as they were."""

import copy

from safetensors.torch import save
from torch import Tensor

from etviz.examples import Pictures
from etviz.metrics import evaluate_model
from etviz.models import MaskedImageModel

SMALL = 1024  # numbers; what has no more of them costs nothing in single precision: norms, biases, the mean colour
CLOSE = 1e-2  # dB of masked PSNR that half precision may cost
CHECKED = 200  # pictures of 32x32 pixels, or fewer larger ones


def carried_weights(model: MaskedImageModel, pictures: Pictures) -> bytes:
    """A safetensors file of the model's weights: half precision where that is close enough, else single.

    Args:
        model: on the CPU.
        pictures: for the model, to judge it by; the first `CHECKED` count.
    """
    count = max(1, CHECKED * 32**2 // model.img_size**2)
    images = pictures.at(list(range(min(count, len(pictures)))))
    single, half = model.state_dict(), halved(model.state_dict())
    return save(half if loss_of_quality(model, half, images) <= CLOSE else single)


def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, the large ones in half precision."""
    return {name: t.half() if t.is_floating_point() and t.numel() > SMALL else t for name, t in tensors.items()}


def loss_of_quality(model: MaskedImageModel, tensors: dict[str, Tensor], images: Tensor) -> float:
    """By how many dB the masked PSNR moves with these tensors for weights; infinite where one is not finite."""
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        return float("inf")
    other = copy.deepcopy(model)
    other.load_state_dict(tensors)  # which widens them
    scores = [evaluate_model(each, images, include_ssim=False)["masked_psnr"] for each in (model, other)]
    return abs(scores[0] - scores[1])
