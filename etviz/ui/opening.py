"""The first thing that anyone sees: a picture that is typical for the model, a third of it painted over by hand."""

import torch
from torch import Tensor

from etviz.data import to_float
from etviz.masks import NUM_PATCHES, stroke_mask
from etviz.metrics import masked_mse
from etviz.models import MaskedImageModel

SHARE = 1 / 3  # of the patches; a reader would not hide many more before trying
SEED = 17  # strokes across the middle
TRIED = 12  # pictures of 64 patches; the page waits for them, so models with more patches try fewer


def opening_mask(num_patches: int) -> Tensor:
    """Strokes over about a third of the picture, always the same ones: (1, N) bool."""
    return stroke_mask(1, SHARE, num_patches, torch.Generator().manual_seed(SEED))


@torch.no_grad()
def typical_picture(model: MaskedImageModel, images: Tensor, mask: Tensor) -> int:
    """Which of the first few images the model rebuilds neither well nor badly: the one with the median masked MSE.

    Args:
        images: (n, 3, S, S) uint8; as many of them are tried as take a page little time.
        mask: (1, N) bool, True = hidden.
    """
    tried = to_float(images[: max(1, TRIED * NUM_PATCHES // model.num_patches)])
    rebuilt = model.reconstruct(tried, mask.expand(len(tried), -1))
    errors = masked_mse(tried, rebuilt, mask.expand(len(tried), -1))
    return int(errors.argsort()[len(tried) // 2])
