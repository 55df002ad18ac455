"""The contract every masked image model keeps."""

import torch
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.masks import check_mask, mask_to_pixels
from etviz.patches import check_divisible, patchify, unpatchify

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)


class MaskedImageModel(nn.Module):
    """A model that fills in hidden patches. Subclasses write `predict_patches` and `features`.

    Callers hold images as float (B, C, H, W) in [0, 1] and masks as bool (B, N), True = hidden; normalisation is
    the model's own business, with ``mean`` and ``std`` stored beside the weights. The content of a hidden patch
    never influences any output: `visible_patches` replaces it by zero before anything else happens.

    Args:
        img_size: side of the square image, in pixels.
        patch_size: side of a patch, in pixels; must divide ``img_size``.
        in_chans: colour channels C.
        mean, std: per channel, of images in [0, 1].

    Raises:
        UsageError: sizes that do not fit.
    """

    name: str = ""  # set by create_model
    config: dict  # the constructor's arguments, set by create_model: enough to build the model again

    def __init__(self, img_size: int, patch_size: int, in_chans: int, mean: tuple, std: tuple):
        super().__init__()
        check_divisible(img_size, img_size, patch_size)
        if len(mean) != in_chans or len(std) != in_chans:
            raise UsageError(f"mean and std need one number for each of the {in_chans} channels.")
        self.img_size, self.patch_size, self.in_chans = img_size, patch_size, in_chans
        self.num_patches = (img_size // patch_size) ** 2
        self.patch_dim = patch_size**2 * in_chans
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(-1, 1, 1))

    def predict_patches(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """Every patch predicted, in normalised units and differentiably.

        Args:
            images: (B, C, H, W) float in [0, 1].
            mask: (B, N) bool, True = hidden.
            num_hidden: how many patches each mask hides, where the caller knows that all hide equally many. Spares
                models that gather visible patches from asking the device, which would stop a compiled step.

        Returns:
            (B, N, patch_dim).
        """
        raise NotImplementedError

    def features(self, images: Tensor) -> Tensor:
        """A representation of each image with nothing hidden: (B, C, H, W) -> (B, D)."""
        raise NotImplementedError

    @torch.no_grad()
    def reconstruct(self, images: Tensor, mask: Tensor) -> Tensor:
        """The whole image as the model sees it: (B, C, H, W) in [0, 1], visible patches predicted too."""
        self.check_inputs(images, mask)
        return self.to_images(self.predict_patches(images, mask))

    def loss(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """The training objective, a scalar: mean squared error over hidden patches, in normalised units."""
        self.check_inputs(images, mask)
        predicted = self.predict_patches(images, mask, num_hidden).to(self.mean.dtype)
        error = (predicted - self.to_patches(images)).square().mean(dim=2)  # (B, N)
        return (error * mask).sum() / mask.sum().clamp(min=1)

    # ---- helpers for subclasses ----------------------------------------------------------------------------------

    def to_patches(self, images: Tensor) -> Tensor:
        """Normalise and cut: (B, C, H, W) in [0, 1] -> (B, N, patch_dim)."""
        return patchify((images - self.mean) / self.std, self.patch_size)

    def to_images(self, patches: Tensor) -> Tensor:
        """Join and denormalise: (..., N, patch_dim) -> (..., C, H, W), clipped to [0, 1]."""
        images = unpatchify(patches.to(self.mean.dtype), self.patch_size, self.in_chans)
        return (images * self.std + self.mean).clamp(0, 1)

    def visible_patches(self, images: Tensor, mask: Tensor) -> Tensor:
        """`to_patches` with the hidden ones set to zero, so that their content (NaN included) goes nowhere."""
        return self.to_patches(images).masked_fill(mask[:, :, None], 0.0)

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
        check_mask(mask, images.shape[0], self.num_patches)


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
