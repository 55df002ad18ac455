"""Boolean patch masks of shape (B, N): True = hidden from the model.

N patches form a square grid, numbered row by row from the top left. Every function that draws at random takes a
``torch.Generator`` and gives the same masks for the same generator state.
"""

import math
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from etviz.errors import UsageError
from etviz.pixels import bands, to_8_bits

NUM_PATCHES = 64
HEADINGS = torch.tensor([(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)])  # row, column
WHITE = 255_000 * 255  # the lightness of white, and of what is transparent


def random_mask(
    batch: int,
    ratio: float = 0.85,
    num_patches: int = NUM_PATCHES,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Hide exactly ``int(num_patches * ratio)`` patches of each image, uniformly at random.

    Args:
        batch: number of masks B.
        ratio: share of patches to hide, 0 to 1; 0.85 of 64 hides 54.
        num_patches: N.
        generator: source of randomness; PyTorch's global one if None.
        device: of the mask; the generator's device if None.

    Returns:
        (B, N) bool, True = hidden.

    Raises:
        UsageError: ``ratio`` is outside 0..1.
    """
    if device is None and generator is not None:
        device = generator.device
    noise = torch.rand(batch, num_patches, generator=generator, device=device)
    return mask_from_noise(noise, num_hidden(ratio, num_patches))


def num_hidden(ratio: float, num_patches: int = NUM_PATCHES) -> int:
    """How many of ``num_patches`` a ratio hides: int(N * ratio). Raises `UsageError` outside 0..1."""
    if not 0.0 <= ratio <= 1.0:
        raise UsageError(f"The mask ratio must lie between 0 and 1, not {ratio}: 0.85 hides 54 of 64 patches.")
    return int(num_patches * ratio)


def mask_from_noise(noise: Tensor, hidden: int) -> Tensor:
    """Hide the ``hidden`` patches with the smallest noise. noise (B, N) float -> (B, N) bool.

    Ranks rather than a threshold, so that ties cannot change the number hidden.
    """
    ranks = noise.argsort(dim=1).argsort(dim=1)
    return ranks < hidden


def block_mask(
    batch: int,
    ratio: float = 0.85,
    num_patches: int = NUM_PATCHES,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Hide one compact block: the int(N * ratio) patches nearest (in rings) to a random centre patch.

    Distances are Chebyshev's, so the block is a square clipped by the border; within its last ring the
    patches are drawn at random. Returns (B, N) bool.
    """
    side = grid_side(num_patches)
    centre = torch.randint(side, (batch, 2, 1), generator=generator)
    tie_break = torch.rand(batch, num_patches, generator=generator)
    rows, cols = _coordinates(side)
    ring = torch.maximum((rows - centre[:, 0]).abs(), (cols - centre[:, 1]).abs())  # (B, N)
    return mask_from_noise(ring + tie_break, num_hidden(ratio, num_patches))


def stroke_mask(
    batch: int,
    ratio: float = 0.85,
    num_patches: int = NUM_PATCHES,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Hide int(N * ratio) patches as a mouse would paint them, in strokes. Returns (B, N) bool."""
    return mask_from_noise(stroke_noise(batch, num_patches, generator), num_hidden(ratio, num_patches))


def grid_mask(batch: int = 1, num_patches: int = NUM_PATCHES) -> Tensor:
    """Hide every second patch, as on a chessboard, starting with the second of the first row. (B, N) bool."""
    rows, cols = _coordinates(grid_side(num_patches))
    return ((rows + cols) % 2 == 1).expand(batch, -1).clone()


def center_mask(batch: int = 1, num_patches: int = NUM_PATCHES) -> Tensor:
    """Hide the central square of half the side (16 of 64 patches). (B, N) bool."""
    side = grid_side(num_patches)
    start, stop = side // 4, side - side // 4
    rows, cols = _coordinates(side)
    inside = (rows >= start) & (rows < stop) & (cols >= start) & (cols < stop)
    return inside.expand(batch, -1).clone()


def half_mask(batch: int = 1, num_patches: int = NUM_PATCHES, which: str = "right") -> Tensor:
    """Hide one half: ``which`` is "left", "right", "top" or "bottom". (B, N) bool."""
    side = grid_side(num_patches)
    rows, cols = _coordinates(side)
    halves = {
        "left": cols < side // 2,
        "right": cols >= side // 2,
        "top": rows < side // 2,
        "bottom": rows >= side // 2,
    }
    if which not in halves:
        raise UsageError(f"There is no half called {which!r}: choose one of {', '.join(halves)}.")
    return halves[which].expand(batch, -1).clone()


def block_noise(batch: int, num_patches: int, generator: torch.Generator) -> Tensor:
    """Noise (B, N) that grows with the distance to a random patch: `mask_from_noise` then hides a rectangle.

    It is up to twice as long as wide, clipped by the border; its last ring is hidden in random order.
    """
    side, device = grid_side(num_patches), generator.device
    rows, cols = (place.to(device) for place in _coordinates(side))
    centre = torch.randint(side, (batch, 2, 1), generator=generator, device=device)
    stretch = 2 ** (
        torch.rand(batch, 1, generator=generator, device=device) - 0.5
    )  # one way, and its inverse the other
    distance = torch.maximum((rows - centre[:, 0]).abs() * stretch, (cols - centre[:, 1]).abs() / stretch)
    return distance + 0.5 * torch.rand(batch, num_patches, generator=generator, device=device)


def side_noise(batch: int, num_patches: int, generator: torch.Generator) -> Tensor:
    """Noise (B, N) that grows from a random side of the image: `mask_from_noise` then hides a half, or more or less."""
    side, device = grid_side(num_patches), generator.device
    rows, cols = (place.to(device) for place in _coordinates(side))
    depths = torch.stack([rows, cols, side - 1 - rows, side - 1 - cols])  # (4, N)
    chosen = torch.randint(4, (batch,), generator=generator, device=device)
    return depths[chosen] + torch.rand(batch, num_patches, generator=generator, device=device)


def stroke_noise(batch: int, num_patches: int, generator: torch.Generator | None = None) -> Tensor:
    """When each patch is first painted over, (B, N): `mask_from_noise` then hides what strokes have covered by a time.

    A stroke starts at a patch not yet painted and goes on from patch to neighbouring patch, turning by 45 degrees at
    most, for half to twice the side of the grid; it is one or two patches wide. Then comes the next one.
    """
    side = grid_side(num_patches)
    image, tie_break = torch.arange(batch), torch.rand(batch, num_patches, generator=generator)
    painted = torch.full((batch, num_patches), torch.inf)  # when
    row = col = heading = left = width = torch.zeros(batch, dtype=torch.long)
    for time in range(2 * num_patches):
        lifted = left == 0
        start = (tie_break + painted.isinf()).argmax(dim=1)  # a patch not yet painted, where there is one
        length, thickness, towards, turn = (
            torch.randint(*limits, (batch,), generator=generator) for limits in _stroke_limits(side)
        )
        row, col = torch.where(lifted, start // side, row), torch.where(lifted, start % side, col)
        left, width = torch.where(lifted, length, left) - 1, torch.where(lifted, thickness, width)
        heading = torch.where(lifted, towards, heading + turn) % 8
        for below, beside in ((0, 0), (0, 1), (1, 0), (1, 1)):
            down, right = row + below * (width - 1), col + beside * (width - 1)
            patch = down.clamp(max=side - 1) * side + right.clamp(max=side - 1)
            painted[image, patch] = painted[image, patch].clamp(max=time + 0.1 * (below + beside))
        row = (row + HEADINGS[heading, 0]).clamp(0, side - 1)
        col = (col + HEADINGS[heading, 1]).clamp(0, side - 1)
    return painted.clamp(max=2.0 * num_patches) + 0.05 * tie_break


def _stroke_limits(side: int) -> tuple[tuple[int, int], ...]:
    """From where to where (exclusive) a stroke's length, width, first heading and turns are drawn."""
    return (max(1, side // 2), 2 * side + 1), (1, 3), (0, 8), (-1, 2)


def mask_to_hex(mask: Tensor) -> str:
    """Write one mask in hexadecimal: four patches to a digit, patch 0 the highest bit, 16 digits for 64 patches.

    Args:
        mask: (N,) or (1, N) bool, N divisible by 4.

    Raises:
        UsageError: several masks, or N is no multiple of 4.
    """
    if mask.ndim == 0 or mask.numel() != mask.shape[-1]:
        raise UsageError(f"One mask of shape (N,) or (1, N) is written at a time, not {tuple(mask.shape)}.")
    bits = mask.reshape(-1).tolist()
    digits = _hex_digits(len(bits))
    number = int("".join("1" if bit else "0" for bit in bits), 2)
    return f"{number:0{digits}x}"


def mask_from_hex(text: object, num_patches: int = NUM_PATCHES) -> Tensor:
    """Read a mask written by `mask_to_hex`. Returns (1, N) bool.

    Raises:
        UsageError: the text has another length or a digit that is not hexadecimal, or N is no multiple of 4.
    """
    digits = _hex_digits(num_patches)
    if not isinstance(text, str) or len(text) != digits or not all(c in "0123456789abcdefABCDEF" for c in text):
        raise UsageError(f"A mask of {num_patches} patches is {digits} hexadecimal digits, not {str(text)[:60]!r}.")
    bits = f"{int(text, 16):0{num_patches}b}"
    return torch.tensor([[bit == "1" for bit in bits]])


def _hex_digits(num_patches: int) -> int:
    if num_patches == 0 or num_patches % 4:
        raise UsageError(f"A mask of {num_patches} patches has no hexadecimal form: it takes a multiple of 4.")
    return num_patches // 4


def mask_to_image(mask: Tensor, patch_size: int = 4) -> Image.Image:
    """Draw one mask as a greyscale picture of the masked image's size: white = hidden, black = visible.

    White is what is to be filled in, as in OpenCV, diffusers and most inpainting programs. `mask_from_image` reads it
    back. Save it as PNG.

    Args:
        mask: (N,) or (1, N) bool.
        patch_size: side of a patch, in pixels.
    """
    pixels = mask_to_pixels(mask.reshape(1, -1), patch_size)[0, 0]
    return Image.fromarray(pixels.cpu().numpy().astype(np.uint8) * 255)


def mask_from_image(picture: Image.Image, num_patches: int = NUM_PATCHES) -> Tensor:
    """Read a mask from a picture of any size, cut into the patch grid: hidden where it is white or transparent.

    A patch is hidden if the average over its part of the picture is lighter than middle grey. A pixel's lightness is
    that of Rec. 601, 0.299 R + 0.587 G + 0.114 B, laid on white by its opacity. All numbers are integers, so that the
    page's own reading agrees to the last bit.

    Returns:
        (1, N) bool.

    Raises:
        UsageError: numbers of which none can tell which one is white, as floats from 0 to 7.
    """
    pixels, side = to_8_bits(picture, faint=True), grid_side(num_patches)
    sums = np.concatenate([_by_columns(lightness(piece), side) for _, piece in bands(pixels)])  # (H, side)
    columns = np.array([part.stop - part.start for part in _parts(pixels.width, side)])
    parts = _parts(pixels.height, side)
    hidden = [2 * sums[rows].sum(axis=0) > WHITE * columns * (rows.stop - rows.start) for rows in parts]
    return torch.from_numpy(np.concatenate(hidden))[None]


def _by_columns(light: np.ndarray, side: int) -> np.ndarray:
    """The sums of each row (h, W) over its parts: (h, side)."""
    return np.stack([light[:, part].sum(axis=1) for part in _parts(light.shape[1], side)], axis=1)


def white_pixels(picture: Image.Image) -> np.ndarray:
    """Where a picture of any mode is lighter than middle grey, or transparent: (H, W) bool."""
    pixels = to_8_bits(picture, faint=True)
    white = np.empty((pixels.height, pixels.width), bool)
    for rows, piece in bands(pixels):
        white[rows] = 2 * lightness(piece) > WHITE
    return white


def lightness(pixels: Image.Image) -> np.ndarray:
    """The lightness of an 8-bit picture as `mask_from_image` takes it, (H, W) int64 from 0 to `WHITE`."""
    rgba = np.asarray(pixels.convert("RGBA")).astype(np.int64)
    luma, opacity = rgba[..., :3] @ np.array([299, 587, 114]), rgba[..., 3]  # (h, W), 0 to 255,000 and 0 to 255
    return luma * opacity + 255_000 * (255 - opacity)


def _parts(length: int, count: int) -> list[slice]:
    """Cut ``length`` pixels into ``count`` parts of about equal length, each of at least one pixel."""
    starts = [i * length // count for i in range(count + 1)]
    return [slice(start, max(stop, start + 1)) for start, stop in pairwise(starts)]


def check_mask(mask: Tensor, batch: int, num_patches: int) -> None:
    """Raise `UsageError` unless ``mask`` is (batch, num_patches) bool."""
    if mask.dtype != torch.bool:
        raise UsageError(f"A mask must be boolean (True = hidden), not {mask.dtype}: call .bool() on it.")
    if tuple(mask.shape) != (batch, num_patches):
        raise UsageError(f"The mask must be of shape ({batch}, {num_patches}), not {tuple(mask.shape)}.")


def mask_to_pixels(mask: Tensor, patch_size: int) -> Tensor:
    """Grow a patch mask to pixels: (B, N) bool -> (B, 1, H, W) bool."""
    side = grid_side(mask.shape[-1])
    grid = mask.reshape(-1, 1, side, side)
    return grid.repeat_interleave(patch_size, dim=2).repeat_interleave(patch_size, dim=3)


def grid_side(num_patches: int) -> int:
    """Side of the square patch grid, in patches. Raises `UsageError` where N is no square."""
    side = math.isqrt(num_patches)
    if side * side != num_patches:
        raise UsageError(f"{num_patches} patches do not form a square grid.")
    return side


def _coordinates(side: int) -> tuple[Tensor, Tensor]:
    """Row and column of each patch, both (N,)."""
    index = torch.arange(side * side)
    return index // side, index % side
