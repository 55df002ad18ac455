"""Any Pillow picture as 8-bit pixels, upright: one reading for datasets, uploads, restoring and masks.

What a file's numbers stand for:

- Numbers of 16 bits: white is 65,535, and the upper 8 bits are kept, as browsers do. A TIFF that says 10, 12 or 14 bits
  is taken at its word: by BitsPerSample, or by a MaxSampleValue of 1023, 4095 or 16383. Where nothing is above 4,095
  and no word is given, the picture may have 12 bits in 16-bit numbers; it is refused rather than read as black.
- Floats: white is 1 where none is above 1, and 255 where the largest is 16 to 255. Others are refused.
- A TIFF in which 0 is white is turned over.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from etviz.errors import UsageError

WHITE_8, WHITE_16 = 255, 65_535
FAINT = 4_095  # of 65,535: below, 8 bits keep 16 greys of a picture, or its numbers have 12 bits
BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION, MAX_SAMPLE_VALUE = 258, 262, 274, 281  # tags of a TIFF
BAND = 64  # rows
DEPTHS = {2**bits - 1 for bits in (10, 12, 14, 16)}  # the largest number of each
OPAQUE_MODES = {"1": "L", "L": "L"}  # every other mode without transparency has colours
CLEAR_MODES = {"1": "LA", "L": "LA", "LA": "LA", "La": "LA"}


@dataclass(frozen=True)
class Depth:
    """What a file says of its numbers, which Pillow forgets once the picture is turned."""

    white: int | None = None  # the number that stands for white, where the file says so
    inverted: bool = False  # 0 is white
    halved: bool = False  # colours of 16 bits, of which Pillow keeps the upper 8


def to_8_bits(picture: Image.Image, *, faint: bool = False) -> Image.Image:
    """A picture as it looks, upright by its EXIF orientation, in mode L, LA, RGB or RGBA.

    Args:
        picture: of any mode.
        faint: read 16-bit numbers as such even where they look like 12-bit ones, as for a mask, in which dark is dark.

    Raises:
        UsageError: what the numbers stand for cannot be told.
    """
    depth = _depth(picture)
    picture.load()
    upright = picture if picture.getexif().get(ORIENTATION, 1) == 1 else ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I") or upright.mode == "F":
        return _from_numbers(upright, depth, faint)
    modes, other = (CLEAR_MODES, "RGBA") if upright.has_transparency_data else (OPAQUE_MODES, "RGB")
    pixels = _converted(upright, modes.get(upright.mode, other))
    if depth.halved and not faint and _largest_colour(pixels) <= FAINT >> 8:
        raise _too_dark("none above 4,095")
    return pixels


def _largest_colour(picture: Image.Image) -> int:
    return max(int(np.asarray(piece.convert("RGB")).max()) for _, piece in bands(picture))


def bands(picture: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """A picture in pieces of some rows each, so that what is computed of a large one takes little memory."""
    for top in range(0, picture.height, BAND):
        rows = slice(top, min(top + BAND, picture.height))
        yield rows, picture.crop((0, rows.start, picture.width, rows.stop))


def _converted(picture: Image.Image, mode: str) -> Image.Image:
    return picture if picture.mode == mode else picture.convert(mode)


def _depth(picture: Image.Image) -> Depth:
    """Read from the file's header. A picture that was not opened from a file says nothing."""
    tags = getattr(picture, "tag_v2", {})
    bits, largest = tags.get(BITS_PER_SAMPLE, (0,)), tags.get(MAX_SAMPLE_VALUE)
    largest = largest[0] if isinstance(largest, tuple) and largest else largest
    white = 2 ** bits[0] - 1 if 8 < bits[0] < 16 else largest if largest in DEPTHS else None
    halved = any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))  # how Pillow will unpack it
    return Depth(white=white, inverted=tags.get(PHOTOMETRIC) == 0, halved=halved)


def _from_numbers(picture: Image.Image, depth: Depth, faint: bool) -> Image.Image:
    """A grey picture of whole numbers or floats."""
    limits = np.array([(band.min(), band.max()) for band in (np.asarray(piece) for _, piece in bands(picture))])
    least, largest = limits[:, 0].min(), limits[:, 1].max()
    if not (least >= 0 and np.isfinite(largest)):
        raise UsageError("This picture holds numbers below 0 or none at all, which stand for no grey.")
    white = _white_of_floats(largest) if picture.mode == "F" else _white(int(largest), depth, faint)
    grey = np.empty((picture.height, picture.width), np.uint8)
    clear = picture.info.get("transparency")  # one grey
    opacity = np.empty_like(grey) if isinstance(clear, int) else None
    for rows, piece in bands(picture):
        numbers = np.asarray(piece)
        grey[rows] = numbers >> 8 if white == WHITE_16 else np.rint(numbers * np.float32(WHITE_8 / white))
        if opacity is not None:
            opacity[rows] = np.where(numbers == clear, 0, WHITE_8)
    if depth.inverted:
        grey = WHITE_8 - grey
    return Image.fromarray(grey if opacity is None else np.dstack([grey, opacity]))


def _white(largest: int, depth: Depth, faint: bool) -> int:
    """Which whole number stands for white, where ``largest`` is the largest."""
    if depth.white is not None and largest <= depth.white:
        return depth.white
    if largest > WHITE_16:
        raise UsageError(
            f"This picture holds whole numbers up to {largest:,}: 65,535 is the most that can stand for a grey."
        )
    if 0 < largest <= FAINT and not faint:
        raise _too_dark(f"none above {largest:,}")
    return WHITE_16


def _white_of_floats(largest: float) -> int:
    if largest <= 1:
        return 1
    if not 16 <= largest <= WHITE_8:
        raise UsageError(
            f"This picture holds floats up to {largest:g}: those from 0 to 1 or from 0 to 255 can be read."
        )
    return WHITE_8


def _too_dark(found: str) -> UsageError:
    return UsageError(
        f"This picture has numbers of 16 bits, but {found}, so it is black or has 12 bits: scale its numbers to "
        "65,535, or save it as a TIFF whose MaxSampleValue (tag 281) is 4095."
    )
