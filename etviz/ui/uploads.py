"""Uploaded pictures: checked by their header before anything is decoded."""

import os
import warnings
from pathlib import Path

from PIL import Image
from torch import Tensor

from etviz.errors import UsageError
from etviz.pictures import picture_to_tensor

MAX_BYTES = 2 * 2**20
MAX_SIDE = 4096  # pixels
FORMATS = ("PNG", "JPEG", "WEBP")

# Pillow warns of a decompression bomb and then decodes it; here it must not. Set once: filters are not thread-safe.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def read_upload(path: str | os.PathLike, size: int) -> Tensor:
    """A PNG, JPEG or WebP file as (3, size, size) uint8: upright, centre-cropped to a square, antialiased.

    Raises:
        UsageError: another format, above 2 MB or 4096x4096 pixels, or damaged. Its text is for the page.
    """
    _check_bytes(path)
    try:
        with Image.open(path, formats=FORMATS) as picture:  # reads the header only
            _check_sides(picture)
            return picture_to_tensor(picture, size)
    except UsageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UsageError(f"This picture has too many pixels: {MAX_SIDE}x{MAX_SIDE} is the most.") from error
    except Image.UnidentifiedImageError as error:
        raise UsageError("This file is no PNG, JPEG or WebP picture: choose one of those.") from error
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise UsageError("This picture is damaged and cannot be read: choose another.") from error


def _check_bytes(path: str | os.PathLike) -> None:
    if Path(path).stat().st_size > MAX_BYTES:
        raise UsageError(f"This file is larger than {MAX_BYTES // 2**20} MB: choose a smaller picture.")


def _check_sides(picture: Image.Image) -> None:
    if max(picture.size) > MAX_SIDE:
        raise UsageError(
            f"This picture has {picture.width}x{picture.height} pixels: {MAX_SIDE}x{MAX_SIDE} is the most."
        )
