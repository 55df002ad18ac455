"""Masked PSNR along a curve: under other shares and kinds of masks, and with damaged visible patches.

Damage changes only what the model is shown: the hidden patches are compared with the undamaged picture. The exception
is brightness. There a good filling is as bright as the visible patches, so the hidden patches are compared with the
picture made brighter as a whole.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from etviz import masks as mask_kinds
from etviz.data import to_float
from etviz.errors import UsageError
from etviz.masks import mask_to_pixels
from etviz.metrics import DB_OF_RELATIVE_ERROR, evaluation_masks, masked_mse, psnr_of_mse

CHUNK = 250  # images at once
GREY = 0.5
SEEDS_APART = 1_000_003  # between the seeds of first images: more than a split holds
INTERVAL = 1.96  # standard errors to each side that make 95%

Fill = Callable[[Tensor, Tensor], Tensor]  # images (B, C, H, W) in [0, 1], mask (B, N) -> (B, C, H, W)
Progress = Callable[[int, int], None]  # levels done, levels in all


@dataclass(frozen=True)
class Axis:
    """One thing that is varied while all else stays."""

    title: str
    unit: str  # what a level says; empty where its title does
    levels: tuple  # floats in ascending order, or names of masks


AXES = {
    "ratio": Axis("share of patches hidden", "", (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)),
    "noise": Axis("Gaussian noise", "standard deviation, of the range", (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)),
    "blur": Axis("Gaussian blur", "standard deviation in pixels", (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)),
    "occlusion": Axis("visible patches painted grey", "", (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)),
    "brightness": Axis("brightness added", "of the range", (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)),
    "kind": Axis(
        "kind of mask",
        "",
        (
            "random 25%",
            "block 25%",
            "centre 25%",
            "random 50%",
            "block 50%",
            "chessboard 50%",
            "right half",
            "bottom half",
        ),
    ),
}
SHARES = ("ratio", "occlusion")  # whose levels are percentages
DAMAGES = ("noise", "blur", "occlusion", "brightness")


@dataclass(kw_only=True)
class Curve:
    """One way to fill in hidden patches along one axis. Over n images, in float64."""

    levels: tuple  # L of them
    psnr: Tensor  # (L,) dB, masked PSNR of the mean error
    low: Tensor  # (L,) dB, 95% interval over images: the standard error carried through the logarithm
    high: Tensor  # (L,)
    errors: Tensor = field(default_factory=lambda: torch.empty(0, 0), repr=False)  # (L, n) masked MSE by image


@torch.no_grad()
def robustness_curves(
    fills: dict[str, Fill],
    images: Tensor,
    axis: str,
    levels: Sequence | None = None,
    *,
    ratio: float = 0.85,
    num_patches: int = mask_kinds.NUM_PATCHES,
    seed: int = 0,
    device: torch.device | str = "cpu",
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> dict[str, Curve]:
    """Masked PSNR of several models and floors along one of `AXES`: the same images, masks and damage for all.

    Args:
        fills: by name: ``model.reconstruct``, or a floor of `etviz.inpainting`.
        images: (n, C, H, W) uint8, at least 2.
        axis: a key of `AXES`.
        levels: along it; the axis's own if None.
        ratio: share of patches hidden, unless the axis sets it.
        num_patches: N.
        seed: of masks and damage, the same at every level.
        device: where to compute.
        chunk: images at once; changes memory, not the result.
        progress: called after each level.

    Returns:
        A curve for each of ``fills``, by its name.

    Raises:
        UsageError: there is no such axis or level, there are fewer than two images, or a ratio hides nothing.
    """
    if axis not in AXES:
        raise UsageError(f"There is no axis {axis!r}: choose one of {', '.join(AXES)}.")
    if len(images) < 2 or images.dtype != torch.uint8:
        raise UsageError(f"A curve takes two or more uint8 images, not {len(images)} of {images.dtype}.")
    levels = AXES[axis].levels if levels is None else tuple(levels)
    masks_at = partial(axis_masks, axis, count=len(images), ratio=ratio, num_patches=num_patches, seed=seed)
    measure = partial(_errors, fills, images, axis=axis, seed=seed, device=device, chunk=chunk)
    errors: dict[str, list[Tensor]] = {name: [] for name in fills}
    for done, level in enumerate(levels):
        for name, found in measure(masks_at(level), level=level).items():
            errors[name].append(found)
        if progress is not None:
            progress(done + 1, len(levels))
    return {name: curve_of(levels, torch.stack(found)) for name, found in errors.items()}


@torch.no_grad()
def psnr_by_ratio(
    fills: dict[str, Fill],
    images: Tensor,
    ratios: Sequence[float],
    *,
    make_mask: Callable[..., Tensor] = mask_kinds.random_mask,
    num_patches: int = mask_kinds.NUM_PATCHES,
    seed: int = 0,
) -> dict[str, Tensor]:
    """The mask ratios' curve for images in [0, 1] and for masks of any kind.

    Args:
        fills: by name: ``model.reconstruct``, or a floor of `etviz.inpainting`.
        images: (B, C, H, W) float in [0, 1], on the fills' device.
        ratios: shares to hide, each of at least one patch.
        make_mask: `etviz.random_mask` or `etviz.block_mask`, which take (batch, ratio, num_patches, generator).
        num_patches: N.
        seed: of the masks; every ratio starts from it.

    Returns:
        By name, (len(ratios),) in dB: of the mean error over images, as the headline number is.

    Raises:
        UsageError: a ratio hides nothing, or as the fills and masks themselves.
    """
    errors: dict[str, list[Tensor]] = {name: [] for name in fills}
    for ratio in ratios:
        mask = make_mask(len(images), ratio, num_patches, torch.Generator().manual_seed(seed))
        if not mask.any():
            raise UsageError(f"A ratio of {ratio} hides none of {num_patches} patches: there is no error to measure.")
        for name, found in _errors(fills, images, mask, device=images.device, chunk=len(images)).items():
            errors[name].append(found)
    return {name: curve_of(ratios, torch.stack(found)).psnr for name, found in errors.items()}


def curve_of(levels: Sequence, errors: Tensor) -> Curve:
    """The curve of masked MSE (L, n) of n images at each of L levels."""
    errors = errors.cpu().double()
    mean = errors.mean(dim=1)
    relative = errors.std(dim=1) / math.sqrt(errors.shape[1]) / mean
    psnr, spread = psnr_of_mse(mean), INTERVAL * DB_OF_RELATIVE_ERROR * relative
    return Curve(levels=tuple(levels), psnr=psnr, low=psnr - spread, high=psnr + spread, errors=errors)


def psnr_loss(curve: Curve) -> tuple[float, float]:
    """The dB of masked PSNR lost from a curve's first level to its last, and half of its 95% interval over images.

    Both levels are measured on the same images, so the interval is that of paired images, to first order.
    """
    first, last = curve.errors[0], curve.errors[-1]
    relative = last / last.mean() - first / first.mean()
    spread = INTERVAL * DB_OF_RELATIVE_ERROR * relative.std() / math.sqrt(len(relative))
    return (curve.psnr[0] - curve.psnr[-1]).item(), spread.item()


def axis_masks(axis: str, level, count: int, *, ratio: float, num_patches: int, seed: int) -> Tensor:
    """The masks at one level: (count, N) bool, True = hidden. Raises `UsageError` for an unknown kind or bad ratio."""
    if axis == "kind":
        return kind_masks(level, count, num_patches, seed)
    return evaluation_masks(count, level if axis == "ratio" else ratio, num_patches, seed)


def kind_masks(kind: str, count: int, num_patches: int = mask_kinds.NUM_PATCHES, seed: int = 0) -> Tensor:
    """Masks of one of the kinds that ``AXES["kind"]`` names. (count, N) bool, True = hidden."""
    generator = torch.Generator().manual_seed(seed)
    kinds = {
        "random 25%": lambda: mask_kinds.random_mask(count, 0.25, num_patches, generator),
        "block 25%": lambda: mask_kinds.block_mask(count, 0.25, num_patches, generator),
        "centre 25%": lambda: mask_kinds.center_mask(count, num_patches),
        "random 50%": lambda: mask_kinds.random_mask(count, 0.5, num_patches, generator),
        "block 50%": lambda: mask_kinds.block_mask(count, 0.5, num_patches, generator),
        "chessboard 50%": lambda: mask_kinds.grid_mask(count, num_patches),
        "right half": lambda: mask_kinds.half_mask(count, num_patches, "right"),
        "bottom half": lambda: mask_kinds.half_mask(count, num_patches, "bottom"),
    }
    if kind not in kinds:
        raise UsageError(f"There is no kind of mask {kind!r}: choose one of {', '.join(kinds)}.")
    return kinds[kind]()


def damage(images: Tensor, masks: Tensor, kind: str, level: float, *, seed: int = 0, first: int = 0) -> Tensor:
    """Images whose visible patches are damaged; the content of hidden patches has no effect.

    Args:
        images: (B, C, H, W) in [0, 1].
        masks: (B, N) bool, True = hidden.
        kind: "noise" is Gaussian and clipped to the range. "blur" is Gaussian and mixes visible pixels with visible
            ones only, so that nothing hidden leaks. "occlusion" paints whole patches grey. "brightness" is added and
            clipped.
        level: of noise, the standard deviation in the range [0, 1]; of blur, that in pixels; of occlusion, the share of
            each image's visible patches to paint, rounded to whole patches; of brightness, what is added.
        seed: of the noise and of the choice of patches.
        first: number of the first image. The damage of an image depends on the seed and its own number alone.

    Returns:
        (B, C, H, W) in [0, 1].

    Raises:
        UsageError: there is no such kind, or the level is out of range.
    """
    if kind not in DAMAGES:
        raise UsageError(f"There is no damage {kind!r}: choose one of {', '.join(DAMAGES)}.")
    if not math.isfinite(level) or (level < 0 and kind != "brightness") or (level > 1 and kind == "occlusion"):
        unit = AXES[kind].unit or "share of " + AXES[kind].title
        raise UsageError(f"{level} is no level of {kind}: give its {unit}.")
    generators = [torch.Generator().manual_seed(seed * SEEDS_APART + first + i) for i in range(len(images))]
    if kind == "noise":
        drawn = torch.stack([torch.randn(images.shape[1:], generator=generator) for generator in generators])
        return (images + level * drawn.to(images)).clamp(0, 1)
    if kind == "brightness":
        return (images + level).clamp(0, 1)
    if kind == "blur":
        return _blurred(images, masks, level) if level > 0 else images
    drawn = torch.stack([torch.rand(masks.shape[1], generator=generator) for generator in generators])
    return _occluded(images, masks, level, drawn.to(images.device))


def _blurred(images: Tensor, masks: Tensor, sigma: float) -> Tensor:
    """Each pixel the weighted mean of the visible ones around it."""
    from torchvision.transforms.functional import gaussian_blur

    side = images.shape[-1]
    visible = (~mask_to_pixels(masks, side // math.isqrt(masks.shape[1]))).to(images)  # (B, 1, H, W)
    radius = min(math.ceil(3 * sigma), side - 1)
    blur = lambda values: gaussian_blur(values, [2 * radius + 1] * 2, [sigma] * 2)  # noqa: E731 - one line
    weight = blur(visible)
    tiny = torch.finfo(images.dtype).tiny
    return (blur(images * visible) / weight.clamp(min=tiny)).clamp(0, 1)


def _occluded(images: Tensor, masks: Tensor, share: float, drawn: Tensor) -> Tensor:
    """Some of each image's visible patches grey: those with the smallest numbers in ``drawn``, (B, N) of 0 to 1."""
    order = drawn + masks  # hidden ones last
    counts = (share * (~masks).sum(dim=1, keepdim=True)).round()
    painted = order.argsort(dim=1).argsort(dim=1) < counts
    return torch.where(mask_to_pixels(painted, images.shape[-1] // math.isqrt(masks.shape[1])), GREY, images)


def _errors(
    fills: dict[str, Fill],
    images: Tensor,
    masks: Tensor,
    *,
    axis: str = "ratio",
    level=0.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    chunk: int = CHUNK,
) -> dict[str, Tensor]:
    """Masked MSE of every image, uint8 or in [0, 1], by every filling: (n,) on the CPU, by name."""
    errors: dict[str, list[Tensor]] = {name: [] for name in fills}
    for start in range(0, len(images), chunk):
        part, hidden = images[start : start + chunk], masks[start : start + chunk]
        part = part if part.is_floating_point() else to_float(part)
        seen = damage(part, hidden, axis, level, seed=seed, first=start) if axis in DAMAGES else part
        right = seen if axis == "brightness" else part
        seen, right, hidden = seen.to(device), right.to(device), hidden.to(device)
        for name, fill in fills.items():
            errors[name].append(masked_mse(right, fill(seen, hidden), hidden).double().cpu())
    return {name: torch.cat(found) for name, found in errors.items()}
