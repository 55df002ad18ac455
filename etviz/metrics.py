"""How good a reconstruction is, by image and over a whole split.

Images are float (B, C, H, W) in [0, 1], masks bool (B, N), True = hidden, errors in units of that range squared, PSNR
in dB. "Masked" metrics look at hidden pixels alone, of the reconstruction; "completed" ones at all pixels of
`etviz.complete`, where visible pixels are right by construction: those flatter, and say how the picture looks. "Raw"
ones look at all pixels of the reconstruction itself, whose visible patches are predicted too.

`etviz.evaluation.metric_info` says what each is for, its range and its direction; LPIPS and FID are in
`etviz.evaluation.perceptual`.
torchmetrics takes seconds to import, so it is imported where it is used.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from etviz.data import to_float
from etviz.errors import UsageError
from etviz.masks import check_mask, mask_to_pixels, num_hidden, random_mask
from etviz.models.base import MaskedImageModel, complete

SSIM_MIN_SIZE = 6  # the 11x11 Gaussian window is padded by reflecting 5 pixels, which takes 6 to reflect

Reconstruct = Callable[[Tensor, Tensor], Tensor]  # images (B, C, H, W), mask (B, N) -> (B, C, H, W)
Progress = Callable[[int, int], None]  # images done, images in all
PARTS = ("masked", "completed", "raw")
DB_OF_RELATIVE_ERROR = 10 / math.log(10)  # d(10 log10 x) = this * dx / x
SSIM_CHUNK = 25  # images at once on a CPU: their windows stay in its cache, which is three times as fast as 250


class Meter(Protocol):
    """A metric that needs more than the pixels of one image: a network, or the whole split.

    See `etviz.evaluation.perceptual`.
    """

    def start(self) -> None:
        """Forget every image seen."""

    def update(self, images: Tensor, completed: Tensor, raw: Tensor) -> dict[str, Tensor]:
        """Take one batch, (B, C, H, W) in [0, 1] each; what is known by image already, as (B,) by name."""
        ...

    def finish(self) -> dict[str, float]:
        """What is known only of all images together, by name."""
        ...


# ---- by image ----------------------------------------------------------------------------------------------------


def masked_mse(images: Tensor, reconstruction: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over each image's hidden pixels and all channels. 0 to 1, lower is better, no unit.

    Checkpoints are trained on it and compared by it: it says how well the missing pixels were guessed.

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
    """Peak signal-to-noise ratio over each image's hidden pixels, in dB, 0 or more; higher is better.

    `masked_mse` on a scale on which equal steps look about equal. Arguments as there.

    Returns:
        (B,); infinite where they are right to the last bit, NaN for an image with nothing hidden.
    """
    return psnr_of_mse(masked_mse(images, reconstruction, mask))


def mse(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Mean squared error over all pixels. (B, C, H, W) in [0, 1], twice -> (B,), 0 to 1, lower is better, no unit."""
    _check_same_shape(images, reconstruction)
    return (reconstruction - images).square().mean(dim=(1, 2, 3))


def psnr(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Peak signal-to-noise ratio over all pixels: `mse` in dB. (B, C, H, W) in [0, 1], twice -> (B,).

    0 or more, infinite where both are equal; higher is better.
    """
    return psnr_of_mse(mse(images, reconstruction))


def ssim(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), -1 to 1, higher is better, no unit.

    Whether edges and textures are kept, which the MSE does not see. torchmetrics' definition: an 11x11 Gaussian window
    of sigma 1.5 and K = 0.01, 0.03, averaged over channels and every pixel, borders included by reflection.
    scikit-image leaves a border of 5 pixels out, half of a 32x32 image.

    Args:
        images, reconstruction: (B, C, H, W) in [0, 1].

    Returns:
        (B,).

    Raises:
        UsageError: an image side is below 6 pixels, or the shapes differ.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    _check_same_shape(images, reconstruction)
    if min(images.shape[-2:]) < SSIM_MIN_SIZE:
        raise UsageError(f"SSIM needs images of at least {SSIM_MIN_SIZE}x{SSIM_MIN_SIZE} pixels.")
    chunk = SSIM_CHUNK if images.device.type == "cpu" else max(1, len(images))
    pairs = zip(reconstruction.float().split(chunk), images.float().split(chunk), strict=True)
    with _full_precision(images.device.type):
        values = [structural_similarity_index_measure(*pair, data_range=1.0, reduction="none") for pair in pairs]
    return torch.cat([torch.as_tensor(value) for value in values]).reshape(images.shape[0])


def psnr_of_mse(error: Tensor | float) -> Tensor:
    """-10 log10(MSE), in dB, for values in [0, 1]. Any shape; infinite where the error is 0."""
    return -10.0 * torch.log10(torch.as_tensor(error))


def image_metrics(images: Tensor, reconstruction: Tensor, mask: Tensor, include_ssim: bool = True) -> dict[str, Tensor]:
    """Every metric of every image: a dict of (B,) tensors. Arguments as `masked_mse`.

    Keys: masked_mse and raw_mse (of the reconstruction), completed_mse (of `etviz.complete`) and, if asked for,
    completed_ssim and raw_ssim; PSNRs follow from the errors by `psnr_of_mse`.
    """
    completed = complete(images, reconstruction, mask)
    values = {
        "masked_mse": masked_mse(images, reconstruction, mask),
        "completed_mse": mse(images, completed),
        "raw_mse": mse(images, reconstruction),
    }
    if include_ssim:
        values |= {"completed_ssim": ssim(images, completed), "raw_ssim": ssim(images, reconstruction)}
    return values


# ---- over a split ------------------------------------------------------------------------------------------------


def evaluate_model(model: MaskedImageModel, images: Tensor, **settings) -> dict[str, float]:
    """The model's average metrics over a split, under `evaluation_masks`: the numbers that checkpoints are compared by.

    Args:
        model, images, settings: as `measure_model` takes them.

    Returns:
        `summarize`'s dict.

    Raises:
        UsageError: there are no images, they do not fit the model, or the ratio hides no patch at all.
    """
    return summarize(measure_model(model, images, **settings), settings.get("meters", ()))


def measure_model(
    model: MaskedImageModel,
    images: Tensor,
    *,
    ratio: float = 0.85,
    mask_seed: int = 0,
    batch_size: int = 250,
    progress: Progress | None = None,
    include_ssim: bool = True,
    meters: Sequence[Meter] = (),
) -> dict[str, Tensor]:
    """A model's metrics of every image of a split, under `evaluation_masks`.

    Args:
        model: on any device; in eval mode meanwhile.
        images: (n, C, H, W) uint8, on any device; moved to the model's batch by batch.
        ratio: share of patches hidden.
        mask_seed: of the masks.
        batch_size: images at once; changes memory and speed, not the result.
        progress: called with (images done, n) after each batch.
        include_ssim: SSIM costs more than all the rest (1 ms per image on a CPU core), so validation leaves it out.
        meters: further metrics, as of `etviz.evaluation.perceptual`.

    Returns:
        `measure`'s dict of (n,) float64 tensors.

    Raises:
        UsageError: as `evaluate_model`.
    """
    masks = evaluation_masks(images.shape[0], ratio, model.num_patches, mask_seed)
    was_training = model.training
    model.eval()
    try:
        return measure(
            model.reconstruct,
            images,
            masks,
            device=model.device,
            batch_size=batch_size,
            progress=progress,
            include_ssim=include_ssim,
            meters=meters,
        )
    finally:
        model.train(was_training)


def evaluation_masks(count: int, ratio: float = 0.85, num_patches: int = 64, mask_seed: int = 0) -> Tensor:
    """One random mask for each image, all drawn at once on the CPU, so that device and batch size change nothing.

    A shorter split gets the first masks of a longer one, so that a limited evaluation is a part of the full one.

    Returns:
        (count, num_patches) bool, True = hidden.

    Raises:
        UsageError: the ratio lies outside 0..1, or hides no patch, so that there is nothing to measure.
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
    meters: Sequence[Meter] = (),
) -> dict[str, Tensor]:
    """`image_metrics` of a whole split, batch by batch: memory holds one batch, and a few numbers for each image.

    Args:
        reconstruct: a model's ``reconstruct``, or a floor of `etviz.inpainting`: any (images, mask) -> images.
        images: (n, C, H, W) uint8.
        masks: (n, N) bool, True = hidden.
        device: where to compute.
        batch_size, progress, include_ssim, meters: as in `measure_model`.

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
    for meter in meters:
        meter.start()
    batches = []
    for start in range(0, count, batch_size):
        batch = to_float(images[start : start + batch_size].to(device))
        mask = masks[start : start + batch_size]
        raw = reconstruct(batch, mask).float()
        values = image_metrics(batch, raw, mask, include_ssim)
        for meter in meters:
            values |= meter.update(batch, complete(batch, raw, mask), raw)
        batches.append(values)  # stays on the device: no waiting
        if progress is not None:
            progress(min(start + batch_size, count), count)
    return {name: torch.cat([batch[name] for batch in batches]).cpu().double() for name in batches[0]}


def summarize(values: dict[str, Tensor], meters: Sequence[Meter] = ()) -> dict[str, float]:
    """Average the metrics of single images, and finish those of all images together.

    Args:
        values: (n,) tensors by name, from `measure`.
        meters: those that went through it.

    Returns:
        masked_mse: mean over images; every image hides equally many pixels, so it is also the mean over hidden pixels.
        masked_psnr: of that mean, in dB: the headline.
        masked_psnr_image_mean: the mean of the images' own PSNRs, in dB. It is higher, since easy images weigh more.
        completed_..., raw_...: the same of the completed images and of the raw reconstructions.
        completed_ssim, raw_ssim, ...: means over images of whatever else was measured.
        ..._standard_error: of each, over images. Absent for a single image. That of masked_psnr follows from that of
        the mean error to first order (the delta method): 10 / ln 10 times its relative standard error.
        Also the numbers that the meters give for all images together.
    """
    summary = {}
    for part in PARTS:
        errors = values[f"{part}_mse"]
        by_image = psnr_of_mse(errors)
        summary[f"{part}_mse"] = errors.mean().item()
        summary[f"{part}_psnr"] = psnr_of_mse(errors.mean()).item()
        summary[f"{part}_psnr_image_mean"] = by_image.mean().item()
        if len(errors) > 1:
            relative = standard_error(errors) / errors.mean()  # a tensor: NaN, not an error, where all are 0
            summary[f"{part}_mse_standard_error"] = standard_error(errors)
            summary[f"{part}_psnr_standard_error"] = DB_OF_RELATIVE_ERROR * relative.item()
            summary[f"{part}_psnr_image_mean_standard_error"] = standard_error(by_image)
    for name in [name for name in values if not name.endswith("_mse")]:
        summary[name] = values[name].mean().item()
        if len(values[name]) > 1:
            summary[f"{name}_standard_error"] = standard_error(values[name])
    for meter in meters:
        summary |= meter.finish()
    return summary


def standard_error(values: Tensor) -> float:
    """Of the mean of (n,) independent values, n > 1: their sample standard deviation over the root of n."""
    return (values.cpu().double().std() / math.sqrt(len(values))).item()


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
