"""Uploaded pictures, checked by their header before anything is decoded."""

import os
import warnings
from pathlib import Path

from PIL import Image
from torch import Tensor

from etviz.errors import UsageError
from etviz.pictures import picture_to_tensor
from etviz.ui.limits import LIMITS, Limits

FORMATS = ("PNG", "JPEG", "WEBP")

# Pillow only warns of a decompression bomb; here it must stop. Set once, since warning filters are not thread-safe.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def read_upload(path: str | os.PathLike, size: int, limits: Limits = LIMITS) -> Tensor:
    """Read a PNG, JPEG or WebP file as (3, size, size) uint8: upright, centre-cropped to a square, antialiased.

    Raises:
        UsageError: the file has another format, is larger than ``limits`` allow, or is damaged. The text is for the
            page.
    """
    side = limits.file_side
    _check_bytes(path, limits.file_bytes)
    try:
        with Image.open(path, formats=FORMATS) as picture:  # reads the header only
            _check_side(picture, side)
            return picture_to_tensor(picture, size)
    except UsageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UsageError(f"This picture has too many pixels: {side}x{side} is the most.") from error
    except Image.UnidentifiedImageError as error:
        raise UsageError("This file is no PNG, JPEG or WebP picture: choose one that is.") from error
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise UsageError("This picture is damaged and cannot be read: choose another.") from error


def _check_bytes(path: str | os.PathLike, most: int) -> None:
    if Path(path).stat().st_size > most:
        raise UsageError(f"This file is larger than {most // 2**20} MB: choose a smaller picture.")


def _check_side(picture: Image.Image, most: int) -> None:
    if max(picture.size) > most:
        raise UsageError(f"This picture has {picture.width}x{picture.height} pixels: {most}x{most} is the most.")
