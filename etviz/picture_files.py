"""Picture files of any size, with what is missing of them: read for restoring, and written again."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from etviz.checkpoints import write_bytes
from etviz.data import IMAGE_SUFFIXES, open_picture, to_8_bits
from etviz.errors import UsageError
from etviz.masks import WHITE, lightness

OPAQUE = 255
PROFILED = ("L", "LA", "P", "RGB", "RGBA")  # kinds of pictures whose numbers stay what their profile is about
SAVING = {".jpg": {"quality": 95}, ".jpeg": {"quality": 95}, ".webp": {"lossless": True}}


@dataclass(frozen=True)
class Picture:
    """One picture, upright."""

    image: Tensor  # (3, H, W) float in [0, 1]
    transparent: Tensor  # (H, W) bool: less than half opaque
    grey: bool  # the file knows no colours
    profile: bytes | None = None  # the ICC profile that says what its numbers look like


def read_image(path: Path) -> Picture:
    """A picture file, turned upright by its EXIF orientation; 16-bit greys are brought down to 8.

    Raises:
        UsageError: no picture, a damaged one, or more than 64 million pixels.
    """
    with open_picture(path) as picture:
        upright = to_8_bits(ImageOps.exif_transpose(picture))
        rgba, grey = np.array(upright.convert("RGBA")), upright.mode in ("1", "L", "LA")
        profile = picture.info.get("icc_profile") if upright.mode in PROFILED else None
    image = torch.from_numpy(rgba[..., :3]).permute(2, 0, 1).float() / 255
    transparent = torch.from_numpy(2 * rgba[..., 3].astype(int) < OPAQUE)
    return Picture(image=image, transparent=transparent, grey=grey, profile=profile)


def read_mask(path: Path) -> Tensor:
    """A picture of what is missing, (H, W) bool: True where white or transparent.

    A pixel counts as white where it is lighter than middle grey when laid on white, as `etviz.mask_from_image` has it.
    Raises `UsageError` as `read_image`.
    """
    with open_picture(path) as picture:
        return torch.from_numpy(2 * lightness(ImageOps.exif_transpose(picture)) > WHITE)


def write_image(path: Path, image: Tensor, *, grey: bool = False, profile: bytes | None = None) -> None:
    """(3, H, W) in [0, 1] to a file of the kind that its suffix names, atomically; only JPEG loses something.

    Args:
        path: ends in one of `etviz.data.IMAGE_SUFFIXES`.
        image: of equal channels where ``grey``, which writes one.
        profile: the ICC profile of its numbers, kept where the kind of file has room for one.
    """
    pixels = (image * OPAQUE).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(pixels)
    buffer = io.BytesIO()
    suffix = path.suffix.lower()
    (picture.convert("L") if grey else picture).save(
        buffer, Image.registered_extensions()[suffix], icc_profile=profile, **SAVING.get(suffix, {})
    )
    write_bytes(path, buffer.getvalue())


def check_suffix(path: Path) -> None:
    """Raise `UsageError` where no picture is written under such a name."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UsageError(f"{str(path)!r} names no kind of picture: end it in {', '.join(sorted(IMAGE_SUFFIXES))}.")
