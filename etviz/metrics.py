"""How good a reconstruction is, by image and over a whole split.

Images are float (B, C, H, W) in [0, 1], masks bool (B, N), True = hidden, errors in units of that range squared, PSNR
in dB. "Masked" metrics look at hidden pixels alone, of the reconstruction; "completed" ones at all pixels of
`etviz.complete`, where visible pixels are right by construction: those flatter, and say how the picture looks.

torchmetrics takes seconds to import, so it is imported where it is used.
"""

import math
from collections.abc import Callable
from contextlib import contextmanager

import torch
from torch import Tensor

from etviz.data import to_float
from etviz.errors import UsageError
from etviz.masks import check_mask, mask_to_pixels, num_hidden, random_mask
from etviz.models.base import MaskedImageModel, complete

SSIM_MIN_SIZE = 6  # the 11x11 Gaussian window is padded by reflecting 5 pixels, which takes 6 to reflect

Reconstruct = Callable[[Tensor, Tensor], Tensor]  # images (B, C, H, W), mask (B, N) -> (B, C, H, W)
Progress = Callable[[int, int], None]  # images done, images in all


# ---- by image ----------------------------------------------------------------------------------------------------


def masked_mse(images: Tensor, reconstruction: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over each image's hidden pixels and all channels. 0 to 1, lower is better.

    Args:
        images, reconstruction: (B, C, H, W) in [0, 1].
        mask: (B, N) bool, True = hidden.

    Returns:
        (B,); NaN for an image with nothing hidden, where there is no error to average.

    Raises:
        UsageError: shapes that do not fit.
    """
    _check_same_shape(images, reconstruction)
    check_mask(mask, images.shape[0], mask.shape[-1])
    patch_size = images.shape[-1] // math.isqrt(mask.shape[-1])
    hidden = mask_to_pixels(mask, patch_size)  # (B, 1, H, W)
    squared_error = (reconstruction - images).square() * hidden
    pixels = hidden.sum(dim=(1, 2, 3)) * images.shape[1]
    return squared_error.sum(dim=(1, 2, 3)) / pixels


def masked_psnr(images: Tensor, reconstruction: Tensor, mask: Tensor) -> Tensor:
    """Peak signal-to-noise ratio over each image's hidden pixels, in dB; higher is better. Arguments as `masked_mse`.

    Returns:
        (B,); infinite where they are right to the last bit, NaN for an image with nothing hidden.
    """
    return psnr_of_mse(masked_mse(images, reconstruction, mask))


def mse(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Mean squared error over all pixels. (B, C, H, W) in [0, 1], twice -> (B,), 0 to 1, lower is better."""
    _check_same_shape(images, reconstruction)
    return (reconstruction - images).square().mean(dim=(1, 2, 3))


def psnr(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Peak signal-to-noise ratio over all pixels, in dB, higher is better. (B, C, H, W) in [0, 1], twice -> (B,)."""
    return psnr_of_mse(mse(images, reconstruction))


def ssim(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), -1 to 1, higher is better. (B, C, H, W) in [0, 1], twice -> (B,).

    torchmetrics' definition: an 11x11 Gaussian window of sigma 1.5 and K = 0.01, 0.03, averaged over channels and
    every pixel, borders included by reflection. scikit-image leaves a border of 5 pixels out, half of a 32x32 image.

    Raises:
        UsageError: an image side is below 6 pixels, or the shapes differ.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    _check_same_shape(images, reconstruction)
    if min(images.shape[-2:]) < SSIM_MIN_SIZE:
        raise UsageError(f"SSIM needs images of at least {SSIM_MIN_SIZE}x{SSIM_MIN_SIZE} pixels.")
    with _full_precision(images.device.type):
        return structural_similarity_index_measure(
            reconstruction.float(), images.float(), data_range=1.0, reduction="none"
        ).reshape(images.shape[0])


def psnr_of_mse(error: Tensor | float) -> Tensor:
    """-10 log10(MSE), in dB, for values in [0, 1]. Any shape; infinite where the error is 0."""
    return -10.0 * torch.log10(torch.as_tensor(error))


def image_metrics(images: Tensor, reconstruction: Tensor, mask: Tensor, include_ssim: bool = True) -> dict[str, Tensor]:
    """Every metric of every image: a dict of (B,) tensors. Arguments as `masked_mse`.

    Keys: masked_mse (of the reconstruction), completed_mse and, if asked for, completed_ssim (of `etviz.complete`);
    PSNRs follow from the errors by `psnr_of_mse`.
    """
    completed = complete(images, reconstruction, mask)
    values = {"masked_mse": masked_mse(images, reconstruction, mask), "completed_mse": mse(images, completed)}
    if include_ssim:
        values["completed_ssim"] = ssim(images, completed)
    return values


# ---- over a split ------------------------------------------------------------------------------------------------


def evaluate_model(
    model: MaskedImageModel,
    images: Tensor,
    *,
    ratio: float = 0.85,
    mask_seed: int = 0,
    batch_size: int = 250,
    progress: Progress | None = None,
    include_ssim: bool = True,
) -> dict[str, float]:
    """The model's average metrics over a split, under `evaluation_masks`: the numbers that checkpoints are compared by.

    Args:
        model: on any device; is put into eval mode meanwhile.
        images: (n, C, H, W) uint8, on any device; moved to the model's batch by batch.
        ratio: share of patches hidden.
        mask_seed: of the masks.
        batch_size: images at once; changes memory and speed, not the result.
        progress: called with (images done, n) after each batch.
        include_ssim: SSIM costs more than all the rest (1 ms an image on a CPU core): validation may leave it out.

    Returns:
        `summarize`'s dict.

    Raises:
        UsageError: there are no images, they do not fit the model, or the ratio hides no patch at all.
    """
    masks = evaluation_masks(images.shape[0], ratio, model.num_patches, mask_seed)
    was_training = model.training
    model.eval()
    try:
        values = measure(
            model.reconstruct,
            images,
            masks,
            device=model.mean.device,
            batch_size=batch_size,
            progress=progress,
            include_ssim=include_ssim,
        )
    finally:
        model.train(was_training)
    return summarize(values)


def evaluation_masks(count: int, ratio: float = 0.85, num_patches: int = 64, mask_seed: int = 0) -> Tensor:
    """One random mask an image, drawn at once on the CPU: the same whatever the device and the batch size.

    The first masks of a longer split are those of a shorter one, so a limited evaluation is a part of the full one.

    Returns:
        (count, num_patches) bool, True = hidden.

    Raises:
        UsageError: the ratio lies outside 0..1, or hides not one patch, which leaves nothing to measure.
    """
    if num_hidden(ratio, num_patches) == 0:
        raise UsageError(f"A mask ratio of {ratio} hides none of {num_patches} patches: there is nothing to evaluate.")
    return random_mask(count, ratio, num_patches, generator=torch.Generator().manual_seed(mask_seed))


@torch.no_grad()
def measure(
    reconstruct: Reconstruct,
    images: Tensor,
    masks: Tensor,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 250,
    progress: Progress | None = None,
    include_ssim: bool = True,
) -> dict[str, Tensor]:
    """`image_metrics` of a whole split, batch by batch: memory does not grow with it but for a few numbers an image.

    Args:
        reconstruct: a model's ``reconstruct``, or a floor of `etviz.inpainting`: any (images, mask) -> images.
        images: (n, C, H, W) uint8.
        masks: (n, N) bool, True = hidden.
        device: where to compute.
        batch_size, progress, include_ssim: as in `evaluate_model`.

    Returns:
        A dict of (n,) float64 tensors on the CPU.

    Raises:
        UsageError: no images, or not uint8; a batch size below 1.
    """
    count = images.shape[0]
    if count == 0:
        raise UsageError("There are no images to evaluate.")
    if images.dtype != torch.uint8:
        raise UsageError(f"A split to evaluate holds uint8 images, not {images.dtype}.")
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, not {batch_size}.")
    masks = masks.to(device)
    batches = []
    for start in range(0, count, batch_size):
        batch = to_float(images[start : start + batch_size].to(device))
        mask = masks[start : start + batch_size]
        values = image_metrics(batch, reconstruct(batch, mask).float(), mask, include_ssim)
        batches.append(values)  # stays on the device: no waiting
        if progress is not None:
            progress(min(start + batch_size, count), count)
    return {name: torch.cat([batch[name] for batch in batches]).cpu().double() for name in batches[0]}


def summarize(values: dict[str, Tensor]) -> dict[str, float]:
    """Average the metrics of single images, a dict of (n,) tensors from `measure`.

    Returns:
        masked_mse: mean over images; every image hides equally many pixels, so it is also the mean over hidden pixels.
        masked_psnr: of that mean, in dB: the headline.
        masked_psnr_image_mean: the mean of each image's own PSNR, in dB: higher, since easy images weigh more.
        completed_mse, completed_psnr, completed_psnr_image_mean: the same of the completed images.
        completed_ssim: mean over images; absent where it was not measured.
    """
    summary = {}
    for part in ("masked", "completed"):
        errors = values[f"{part}_mse"]
        summary[f"{part}_mse"] = errors.mean().item()
        summary[f"{part}_psnr"] = psnr_of_mse(errors.mean()).item()
        summary[f"{part}_psnr_image_mean"] = psnr_of_mse(errors).mean().item()
    if "completed_ssim" in values:
        summary["completed_ssim"] = values["completed_ssim"].mean().item()
    return summary


# ---- helpers -----------------------------------------------------------------------------------------------------


def _check_same_shape(images: Tensor, reconstruction: Tensor) -> None:
    if images.shape != reconstruction.shape or images.ndim != 4:
        shapes = f"{tuple(images.shape)} and {tuple(reconstruction.shape)}"
        raise UsageError(f"Images and reconstruction must both be of one shape (B, C, H, W), not {shapes}.")


@contextmanager
def _full_precision(device: str):
    """Neither autocast nor TF32: SSIM subtracts squares that nearly cancel.

    cuDNN is where TF32 convolutions come from, and PyTorch's own kernels are as fast for one channel at a time.
    """
    enabled = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        with torch.autocast(device, enabled=False):
            yield
    finally:
        torch.backends.cudnn.enabled = enabled
