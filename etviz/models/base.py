"""The contract every masked image model keeps."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.masks import check_mask, mask_to_pixels
from etviz.patches import check_divisible, patchify, unpatchify

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)
POOLS = ("mean", "cls")
MAX_PATCHES = 65_536  # attention over as many takes more than 16 GB a head


class MaskedImageModel(nn.Module):
    """A model that fills in hidden patches. Subclasses write `predict_patches` and `encode`.

    Callers hold images as float (B, C, H, W) in [0, 1] and masks as bool (B, N), True = hidden. The model normalises
    images itself, with ``mean`` and ``std`` stored beside its weights. The content of a hidden patch never influences
    any output: `visible_patches` or `visible_images` replaces it by zero before anything else happens.

    Args:
        img_size: side of the square image, in pixels.
        patch_size: side of a patch, in pixels; must divide ``img_size``.
        in_chans: colour channels C.
        mean, std: per channel, of images in [0, 1].

    Raises:
        UsageError: sizes that do not fit.
    """

    mean: Tensor  # (C, 1, 1), a buffer
    std: Tensor  # (C, 1, 1), a buffer
    name: str = ""  # set by create_model
    config: dict  # the constructor's arguments, set by create_model: enough to build the model again
    trained_parts: tuple[str, ...] = ()  # options that take a trained model, which the train command loads by name
    own_ratio: float | None = None  # share of patches hidden in training, if the model itself decides it
    has_energy: bool = False  # whether it descends on one, and so has `trace`
    sees_hidden_patches: bool = False  # true of an autoencoder: a bound on what a masked image model can reach

    def __init__(self, img_size: int, patch_size: int, in_chans: int, mean: tuple, std: tuple):
        super().__init__()
        check_divisible(img_size, img_size, patch_size)
        if len(mean) != in_chans or len(std) != in_chans:
            raise UsageError(f"mean and std need one number for each of the {in_chans} channels.")
        self.img_size, self.patch_size, self.in_chans = img_size, patch_size, in_chans
        self.num_patches = (img_size // patch_size) ** 2
        if self.num_patches > MAX_PATCHES:
            raise UsageError(f"An image of {self.num_patches:,} patches is too fine: {MAX_PATCHES:,} is the most.")
        self.patch_dim = patch_size**2 * in_chans
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(-1, 1, 1))

    @property
    def device(self) -> torch.device:
        """Where the model computes, and where its images and masks must be."""
        return self.mean.device

    def predict_patches(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """Every patch predicted, in normalised units and differentiably.

        Args:
            images: (B, C, H, W) float in [0, 1].
            mask: (B, N) bool, True = hidden.
            num_hidden: how many patches each mask hides, if the caller knows that all masks hide equally many. Models
                that gather visible patches then need not ask the device, which would break up a compiled step.

        Returns:
            (B, N, patch_dim).
        """
        raise NotImplementedError

    def encode(self, images: Tensor) -> tuple[Tensor | None, Tensor]:
        """The representation with nothing hidden, of images (B, C, H, W) that have been checked.

        Returns:
            The CLS token (B, D), None for a model without one, and the patch tokens (B, N', D), row by row from the
            top left. N' is N, or less for a model that merges patches.
        """
        raise NotImplementedError

    def features(self, images: Tensor, pool: str = "mean") -> Tensor:
        """A representation of each image with nothing hidden: (B, C, H, W) -> (B, D).

        Args:
            images: float in [0, 1].
            pool: "mean" over the patch tokens, or "cls".

        Raises:
            UsageError: images that do not fit, an unknown pool, or "cls" for a model without a CLS token.
        """
        if pool not in POOLS:
            raise UsageError(f"There is no pool {pool!r}: choose one of {', '.join(POOLS)}.")
        self.check_inputs(images, self.nothing_hidden(images))
        cls_token, patches = self.encode(images)
        if pool == "mean":
            return patches.mean(dim=1)
        if cls_token is None:
            raise UsageError(f"{self.name} has no CLS token: use pool='mean'.")
        return cls_token

    def ceiling(self) -> "MaskedImageModel | None":
        """A model whose error this one cannot beat, to report beside its own; None if there is none."""
        return None

    @torch.no_grad()
    def reconstruct(self, images: Tensor, mask: Tensor) -> Tensor:
        """The whole image as the model sees it: (B, C, H, W) in [0, 1], visible patches predicted too."""
        self.check_inputs(images, mask)
        return self.to_images(self.predict_patches(images, mask))

    def loss(self, images: Tensor, mask: Tensor, num_hidden: int | None = None, **descent) -> Tensor:
        """The training objective, a scalar: `pixel_error`, in normalised units, as `mean_by_image` averages it.

        ``descent`` replaces settings of a model's descent, where it has one: steps and step_size.
        """
        self.check_inputs(images, mask)
        return self.patch_loss(self.predict_patches(images, mask, num_hidden, **descent), images, mask)

    def patch_loss(self, predicted: Tensor, images: Tensor, mask: Tensor) -> Tensor:
        """The loss of patches (B, N, patch_dim) that were predicted for images under a mask, a scalar."""
        error = self.pixel_error(predicted.to(self.mean.dtype) - self.to_patches(images)).mean(dim=2)  # (B, N)
        return mean_by_image(error, mask)

    def pixel_error(self, difference: Tensor) -> Tensor:
        """The cost of each pixel's error: its square, unless the model's paper has another."""
        return difference.square()

    # ---- helpers for subclasses ----------------------------------------------------------------------------------

    def to_patches(self, images: Tensor) -> Tensor:
        """Normalise and cut: (B, C, H, W) in [0, 1] -> (B, N, patch_dim)."""
        return patchify((images - self.mean) / self.std, self.patch_size)

    def to_images(self, patches: Tensor) -> Tensor:
        """Join and denormalise: (..., N, patch_dim) -> (..., C, H, W), clipped to [0, 1]."""
        images = unpatchify(patches.to(self.mean.dtype), self.patch_size, self.in_chans)
        return (images * self.std + self.mean).clamp(0, 1)

    def visible_patches(self, images: Tensor, mask: Tensor) -> Tensor:
        """`to_patches` with the hidden ones set to zero, so that their content (NaN included) reaches no output."""
        return self.to_patches(images).masked_fill(mask[:, :, None], 0.0)

    def visible_images(self, images: Tensor, mask: Tensor) -> Tensor:
        """The same as images, for models that cut patches themselves: normalised (B, C, H, W), zero where hidden."""
        normalised = (images - self.mean) / self.std
        return normalised.masked_fill(mask_to_pixels(mask, self.patch_size), 0.0)

    def nothing_hidden(self, images: Tensor) -> Tensor:
        """The mask (B, N) that hides no patch."""
        return torch.zeros(images.shape[0], self.num_patches, dtype=torch.bool, device=images.device)

    def check_inputs(self, images: Tensor, mask: Tensor) -> None:
        """Raise `UsageError` where images or mask are not of the model's shape and type."""
        expected = (self.in_chans, self.img_size, self.img_size)
        if images.ndim != 4 or tuple(images.shape[1:]) != expected:
            wanted = ", ".join(map(str, expected))
            raise UsageError(f"Images must be of shape (B, {wanted}), not {tuple(images.shape)}.")
        if not len(images):
            raise UsageError("There are no images: give at least one.")
        if not images.is_floating_point():
            raise UsageError(f"Images must be float in [0, 1], not {images.dtype}: divide uint8 images by 255.")
        if torch.promote_types(images.dtype, self.mean.dtype) != self.mean.dtype:
            raise UsageError(f"Images are {images.dtype}, and the model is {self.mean.dtype}: give images.float().")
        check_mask(mask, images.shape[0], self.num_patches)


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of values (B, N) where mask (B, N) is true, a scalar; 0 where it is true nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def mean_by_image(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of values (B, N) where mask (B, N) is true: within each image first, then over the images.

    An image with three hidden patches thus weighs as much as one with sixty; one with none does not count. A scalar, 0
    where the mask is true nowhere.
    """
    per_image = (values * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    return per_image.sum() / mask.any(dim=1).sum().clamp(min=1)


def by_hidden_count(predict: Callable[[Tensor, Tensor, int], Tensor], images: Tensor, mask: Tensor) -> Tensor:
    """Let a model that needs equally many hidden patches in every image take masks that hide different numbers.

    Args:
        predict: images (b, C, H, W), mask (b, N) and the number hidden in each -> (b, ...).
        images, mask: any number of images; those that hide equally many go through ``predict`` together.

    Returns:
        (B, ...), in the order of the images.
    """
    counts = mask.sum(dim=1)
    groups = [(counts == count).nonzero()[:, 0] for count in counts.unique()]
    parts = [predict(images[group], mask[group], int(counts[group[0]])) for group in groups]
    return torch.cat(parts)[torch.cat(groups).argsort()]


def check_at_least_one(**sizes: float) -> None:
    """Raise `UsageError` where a size is below 1."""
    for name, size in sizes.items():
        if not size >= 1:
            raise UsageError(f"{name} must be at least 1, not {size}.")


def check_heads(embed_dim: int, num_heads: int) -> None:
    """Raise `UsageError` unless the width of a token divides evenly among the heads."""
    if embed_dim % num_heads:
        raise UsageError(f"A width of {embed_dim} cannot be shared evenly by {num_heads} heads.")


def complete(images: Tensor, reconstruction: Tensor, mask: Tensor) -> Tensor:
    """The given pixels where visible, the prediction where hidden.

    Args:
        images, reconstruction: (B, C, H, W).
        mask: (B, N) bool, True = hidden.

    Returns:
        (B, C, H, W).
    """
    check_mask(mask, images.shape[0], mask.shape[-1])
    if images.shape != reconstruction.shape:
        raise UsageError(f"Images {tuple(images.shape)} and reconstruction {tuple(reconstruction.shape)} differ.")
    patch_size = images.shape[-1] // int(mask.shape[-1] ** 0.5)
    return torch.where(mask_to_pixels(mask, patch_size), reconstruction, images)
