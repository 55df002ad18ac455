"""A trace as plain data for the browser: about 60 KB of JSON for thirteen 32x32 states."""

import base64
import math

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.masks import mask_to_hex
from etviz.metrics import masked_mse, psnr_of_mse
from etviz.models import Trace


def payload(trace: Trace, image: Tensor, mask: Tensor) -> dict:
    """Everything that the page shows of one descent, JSON-serialisable.

    Args:
        trace: of one image; T steps.
        image: (3, S, S) float in [0, 1], the original.
        mask: (1, N) bool, True = hidden.

    Returns:
        size: S; mask: hexadecimal; image, frames: base64 of bytes in the order (step,) row, column, channel;
        energy, attention_energy, hopfield_energy, gradient_norm, mse, psnr: T + 1 numbers each, null where not finite;
        mse and psnr over hidden pixels (null where nothing is hidden); rises: which steps, from 1, raised the energy;
        step_sizes: T numbers, as really taken; settled: the step at which the descent settled, or null.
    """
    frames = trace.frames[0]  # (T+1, 3, S, S)
    error = masked_mse(image.expand_as(frames), frames, mask.expand(len(frames), -1))  # (T+1,)
    return {
        "size": image.shape[-1],
        "mask": mask_to_hex(mask),
        "image": encode_pixels(to_bytes(image)),
        "frames": encode_pixels(to_bytes(frames)),
        "energy": finite(trace.energy[0]),
        "attention_energy": finite(trace.attention_energy[0].sum(-1)),
        "hopfield_energy": finite(trace.hopfield_energy[0].sum(-1)),
        "gradient_norm": finite(trace.gradient_norm[0]),
        "mse": finite(error),
        "psnr": finite(psnr_of_mse(error)),
        "rises": [step + 1 for step, up in enumerate(trace.rises()[0].tolist()) if up],
        "step_sizes": trace.step_sizes[0].tolist(),
        "settled": settled if (settled := trace.settled[0].item()) >= 0 else None,
    }


def to_bytes(images: Tensor) -> Tensor:
    """Float in [0, 1] to uint8, to the nearest."""
    return (images * 255).round().to(torch.uint8)


def encode_pixels(images: Tensor) -> str:
    """(..., 3, S, S) uint8 to base64 of its bytes, channels last as a canvas has them."""
    return base64.b64encode(images.movedim(-3, -1).contiguous().cpu().numpy().tobytes()).decode()


def decode_pixels(text: str, size: int) -> Tensor:
    """The inverse of `encode_pixels` for one picture: base64 to (3, size, size) uint8.

    Raises:
        UsageError: no base64, or of another length.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise UsageError("The picture did not arrive whole: upload it again.") from error
    if len(data) != 3 * size * size:
        raise UsageError(f"This model wants pictures of {size}x{size} pixels: upload yours again.")
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(size, size, 3).movedim(-1, 0)


def encode_floats(values: Tensor) -> str:
    """Any shape to base64 of its float32 in row-major order, little-endian."""
    return base64.b64encode(values.detach().cpu().contiguous().numpy().astype("<f4").tobytes()).decode()


def finite(values: Tensor) -> list[float | None]:
    """Numbers for JSON, which knows neither infinity nor NaN."""
    return [value if math.isfinite(value) else None for value in values.tolist()]
