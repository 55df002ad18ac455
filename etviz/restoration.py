"""Pictures of any size by a model of small ones: missing pixels rebuilt, or noise averaged away.

The picture is cut into windows of the model's size that overlap, and their predictions are blended with weights that
fall smoothly towards a window's border and sum to 1 at every pixel. A mask is by pixel: patches that hold a missing
pixel are hidden from the model, but only missing pixels are replaced.

A hole larger than a window closes from its border inwards. A pass takes the windows that show the model enough; a
pixel is context for the next pass once half of its blend is there. So every window is predicted once, and every
pixel's blend is whole in the end.
"""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from torch import Tensor

from etviz.analysis.anomaly import covering_masks
from etviz.errors import UsageError
from etviz.masks import num_hidden
from etviz.models import EnergyModel, MaskedImageModel
from etviz.options import Count, Positive, Whole, check_option

TRAINED_RATIO = 0.85  # of patches hidden in training: a window that shows fewer than the rest waits
SETTLED = 0.5  # share of a pixel's blend that makes it context for other windows
CHUNK = 4096  # windows looked at together
WHITE = 255
MOST_FLOATS = 25_000_000  # pixels held as floats at once: about 2 GB

Predict = Callable[[Tensor, Tensor], Tensor]  # images (B, C, S, S), mask (B, N) -> (B, C, S, S)
Progress = Callable[[int, int], None]  # windows done, windows in all


# ---- completion --------------------------------------------------------------------------------------------------


@torch.no_grad()
def restore_image(
    model: MaskedImageModel,
    image: Tensor,
    mask: Tensor,
    *,
    overlap: int | None = None,
    batch_size: int = 64,
    steps: int | None = None,
    step_size: float | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Rebuild the missing pixels of one picture of any size.

    Sides shorter than a window, or no multiple of a patch, are continued by reflection and cut again.

    Args:
        model: any masked image model; everything is computed on its device.
        image: (C, H, W) float in [0, 1]; what it holds where pixels are missing, NaN included, influences nothing.
        mask: (H, W) bool, True = missing.
        overlap: pixels that neighbouring windows share: half a window to a patch less than a window, in whole
            patches. Half a window if None. More takes longer: of 32, 24 takes four times as long as 16.
        batch_size: windows predicted at once.
        steps, step_size: of an Energy Transformer's descent; the model's own where None.
        progress: told how many windows are done, and how many there are.

    Returns:
        (C, H, W), on the image's device: the given pixels to the last bit, and predictions where they were missing.

    Raises:
        UsageError: shapes, kinds or settings that do not fit, a mask that hides nothing, or one that leaves no whole
            patch visible.
    """
    check_image(model, image)
    _check_pixel_mask(image, mask)
    stride = model.img_size - _checked_overlap(model, overlap)
    batch_size = check_option("batch_size", batch_size, Count)
    rows, columns = _box(mask, model.img_size, stride)
    hole = mask[rows, columns]
    canvas = _Canvas(model, image[:, rows, columns], hole, stride)
    _fill(canvas, _predictor(model, steps, step_size), batch_size, progress)
    height, width = hole.shape
    restored = canvas.blend[:, :height, :width].clamp(0, 1)  # the weights sum to 1 but for rounding
    found = image.clone()
    found[:, rows, columns] = torch.where(hole, restored.to(image), image[:, rows, columns])
    return found


def restore_pixels(model: MaskedImageModel, pixels: Tensor, mask: Tensor, **options) -> Tensor:
    """`restore_image` for 8-bit pixels, of which only those around what is missing become floats.

    Args:
        model: as `restore_image` takes it.
        pixels: (C, H, W) uint8.
        mask: (H, W) bool, True = missing.
        options: the further arguments of `restore_image`.

    Returns:
        (C, H, W) uint8: the given pixels, and predictions where they were missing.

    Raises:
        UsageError: as `restore_image`, or so much is missing that it would not fit into memory.
    """
    _check_pixel_mask(pixels, mask)
    rows, columns = _box(mask, model.img_size, model.img_size - _checked_overlap(model, options.get("overlap")))
    box, hole = pixels[:, rows, columns], mask[rows, columns]
    check_area(hole.numel())
    restored = restore_image(model, box.float() / WHITE, hole, **options)
    found = pixels.clone()
    found[:, rows, columns] = torch.where(hole, (restored * WHITE).round().to(torch.uint8), box)
    return found


def check_area(pixels: int) -> None:
    """Raise `UsageError` where so many pixels, as floats, would not fit into memory."""
    if pixels > MOST_FLOATS:
        raise UsageError(
            f"{pixels:,} pixels would be held as floats, and {MOST_FLOATS:,} is the most: restore it in parts."
        )


def _box(mask: Tensor, size: int, stride: int) -> tuple[slice, slice]:
    """The rows and columns of all windows around what is missing; the windows within are those of the whole."""
    return _span(mask.any(dim=1), size, stride), _span(mask.any(dim=0), size, stride)


def _span(missing: Tensor, size: int, stride: int) -> slice:
    """Along one axis, of which (n,) bool says where something is missing."""
    places, length = missing.nonzero(), len(missing)
    first = max(0, int(places[0]) - size + 1)
    start = -(-first // stride) * stride  # of the first window over the first missing pixel
    end = int(places[-1]) // stride * stride + size  # of the last window over the last one
    last = max(0, (length - size) // stride * stride)  # the windows after this one are moved back
    start = min(start, last)
    return slice(start, length if end > last else end)


def _fill(canvas: "_Canvas", predict: Predict, batch_size: int, progress: Progress | None) -> None:
    """Predict every window that misses a pixel: pass by pass, those first that show enough."""
    pending = canvas.incomplete()
    total = len(pending)
    while len(pending):
        visible = canvas.visible_patches(pending)  # (n, N)
        counts = visible.sum(dim=1)
        if len(pending) == total and not counts.any():
            raise UsageError(
                f"The mask touches every {canvas.patch_size}x{canvas.patch_size} patch around what is missing, "
                "so that the model sees nothing: leave some patches whole."
            )
        patches = visible.shape[1]
        enough = min(patches - num_hidden(TRAINED_RATIO, patches), int(counts.max()))
        ready = counts >= enough
        context = canvas.context()
        done = total - len(pending)
        for places, seen in zip(pending[ready].split(batch_size), visible[ready].split(batch_size), strict=True):
            canvas.add(places, predict(canvas.cut(context, places).movedim(0, 1), ~seen))
            done += len(places)
            if progress is not None:
                progress(done, total)
        pending = pending[~ready]


class _Canvas:
    """One picture, continued to whole windows and patches: what is given, and the blend of what has been predicted.

    Windows are named by their numbers (row, column) in the grid of windows.
    """

    def __init__(self, model: MaskedImageModel, image: Tensor, mask: Tensor, stride: int):
        device, dtype = model.device, model.mean.dtype
        self.size, self.patch_size = model.img_size, model.patch_size
        sides = [reflected(side, self.size, self.patch_size).to(device) for side in mask.shape]
        self.image = image.to(device, dtype)[:, sides[0]][:, :, sides[1]]  # (C, H', W')
        self.given = ~mask.to(device)[sides[0]][:, sides[1]]  # (H', W')
        axes = [blending_weights(len(side), self.size, stride) for side in sides]
        self.starts = [starts.to(device) for starts, _ in axes]
        self.weights = [weights.to(device, dtype) for _, weights in axes]
        self.blend = torch.zeros_like(self.image)
        self.share = torch.zeros_like(self.image[0])  # of each pixel's blend that is there

    def incomplete(self) -> Tensor:
        """The windows (n, 2) that miss a pixel, row by row."""
        numbers = product(*(range(len(starts)) for starts in self.starts))
        places = torch.tensor(list(numbers), device=self.given.device)
        missing = [~self.cut(self.given, chunk).flatten(1).all(dim=1) for chunk in places.split(CHUNK)]
        return places[torch.cat(missing)]

    def known(self) -> Tensor:
        """(H', W') bool: pixels that were given or whose blend is half there."""
        return self.given | (self.share >= SETTLED)

    def context(self) -> Tensor:
        """(C, H', W'): the given pixels, and the blend so far of the others."""
        return torch.where(self.given, self.image, self.blend / self.share.clamp(min=1e-6))

    def visible_patches(self, places: Tensor) -> Tensor:
        """(n, N) bool: the patches of some windows (n, 2) whose pixels are all known."""
        known, count = self.known(), self.size // self.patch_size
        chunks = []
        for chunk in places.split(CHUNK):
            tiles = self.cut(known, chunk).reshape(-1, count, self.patch_size, count, self.patch_size)
            chunks.append(tiles.all(dim=4).all(dim=2).flatten(1))
        return torch.cat(chunks)

    def cut(self, pixels: Tensor, places: Tensor) -> Tensor:
        """Windows (n, 2) of pixels (..., H', W') -> (..., n, S, S)."""
        steps = torch.arange(self.size, device=places.device)
        rows, columns = (starts[places[:, axis], None] + steps for axis, starts in enumerate(self.starts))  # (n, S)
        return pixels[..., rows[:, :, None], columns[:, None, :]]

    def add(self, places: Tensor, predicted: Tensor) -> None:
        """Blend in the predictions (n, C, S, S) for windows (n, 2)."""
        for (row, column), window in zip(places.tolist(), predicted, strict=True):
            top, left = int(self.starts[0][row]), int(self.starts[1][column])
            weight = self.weights[0][row][:, None] * self.weights[1][column]
            inside = ..., slice(top, top + self.size), slice(left, left + self.size)
            self.blend[inside] += weight * window
            self.share[inside] += weight


def blending_weights(length: int, size: int, stride: int) -> tuple[Tensor, Tensor]:
    """Windows along one axis, and their weights: squared sines, normalised to sum to 1 at every pixel.

    Args:
        length: pixels, at least ``size``.
        size: of a window.
        stride: from one window to the next; the last one is moved back to end where the axis ends.

    Returns:
        Where each window starts (n,) int64, and its weights (n, size) float64. A picture's windows have the products
        of their rows' and their columns' weights, which then sum to 1 too.
    """
    starts = torch.tensor(sorted({*range(0, length - size, stride), length - size}))
    profile = torch.sin(math.pi * (torch.arange(size, dtype=torch.float64) + 0.5) / size).square()
    pixels = starts[:, None] + torch.arange(size)  # (n, size)
    total = torch.zeros(length, dtype=torch.float64).index_add(0, pixels.flatten(), profile.repeat(len(starts)))
    return starts, profile / total[pixels]


def reflected(side: int, size: int, patch_size: int) -> Tensor:
    """Which pixels (n,) stand in for an axis of ``side`` continued by reflection, to a window and to whole patches."""
    wanted = max(size, -(-side // patch_size) * patch_size)
    return torch.from_numpy(np.pad(np.arange(side), (0, wanted - side), mode="reflect"))


# ---- denoising ---------------------------------------------------------------------------------------------------


def denoise_image(
    model: MaskedImageModel, image: Tensor, noise: float, *, rounds: int = 4, seed: int = 0, **options
) -> Tensor:
    """Predict every patch while it is hidden, several times; average, and weigh that against the pixel as given.

    A prediction never sees the patch that it stands for, so its error and that patch's noise are independent (Batson
    and Royer 2019, "Noise2Self"). Their mean square distance is then the sum of both variances, from which the weights
    that leave the least error follow: a poor prediction changes little.

    Args:
        model: any masked image model.
        image: (C, H, W) float in [0, 1].
        noise: standard deviation of the noise, in units of that range, above 0.
        rounds: how often each patch is predicted, at the least, half of the patches hidden at a time.
        seed: of the random masks.
        options: overlap, batch_size, steps, step_size and progress, as `restore_image` takes them.

    Returns:
        (C, H, W), on the image's device.

    Raises:
        UsageError: as `restore_image`, or settings out of range.
    """
    check_image(model, image)
    noise, rounds = check_option("noise", noise, Positive), check_option("rounds", rounds, Count)
    total, count = torch.zeros_like(image), torch.zeros_like(image[0])
    masks = _pixel_masks((image.shape[1], image.shape[2]), model.patch_size, rounds, seed)
    for hidden in masks.to(image.device):
        total += torch.where(hidden, restore_image(model, image, hidden, **options), 0.0)
        count += hidden
    return blend_by_noise(image, total / count, noise)


def blend_by_noise(image: Tensor, predicted: Tensor, noise: float) -> Tensor:
    """Noisy pixels and predictions whose errors are independent, averaged by their variances. All (C, H, W)."""
    apart = (image - predicted).square().mean()  # noise^2 + the prediction's squared error, in expectation
    return torch.lerp(image, predicted, (noise**2 / apart.clamp(min=1e-12)).clamp(max=1))


def _pixel_masks(shape: tuple[int, int], patch_size: int, rounds: int, seed: int) -> Tensor:
    """Masks (M, H, W) by pixel that together hide each patch ``rounds`` times or more, half of all at a time."""
    rows, columns = (-(-side // patch_size) for side in shape)
    masks = covering_masks(2 * rounds + 1, 0.5, rows * columns, seed).reshape(-1, rows, columns)
    grown = masks.repeat_interleave(patch_size, 1).repeat_interleave(patch_size, 2)
    return grown[:, : shape[0], : shape[1]]


# ---- checks ------------------------------------------------------------------------------------------------------


def _predictor(model: MaskedImageModel, steps: int | None, step_size: float | None) -> Predict:
    given = [name for name, value in (("steps", steps), ("step_size", step_size)) if value is not None]
    if not given:
        return model.reconstruct
    if not isinstance(model, EnergyModel):
        raise UsageError(f"{model.name} descends no energy: leave out {' and '.join(given)}.")
    return lambda images, mask: model.to_images(model.predict_patches(images, mask, steps=steps, step_size=step_size))


def check_image(model: MaskedImageModel, image: Tensor) -> None:
    """Raise `UsageError` unless the model can look at windows of the image."""
    if image.ndim != 3 or image.shape[0] != model.in_chans or not image.numel():
        raise UsageError(f"A picture must be of shape ({model.in_chans}, H, W), not {tuple(image.shape)}.")
    if not image.is_floating_point():
        raise UsageError(f"A picture must be float in [0, 1], not {image.dtype}: divide uint8 by 255.")
    check_model(model)


def check_model(model: MaskedImageModel) -> None:
    """Raise `UsageError` where a model cannot fill in anything."""
    if model.sees_hidden_patches:
        raise UsageError(f"{model.name} sees what is hidden, so it restores nothing: choose a masked image model.")


def _check_pixel_mask(image: Tensor, mask: Tensor) -> None:
    if mask.dtype != torch.bool or mask.shape != image.shape[1:]:
        raise UsageError(
            f"The mask must be bool of shape {tuple(image.shape[1:])}, not {mask.dtype} of {tuple(mask.shape)}."
        )
    if not mask.any():
        raise UsageError("The mask marks no pixel as missing: there is nothing to restore.")
    if mask.all():
        raise UsageError("The mask marks every pixel as missing: leave some visible.")


def _checked_overlap(model: MaskedImageModel, overlap: int | None) -> int:
    size, patch = model.img_size, model.patch_size
    most = size - patch
    least = -(-size // (2 * patch)) * patch
    overlap = least if overlap is None else int(check_option("overlap", overlap, Whole))
    if not least <= overlap <= most or overlap % patch:
        raise UsageError(f"overlap must be {least} to {most} pixels in steps of {patch} for this model, not {overlap}.")
    return overlap
