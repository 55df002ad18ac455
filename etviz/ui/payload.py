"""A descent as plain data for the browser: about 60 KB of JSON for thirteen states of 32x32 pixels.

Small pictures are sent as their bytes. Large ones are sent as one WebP file, lossless where that keeps an answer below
3 MB.
"""

import base64
import io
import math

import torch
from PIL import Image
from torch import Tensor

from etviz.errors import UsageError
from etviz.files import finite
from etviz.masks import mask_to_hex
from etviz.metrics import masked_mse, psnr_of_mse
from etviz.models import Trace

LEAST_SIDE = 4  # pixels, of a picture from outside
RAW_SIDE, RAW_BYTES = 64, 1_000_000  # pictures of more pixels, or of more bytes together, are sent as WebP
SENT_BYTES = 1_650_000  # of all pictures of a descent in WebP; a third more in base64
LOSSLESS_BYTES = 2_400_000  # before compression; lossless WebP takes a sixth of a second for so many
QUALITIES = (95, 85, 70, 50, 30, 10, 1)  # of lossy WebP, the first that is small enough

Sheet = dict[str, str | int | bool]  # see `encode_sheet`


def payload(trace: Trace, image: Tensor, mask: Tensor) -> dict:
    """Everything that the page shows of one descent, ready for JSON.

    Args:
        trace: of one image; T steps.
        image: (3, S, S) float in [0, 1], the original.
        mask: (1, N) bool, True = hidden.

    Returns:
        size: S; mask: hexadecimal; image, frames: as `encode_pixels` gives them; exact: whether frames are, to the bit;
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


def pictures_payload(frames: Tensor, image: Tensor, mask: Tensor, share: float = 1.0) -> dict:
    """The pictures of a descent, (T+1, 3, S, S), and how good each one is: `payload` without the energies.

    ``share`` is the share that these pictures may take of an answer.
    """
    shown = encode_pixels(to_bytes(frames), share)
    error = masked_mse(image.expand_as(frames), frames, mask.expand(len(frames), -1))  # (T+1,)
    return {
        "size": image.shape[-1],
        "mask": mask_to_hex(mask),
        "image": encode_pixels(to_bytes(image)),
        "frames": shown,
        "exact": isinstance(shown, str) or shown["lossless"],
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


def encode_pixels(images: Tensor, share: float = 1.0) -> str | Sheet:
    """(..., 3, S, S) uint8 as the page reads it: `raw_pixels` of small pictures, `encode_sheet` of large ones."""
    if images.shape[-1] <= RAW_SIDE and images.numel() <= RAW_BYTES:
        return raw_pixels(images)
    return encode_sheet(images.flatten(0, -4) if images.ndim > 3 else images[None], share)


def encode_sheet(images: Tensor, share: float = 1.0) -> Sheet:
    """Square pictures (n, 3, S, S) uint8 in one WebP file.

    Args:
        images: laid out row by row on a sheet that is about square.
        share: of `SENT_BYTES`, which the file does not exceed.

    Returns:
        webp: base64 of the file; size: S; count: n; columns: pictures in a row of the sheet; lossless.
    """
    count, size = len(images), images.shape[-1]
    columns = math.ceil(math.sqrt(count))
    sheet = images.new_zeros(columns * -(-count // columns), 3, size, size)
    sheet[:count] = images
    rows = sheet.unflatten(0, (-1, columns)).permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)  # (H, W, 3)
    picture = Image.fromarray(rows.contiguous().cpu().numpy())
    most = int(share * SENT_BYTES)
    lossless = _webp(picture, lossless=True, quality=0) if images.numel() <= LOSSLESS_BYTES else None
    fits = lossless is not None and len(lossless) <= most
    data = lossless if fits else _lossy(picture, most)
    return {
        "webp": base64.b64encode(data or b"").decode(),
        "size": size,
        "count": count,
        "columns": columns,
        "lossless": fits,
    }


def _lossy(picture: Image.Image, most: int) -> bytes:
    """The best lossy file of at most so many bytes, or the smallest."""
    data = b""
    for quality in QUALITIES:
        data = _webp(picture, quality=quality)
        if len(data) <= most:
            break
    return data


def _webp(picture: Image.Image, **options: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "WEBP", method=0, **options)
    return file.getvalue()


def raw_pixels(images: Tensor) -> str:
    """(..., 3, S, S) uint8 to base64 of its bytes, channels last as on a canvas."""
    return base64.b64encode(images.movedim(-3, -1).contiguous().cpu().numpy().tobytes()).decode()


def decode_pixels(text: str, most: int = 1024) -> Tensor:
    """The inverse of `raw_pixels` for one picture: base64 to (3, S, S) uint8.

    Args:
        text: from outside.
        most: of S.

    Raises:
        UsageError: the text is not base64, or no square picture in colour.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise UsageError("The picture did not arrive whole: upload it again.") from error
    size = math.isqrt(len(data) // 3)
    if len(data) != 3 * size * size or not LEAST_SIDE <= size <= most:
        raise UsageError("The picture did not arrive whole: upload it again.")
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(size, size, 3).movedim(-1, 0)


def encode_floats(values: Tensor) -> str:
    """A tensor of any shape to base64 of its values as float32, little-endian and in row-major order."""
    return base64.b64encode(values.detach().cpu().contiguous().numpy().astype("<f4").tobytes()).decode()
