"""Uploaded pictures, checked by their header before anything is decoded. They stay in memory: no file is written."""

import base64
import io
import threading
import warnings

from PIL import Image
from torch import Tensor

from etviz.errors import UsageError
from etviz.pictures import picture_to_tensor
from etviz.ui.limits import LIMITS, Limits

FORMATS = ("PNG", "JPEG", "WEBP")

# Pillow only warns of a decompression bomb; here it must stop. Set once, since warning filters are not thread-safe.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

ONE_AT_A_TIME = threading.Lock()  # a small file may hold 16 million pixels


def decode_upload(text: object, limits: Limits = LIMITS) -> bytes:
    """A file that arrived as base64.

    Raises:
        UsageError: the text is not base64, or the file larger than ``limits`` allow.
    """
    if not isinstance(text, str) or not text.isascii():
        raise UsageError("A picture is sent as a PNG, JPEG or WebP file in base64.")
    if len(text) // 4 * 3 > limits.file_bytes + 2:  # the last four letters may stand for one byte
        raise UsageError(f"This file is larger than {limits.file_bytes // 2**20} MB: choose a smaller picture.")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise UsageError("A picture is sent as a PNG, JPEG or WebP file in base64.") from error


def read_upload(data: bytes, size: int, limits: Limits = LIMITS) -> Tensor:
    """Read a PNG, JPEG or WebP file as (3, size, size) uint8: upright, centre-cropped to a square, antialiased.

    Raises:
        UsageError: the file has another format, is larger than ``limits`` allow, or is damaged. The text is for the
            page.
    """
    side = limits.file_side
    if len(data) > limits.file_bytes:
        raise UsageError(f"This file is larger than {limits.file_bytes // 2**20} MB: choose a smaller picture.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:  # reads the header only
            _check_side(picture, side)
            with ONE_AT_A_TIME:
                return picture_to_tensor(picture, size)
    except UsageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UsageError(f"This picture has too many pixels: {side}x{side} is the most.") from error
    except Image.UnidentifiedImageError as error:
        raise UsageError("This file is no PNG, JPEG or WebP picture: choose one that is.") from error
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise UsageError("This picture is damaged and cannot be read: choose another.") from error


def _check_side(picture: Image.Image, most: int) -> None:
    if max(picture.size) > most:
        raise UsageError(f"This picture has {picture.width}x{picture.height} pixels: {most}x{most} is the most.")
