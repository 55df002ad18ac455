"""Floors: what filling in the hidden patches comes to without any learning.

Each takes images (B, C, H, W) float in [0, 1] and a mask (B, N) bool, True = hidden, and gives images of the same
shape with the visible pixels as given, so that `etviz.metrics.measure` takes them in a model's place. What lies under
the mask is never looked at; an image that shows no pixel at all becomes mid-grey.
"""

import math

import numpy as np
import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.masks import check_mask, mask_to_pixels

MID_GREY = 0.5
RADIUS = 3.0  # pixels around each hidden one that Navier-Stokes inpainting takes into account


def mean_fill(images: Tensor, mask: Tensor) -> Tensor:
    """The visible-mean baseline: each hidden pixel is its channel's mean over that image's visible pixels."""
    visible = visible_pixels(images, mask)
    count = visible.sum(dim=(2, 3), keepdim=True)
    total = torch.where(visible, images, 0.0).sum(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
    mean = torch.where(count > 0, total / count.clamp(min=1), MID_GREY)
    return torch.where(visible, images, mean)


def navier_stokes_fill(images: Tensor, mask: Tensor) -> Tensor:
    """Navier-Stokes inpainting (Bertalmio et al. 2001) as OpenCV has it: edges are carried on into the hidden region.

    OpenCV works in 8 bits: hidden pixels are multiples of 1/255.

    Raises:
        UsageError: OpenCV is not installed, or the images have neither 1 nor 3 channels.
    """
    if images.shape[1] not in (1, 3):
        raise UsageError(f"Navier-Stokes inpainting wants images of 1 or 3 channels, not {images.shape[1]}.")
    visible = visible_pixels(images, mask)
    given = torch.where(visible, images, MID_GREY)  # OpenCV's result depends a little on what lies under the mask
    pixels = (given * 255).round().to(torch.uint8).movedim(1, -1).cpu().numpy()  # (B, H, W, C)
    hidden = (~visible[:, 0]).to(torch.uint8).cpu().numpy()  # (B, H, W)
    filled = np.stack([_inpaint(*pair) for pair in zip(pixels, hidden, strict=True)]).reshape(pixels.shape)
    filled = torch.from_numpy(filled).movedim(-1, 1).to(images) / 255
    return torch.where(visible, images, filled)


def visible_pixels(images: Tensor, mask: Tensor) -> Tensor:
    """(B, 1, H, W) bool, True where a pixel is given. Raises `UsageError` where the mask is not one for the images."""
    check_mask(mask, images.shape[0], mask.shape[-1])
    return ~mask_to_pixels(mask, images.shape[-1] // math.isqrt(mask.shape[-1]))


def _inpaint(pixels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """One image (H, W, C) uint8, with what is hidden (H, W) filled in; as it came where nothing shows."""
    try:
        import cv2
    except ImportError as error:
        raise UsageError('Navier-Stokes inpainting wants OpenCV: pip install "etviz[app]" brings it.') from error
    return pixels if hidden.all() else cv2.inpaint(pixels, hidden, RADIUS, cv2.INPAINT_NS)
