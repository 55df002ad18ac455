"""Many small pictures as one file."""

import io

from PIL import Image
from torch import Tensor

COLUMNS = 20


def sprite(images: Tensor) -> bytes:
    """(n, 3, S, S) uint8 as one lossless WebP: row by row, `COLUMNS` in each, the last row filled up with black."""
    count, channels, size, _ = images.shape
    rows = -(-count // COLUMNS)
    cells = images.new_zeros(rows * COLUMNS, channels, size, size)
    cells[:count] = images
    grid = cells.reshape(rows, COLUMNS, channels, size, size).permute(0, 3, 1, 4, 2)  # rows, S, columns, S, 3
    file = io.BytesIO()
    picture = Image.fromarray(grid.reshape(rows * size, COLUMNS * size, channels).numpy())
    picture.save(file, "WEBP", lossless=True, quality=50, method=4)
    return file.getvalue()
