"""How well hidden patches are filled in as more of them are hidden."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.masks import NUM_PATCHES, random_mask
from etviz.metrics import masked_mse, psnr_of_mse

Fill = Callable[[Tensor, Tensor], Tensor]  # images (B, C, H, W) in [0, 1], mask (B, N) -> (B, C, H, W)


@torch.no_grad()
def psnr_by_ratio(
    fills: dict[str, Fill],
    images: Tensor,
    ratios: Sequence[float],
    *,
    make_mask: Callable[..., Tensor] = random_mask,
    num_patches: int = NUM_PATCHES,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Masked PSNR of several ways to fill in, over the same images and masks, at several mask ratios.

    Args:
        fills: by name: ``model.reconstruct``, or a floor of `etviz.inpainting`.
        images: (B, C, H, W) float in [0, 1].
        ratios: shares to hide, each of at least one patch.
        make_mask: `etviz.random_mask` or `etviz.block_mask`, which take (batch, ratio, num_patches, generator).
        num_patches: N.
        seed: of the masks; each ratio's are drawn from it anew.

    Returns:
        By name, (len(ratios),) in dB: of the mean error over images, as the headline number is.

    Raises:
        UsageError: a ratio that hides nothing, or as the fills and masks themselves.
    """
    errors: dict[str, list[Tensor]] = {name: [] for name in fills}
    for ratio in ratios:
        mask = make_mask(len(images), ratio, num_patches, torch.Generator().manual_seed(seed)).to(images.device)
        if not mask.any():
            raise UsageError(f"A ratio of {ratio} hides none of {num_patches} patches: there is no error to measure.")
        for name, fill in fills.items():
            errors[name].append(masked_mse(images, fill(images, mask), mask).mean())
    return {name: psnr_of_mse(torch.stack(error)) for name, error in errors.items()}
