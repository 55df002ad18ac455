"""A descent as plain data for the browser: about 60 KB of JSON for thirteen states of 32x32 pixels."""

import base64

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.files import finite
from etviz.masks import mask_to_hex
from etviz.metrics import masked_mse, psnr_of_mse
from etviz.models import Trace


def payload(trace: Trace, image: Tensor, mask: Tensor) -> dict:
    """Everything that the page shows of one descent, ready for JSON.

    Args:
        trace: of one image; T steps.
        image: (3, S, S) float in [0, 1], the original.
        mask: (1, N) bool, True = hidden.

    Returns:
        size: S; mask: hexadecimal; image, frames: base64 of bytes in the order (step,) row, column, channel;
        energy, attention_energy, hopfield_energy, gradient_norm, stationarity, mse, psnr: T + 1 numbers each, null
        where not finite; mse and psnr: masked MSE and masked PSNR, null where nothing is hidden; rises: the steps,
        counted from 1, that raised the energy; step_sizes: T numbers, as taken; settled: the step at which the descent
        settled, or null.
    """
    settled = int(trace.settled[0])
    return {
        **pictures_payload(decoded_frames(trace), image, mask),
        "energy": finite(trace.energy[0].tolist()),
        "attention_energy": finite(trace.attention_energy[0].sum(-1).tolist()),
        "hopfield_energy": finite(trace.hopfield_energy[0].sum(-1).tolist()),
        "gradient_norm": finite(trace.gradient_norm[0].tolist()),
        "stationarity": finite(trace.stationarity[0].tolist()),
        "rises": rises_of(trace),
        "step_sizes": trace.step_sizes[0].tolist(),
        "settled": settled if settled >= 0 else None,
    }


def pictures_payload(frames: Tensor, image: Tensor, mask: Tensor) -> dict:
    """The pictures of a descent, (T+1, 3, S, S), and how good each one is: `payload` without the energies."""
    error = masked_mse(image.expand_as(frames), frames, mask.expand(len(frames), -1))  # (T+1,)
    return {
        "size": image.shape[-1],
        "mask": mask_to_hex(mask),
        "image": encode_pixels(to_bytes(image)),
        "frames": encode_pixels(to_bytes(frames)),
        "mse": finite(error.tolist()),
        "psnr": finite(psnr_of_mse(error).tolist()),
    }


def decoded_frames(trace: Trace) -> Tensor:
    """The pictures of a descent of one image, (T+1, 3, S, S).

    Raises:
        UsageError: the trace is that of an encoder, which has no pictures.
    """
    if trace.frames is None:
        raise UsageError("An encoder's trace has no pictures: give the model's own trace.")
    return trace.frames[0]


def rises_of(trace: Trace) -> list[int]:
    """The steps of one image's descent, counted from 1, that raised the energy."""
    return [step + 1 for step, rises in enumerate(trace.rises()[0].tolist()) if rises]


def to_bytes(images: Tensor) -> Tensor:
    """Float in [0, 1] to uint8, rounded to the nearest."""
    return (images * 255).round().to(torch.uint8)


def encode_pixels(images: Tensor) -> str:
    """(..., 3, S, S) uint8 to base64 of its bytes, channels last as on a canvas."""
    return base64.b64encode(images.movedim(-3, -1).contiguous().cpu().numpy().tobytes()).decode()


def decode_pixels(text: str, size: int) -> Tensor:
    """The inverse of `encode_pixels` for one picture: base64 to (3, size, size) uint8.

    Raises:
        UsageError: the text is not base64, or of the wrong length.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise UsageError("The picture did not arrive whole: upload it again.") from error
    if len(data) != 3 * size * size:
        raise UsageError(f"This model takes pictures of {size}x{size} pixels: upload yours again.")
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(size, size, 3).movedim(-1, 0)


def encode_floats(values: Tensor) -> str:
    """A tensor of any shape to base64 of its values as float32, little-endian and in row-major order."""
    return base64.b64encode(values.detach().cpu().contiguous().numpy().astype("<f4").tobytes()).decode()
