"""Where a picture is not what the model expects: the error of rebuilding each part from the rest.

The masked error serves as a score of anomaly, as in detectors that inpaint (Zavrtanik et al. 2021, RIAD). Every patch
is hidden under several masks, so that the model never sees the part of the picture that is being judged.
"""

import math

import torch
from torch import Tensor

from etviz.data import to_float
from etviz.errors import UsageError
from etviz.masks import NUM_PATCHES, mask_to_pixels, num_hidden
from etviz.models import MaskedImageModel

CHUNK = 250  # images at once


def covering_masks(count: int, ratio: float = 0.5, num_patches: int = NUM_PATCHES, seed: int = 0) -> Tensor:
    """Random masks that together hide every patch, all of them equally often.

    Patches are dealt from a shuffled deck, int(N * ratio) to each mask. A mask that reaches the end of the deck goes on
    at its beginning, and where a mask ends exactly with the deck, the deck is shuffled anew. At a ratio of one half,
    every two masks complement one another.

    Args:
        count: number of masks M.
        ratio: share of patches that each mask hides.
        num_patches: N.
        seed: of the shuffles.

    Returns:
        (M, N) bool, True = hidden. Each patch is hidden M * int(N * ratio) / N times, rounded up or down where that is
        no whole number.

    Raises:
        UsageError: the ratio hides nothing or lies outside 0..1, or there are too few masks to hide every patch.
    """
    hidden = num_hidden(ratio, num_patches)
    if hidden == 0:
        raise UsageError(f"A ratio of {ratio} hides none of {num_patches} patches: there is no error to measure.")
    needed = math.ceil(num_patches / hidden)
    if count < needed:
        raise UsageError(f"It takes {needed} masks of ratio {ratio} to hide every patch once, not {count}.")
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(count, num_patches, dtype=torch.bool)
    for number, mask in enumerate(masks):
        start = number * hidden % num_patches
        if start == 0:
            deck = torch.randperm(num_patches, generator=generator)
        mask[deck.roll(-start)[:hidden]] = True
    return masks


@torch.no_grad()
def anomaly_map(
    model: MaskedImageModel,
    images: Tensor,
    *,
    ratio: float = 0.5,
    masks: int = 8,
    seed: int = 0,
    chunk: int = CHUNK,
) -> Tensor:
    """How badly each pixel is rebuilt while its patch is hidden: the mean over several masks.

    All images get the same masks, so that a map does not depend on what else is in the batch.

    Args:
        model: put into evaluation mode meanwhile.
        images: (B, C, H, W) uint8, or float in [0, 1]; moved to the model's device chunk by chunk.
        ratio: share of patches that each mask hides.
        masks: how many masks, see `covering_masks`; the model rebuilds each image that many times.
        seed: of the masks.
        chunk: images at once, at least 1; changes memory, not the result.

    Returns:
        (B, H, W) float on the CPU: squared error, the mean over channels and over the masks that hide the pixel. In
        units of the range [0, 1] squared; 0 where every reconstruction was right.

    Raises:
        UsageError: as `covering_masks`; no images, a chunk below 1, or images that do not fit the model.
    """
    if len(images) == 0:
        raise UsageError("There are no images: give at least one.")
    if chunk < 1:
        raise UsageError(f"chunk must be at least 1, not {chunk}.")
    drawn = covering_masks(masks, ratio, model.num_patches, seed).to(model.device)
    was_training = model.training
    model.eval()
    try:
        return torch.cat([_map(model, part, drawn) for part in images.split(chunk)])
    finally:
        model.train(was_training)


def anomaly_score(maps: Tensor, worst: float = 1.0) -> Tensor:
    """One number an image: the mean of the worst pixels of its `anomaly_map`; higher is stranger.

    Args:
        maps: (B, H, W).
        worst: share of the pixels that count, above 0: all of them (1.0) if a picture is strange as a whole, a few
            percent if a small defect lies in a picture that is otherwise as expected.

    Returns:
        (B,).

    Raises:
        UsageError: maps of another shape, or a share outside 0..1 or 0 itself.
    """
    if maps.ndim != 3:
        raise UsageError(f"Anomaly maps are of shape (B, H, W), not {tuple(maps.shape)}.")
    if not 0 < worst <= 1:
        raise UsageError(f"The share of worst pixels must lie above 0 and at most at 1, not {worst}.")
    pixels = maps.flatten(1)
    return pixels.topk(math.ceil(worst * pixels.shape[1]), dim=1).values.mean(dim=1)


def roc_auc(normal: Tensor, anomalous: Tensor) -> float:
    """How often an anomalous image scores above a normal one: the area under the ROC curve, by torchmetrics.

    0.5 is chance, 1 is perfect, below 0.5 the score is upside down; ties count half.

    Args:
        normal, anomalous: scores, (n,) and (m,), higher = stranger.

    Raises:
        UsageError: one of them is empty, or a score is no finite number.
    """
    from torchmetrics.functional.classification import binary_auroc

    scores = torch.cat([normal, anomalous]).cpu().double()
    if not len(normal) or not len(anomalous) or not scores.isfinite().all():
        raise UsageError("A ROC curve needs at least one finite score of normal images and one of anomalous ones.")
    target = torch.arange(len(scores), device=scores.device) >= len(normal)
    # Ranks, since torchmetrics takes scores beyond 0..1 for logits, and the area depends on the order alone.
    ranks = scores.unique(return_inverse=True)[1]
    return binary_auroc(ranks.float() / len(scores), target.long()).item()


def roc_auc_standard_error(normal: Tensor, anomalous: Tensor) -> float:
    """The standard error of `roc_auc` over images, by DeLong's estimate (DeLong et al. 1988).

    Args:
        normal, anomalous: scores, (n,) and (m,), two or more of each.

    Raises:
        UsageError: fewer than two of one of them.
    """
    if min(len(normal), len(anomalous)) < 2:
        raise UsageError("A standard error needs at least two scores of normal images and two of anomalous ones.")
    first, second = normal.cpu().double()[:, None], anomalous.cpu().double()[None]
    wins = (second > first).double() + (second == first).double() / 2  # (n, m), whose mean is the area
    variances = [wins.mean(dim=other).var() / len(part) for part, other in ((normal, 1), (anomalous, 0))]
    return (variances[0] + variances[1]).sqrt().item()


def _map(model: MaskedImageModel, images: Tensor, masks: Tensor) -> Tensor:
    """`anomaly_map` of a few images under masks (M, N)."""
    images = images.to(masks.device)
    images = images if images.is_floating_point() else to_float(images)
    total = torch.zeros_like(images[:, 0])  # (b, H, W)
    for mask in masks:
        rebuilt = model.reconstruct(images, mask.expand(len(images), -1))
        total += (rebuilt - images).square().mean(dim=1) * mask_to_pixels(mask[None], model.patch_size)[0]
    times = mask_to_pixels(masks, model.patch_size).sum(dim=0)[0]  # (H, W), at least 1
    return (total / times).cpu()
