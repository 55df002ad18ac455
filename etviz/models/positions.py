"""Fixed positions on a square grid: sines and cosines of row and column."""

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.masks import grid_side

LONGEST = 10_000.0  # the wavelengths run from 2 pi to 2 pi times this, in patches


def sincos_positions(num_patches: int, dim: int, cls_token: bool = False) -> Tensor:
    """MAE's fixed two-dimensional positions (He et al. 2022, appendix A.1).

    Args:
        num_patches: N, a square number.
        dim: width D; a quarter of it goes to each of the sines and cosines of the column and the row.
        cls_token: whether a row of zeros comes first.

    Returns:
        (N, D), or (1 + N, D) with CLS.

    Raises:
        UsageError: D is no multiple of 4, or N no square.
    """
    if dim % 4:
        raise UsageError(f"Sine and cosine positions need a width that is a multiple of 4, not {dim}.")
    side = grid_side(num_patches)
    frequencies = LONGEST ** -(torch.arange(dim // 4) / (dim // 4))
    row, col = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [axis.flatten()[:, None] * frequencies for axis in (col, row)]  # each (N, D/4)
    table = torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1)
    return torch.cat([torch.zeros(1, dim), table]) if cls_token else table
