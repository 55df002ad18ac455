"""The pictures that stand for the site elsewhere: icons, and the preview that a link shows."""

import base64
import io

import numpy as np
from PIL import Image, ImageDraw

from etviz.masks import mask_from_hex, mask_to_pixels

PREVIEW = (1200, 630)  # what sites that show links ask for
PAPER, INK, BLUE, VEIL = "#faf9f6", "#1d1c1a", "#00639c", "#d9d5cc"  # as in page.css
SHOWN = (0, 0.25, 1)  # of the way down
GRID = 4  # patches along the icon's side
HIDDEN = {(0, 2), (1, 1), (1, 2), (2, 0), (3, 1), (3, 3)}  # row, column


def icon(side: int, padding: float = 0.08) -> bytes:
    """A square of patches, some of them hidden, as a PNG of ``side`` pixels.

    ``padding`` is the share of the side that stays empty all around: phones cut icons to a shape of their own.
    """
    picture = Image.new("RGB", (side, side), PAPER)
    pen = ImageDraw.Draw(picture)
    edge = side * padding
    cell = (side - 2 * edge) / GRID
    gap = cell * 0.08
    for row in range(GRID):
        for column in range(GRID):
            left, top = edge + column * cell, edge + row * cell
            box = [round(left + gap), round(top + gap), round(left + cell - gap), round(top + cell - gap)]
            pen.rounded_rectangle(box, cell * 0.12, fill=VEIL if (row, column) in HIDDEN else _shade(row, column))
    return png(picture)


def _shade(row: int, column: int) -> str:
    """From a deep blue at the top to a light one at the bottom: a way downhill."""
    share = (row + column / GRID) / GRID
    low, high = np.array([0, 62, 99]), np.array([106, 183, 234])
    red, green, blue = (low + share * (high - low)).round().astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


def preview(answer: dict) -> bytes:
    """A descent in four pictures, as a PNG of 1200x630: the masked input, the start, the way, the end.

    Args:
        answer: of the reading "trace".
    """
    size = answer["size"]
    original = _pixels(answer["image"], size)[0]
    frames = _pixels(answer["frames"], size)
    hidden = hidden_pixels(answer["mask"], size)[..., None]
    masked = np.where(hidden, np.array([217, 213, 204], np.uint8), original)
    states = [frames[round(share * (len(frames) - 1))] for share in SHOWN]
    pictures = [masked, *(np.where(hidden, state, original) for state in states)]
    canvas = Image.new("RGB", PREVIEW, PAPER)
    side, gap = 268, 20
    left, top = (PREVIEW[0] - 4 * side - 3 * gap) // 2, (PREVIEW[1] - side) // 2
    for place, picture in enumerate(pictures):
        scaled = Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST)
        canvas.paste(scaled, (left + place * (side + gap), top))
    pen = ImageDraw.Draw(canvas)
    heights = _curve([value for value in answer["energy"] if value is not None])
    across = np.linspace(left, PREVIEW[0] - left, len(heights))
    pen.line([(x, 560 - 100 * y) for x, y in zip(across, heights, strict=True)], fill=BLUE, width=6, joint="curve")
    pen.text((left, 60), "etviz", fill=INK, font_size=72)
    return png(canvas)


def hidden_pixels(mask: str, size: int) -> np.ndarray:
    """A mask in hexadecimal as (S, S) bool, True = hidden."""
    patches = 4 * len(mask)
    side = round(patches**0.5)
    return mask_to_pixels(mask_from_hex(mask, patches), size // side)[0, 0].numpy()


def _pixels(text: str, size: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, size, size, 3)


def _curve(values: list[float]) -> list[float]:
    """Numbers scaled to 0..1, the highest 1."""
    low, high = min(values), max(values)
    return [(value - low) / ((high - low) or 1) for value in values]


def png(picture: Image.Image) -> bytes:
    """A picture as a PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
