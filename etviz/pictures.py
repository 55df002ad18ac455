"""Picture files: read for datasets, uploads and restoring, and written."""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from etviz.errors import UsageError
from etviz.files import write_bytes
from etviz.masks import WHITE, lightness

OPAQUE = 255
PROFILED = ("L", "LA", "P", "RGB", "RGBA")  # Pillow's modes in which a colour profile still applies once read
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
MAX_PIXELS = 64_000_000  # of one picture: more is taken for a decompression bomb
SAVING = {".jpg": {"quality": 95}, ".jpeg": {"quality": 95}, ".webp": {"lossless": True}}


@dataclass(frozen=True)
class Picture:
    """One picture, upright."""

    image: Tensor  # (3, H, W) float in [0, 1]
    transparent: Tensor  # (H, W) bool: less than half opaque
    grey: bool  # the file has no colours
    profile: bytes | None = None  # the ICC profile, which says which colours the numbers stand for


def read_image(path: Path) -> Picture:
    """Read a picture file, turned upright by its EXIF orientation. 16-bit greys become 8-bit greys.

    Raises:
        UsageError: the file is no picture, is damaged, or has more than 64 million pixels.
    """
    with open_picture(path) as picture:
        upright = to_8_bits(ImageOps.exif_transpose(picture))
        rgba, grey = np.array(upright.convert("RGBA")), upright.mode in ("1", "L", "LA")
        profile = picture.info.get("icc_profile") if upright.mode in PROFILED else None
    image = torch.from_numpy(rgba[..., :3]).permute(2, 0, 1).float() / 255
    transparent = torch.from_numpy(2 * rgba[..., 3].astype(int) < OPAQUE)
    return Picture(image=image, transparent=transparent, grey=grey, profile=profile)


def read_mask(path: Path) -> Tensor:
    """Read a picture of what is missing: (H, W) bool, True where it is white or transparent.

    A pixel counts as white where it is lighter than middle grey on a white background, as in `etviz.mask_from_image`.

    Raises:
        UsageError: as `read_image`.
    """
    with open_picture(path) as picture:
        return torch.from_numpy(2 * lightness(ImageOps.exif_transpose(picture)) > WHITE)


def write_image(path: Path, image: Tensor, *, grey: bool = False, profile: bytes | None = None) -> None:
    """Write an image to a file in the format of its suffix, atomically. Only JPEG loses detail.

    Args:
        path: ends in one of `IMAGE_SUFFIXES`.
        image: (3, H, W) in [0, 1]; with equal channels where ``grey``.
        grey: write one channel only.
        profile: the ICC profile of the colours, kept where the format has room for one.
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
    """Raise `UsageError` where the suffix is that of no picture format."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UsageError(f"{str(path)!r} has no picture's suffix: use one of {', '.join(sorted(IMAGE_SUFFIXES))}.")


def no_pictures(folder: Path) -> UsageError:
    """The error to raise for a folder without pictures."""
    return UsageError(f"{str(folder)!r} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))}).")


def picture_paths(folder: Path) -> list[Path]:
    """Every picture file in a folder and its subfolders, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())


def read_picture(path: str | os.PathLike, img_size: int) -> Tensor:
    """Read a picture file as (3, img_size, img_size) uint8: upright, centre-cropped to a square, antialiased.

    Raises:
        UsageError: the file is no picture, is damaged, or has more than 64 million pixels.
    """
    with open_picture(path) as picture:
        return picture_to_tensor(picture, img_size)


@contextlib.contextmanager
def open_picture(path: str | os.PathLike) -> Iterator[Image.Image]:
    """Open a picture file by Pillow. Whatever goes wrong while it is read becomes one sentence.

    Raises:
        UsageError: as `read_picture`.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if picture.width * picture.height > MAX_PIXELS:
                size = f"{picture.width}x{picture.height}"
                raise UsageError(f"{str(path)!r} has {size} pixels: {MAX_PIXELS:,} is the most.")
            yield picture
    except UsageError:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise UsageError(f"{str(path)!r} cannot be read as a picture: {error}.") from error


def picture_to_tensor(picture: Image.Image, img_size: int) -> Tensor:
    """A Pillow image as (3, img_size, img_size) uint8: upright, centre-cropped to a square, antialiased.

    Transparent pictures get a white background, since models have no transparency. 16-bit greys become 8-bit greys.
    """
    upright = _opaque(ImageOps.exif_transpose(picture)).convert("RGB")
    fitted = ImageOps.fit(upright, (img_size, img_size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(fitted).copy()).permute(2, 0, 1).contiguous()


def to_8_bits(picture: Image.Image) -> Image.Image:
    """A 16-bit grey picture as an 8-bit one; any other picture unchanged."""
    if not picture.mode.startswith("I"):
        return picture
    return picture.convert("I").point(lambda value: value / 256).convert("L")


def _opaque(picture: Image.Image) -> Image.Image:
    picture = to_8_bits(picture)
    if not picture.has_transparency_data:
        return picture
    rgba = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
