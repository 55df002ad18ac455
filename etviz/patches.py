"""Images to patches and back, as pure reshapes."""

from torch import Tensor

from etviz.errors import UsageError


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """Cut images into flattened square patches, row by row from the top left.

    Args:
        images: (B, C, H, W), any dtype; H and W divisible by ``patch_size``.
        patch_size: side of a patch, in pixels.

    Returns:
        (B, N, patch_size * patch_size * C) with N = (H / patch_size) * (W / patch_size); within a patch the
        order is row, column, channel.

    Raises:
        UsageError: the image sides are not divisible by ``patch_size``.
    """
    batch, channels, height, width = images.shape
    check_divisible(height, width, patch_size)
    rows, cols = height // patch_size, width // patch_size
    tiles = images.reshape(batch, channels, rows, patch_size, cols, patch_size)
    return tiles.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * cols, -1)  # (B, N, p*p*C)


def unpatchify(patches: Tensor, patch_size: int, channels: int = 3) -> Tensor:
    """Inverse of `patchify` for square images: (..., N, p*p*C) -> (..., C, H, W) with H = W = sqrt(N) * p."""
    *lead, count, _ = patches.shape
    side = int(count**0.5)
    tiles = patches.reshape(-1, side, side, patch_size, patch_size, channels)
    images = tiles.permute(0, 5, 1, 3, 2, 4)  # (B, C, row, p, col, p)
    return images.reshape(*lead, channels, side * patch_size, side * patch_size)


def check_divisible(height: int, width: int, patch_size: int) -> None:
    """Raise `UsageError` unless a whole number of patches covers the image."""
    if patch_size < 1:
        raise UsageError(f"patch_size must be at least 1, not {patch_size}.")
    if height % patch_size or width % patch_size:
        raise UsageError(
            f"A {height}x{width} image cannot be cut into {patch_size}x{patch_size} patches: "
            f"choose a patch_size that divides both sides."
        )
