"""Floors: what filling in the hidden patches comes to without any learning.

Each takes images (B, C, H, W) float in [0, 1] and a mask (B, N) bool, True = hidden, and gives images of the same
shape with the visible pixels as given, so that `etviz.metrics.measure` takes them in a model's place. What lies under
the mask is never looked at; an image that shows no pixel at all becomes mid-grey.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.masks import check_mask, mask_to_pixels

MID_GREY = 0.5
RADIUS = 3.0  # pixels around each hidden one that OpenCV takes into account


def mean_fill(images: Tensor, mask: Tensor) -> Tensor:
    """The visible-mean baseline: each hidden pixel is its channel's mean over that image's visible pixels."""
    visible = visible_pixels(images, mask)
    count = visible.sum(dim=(2, 3), keepdim=True)
    total = torch.where(visible, images, 0.0).sum(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
    mean = torch.where(count > 0, total / count.clamp(min=1), MID_GREY)
    return torch.where(visible, images, mean)


def nearest_fill(images: Tensor, mask: Tensor) -> Tensor:
    """Each hidden pixel is the nearest visible one, by Euclidean distance between pixels.

    Raises:
        UsageError: SciPy is not installed.
    """
    return _fill_each(images, mask, _nearest)


def biharmonic_fill(images: Tensor, mask: Tensor) -> Tensor:
    """The biharmonic equation solved over the hidden region, as scikit-image has it: the smoothest surface that fits.

    Raises:
        UsageError: scikit-image is not installed.
    """
    return _fill_each(images, mask, _biharmonic).clamp(0, 1)


def telea_fill(images: Tensor, mask: Tensor) -> Tensor:
    """Fast marching from the border inwards (Telea 2004) as OpenCV has it. Notes and errors as `navier_stokes_fill`."""
    return _opencv_fill(images, mask, "INPAINT_TELEA")


def navier_stokes_fill(images: Tensor, mask: Tensor) -> Tensor:
    """Navier-Stokes inpainting (Bertalmio et al. 2001) as OpenCV has it: edges are carried on into the hidden region.

    OpenCV works in 8 bits: hidden pixels are multiples of 1/255.

    Raises:
        UsageError: OpenCV is not installed, or the images have neither 1 nor 3 channels.
    """
    return _opencv_fill(images, mask, "INPAINT_NS")


FLOORS = {  # what every comparison with models holds, by the name that pages and figures use
    "visible mean": mean_fill,
    "Telea": telea_fill,
    "Navier-Stokes": navier_stokes_fill,
    "biharmonic": biharmonic_fill,
}


def _opencv_fill(images: Tensor, mask: Tensor, method: str) -> Tensor:
    """By one of OpenCV's methods, named as OpenCV names it."""
    if images.shape[1] not in (1, 3):
        raise UsageError(f"OpenCV's inpainting wants images of 1 or 3 channels, not {images.shape[1]}.")
    visible = visible_pixels(images, mask)
    given = torch.where(visible, images, MID_GREY)  # OpenCV's result depends a little on what lies under the mask
    pixels = (given * 255).round().to(torch.uint8).movedim(1, -1).cpu().numpy()  # (B, H, W, C)
    hidden = (~visible[:, 0]).to(torch.uint8).cpu().numpy()  # (B, H, W)
    filled = np.stack([_inpaint(*pair, method) for pair in zip(pixels, hidden, strict=True)]).reshape(pixels.shape)
    filled = torch.from_numpy(filled).movedim(-1, 1).to(images) / 255
    return torch.where(visible, images, filled)


def visible_pixels(images: Tensor, mask: Tensor) -> Tensor:
    """(B, 1, H, W) bool, True where a pixel is given. Raises `UsageError` where the mask is not one for the images."""
    check_mask(mask, images.shape[0], mask.shape[-1])
    return ~mask_to_pixels(mask, images.shape[-1] // math.isqrt(mask.shape[-1]))


def _inpaint(pixels: np.ndarray, hidden: np.ndarray, method: str) -> np.ndarray:
    """One image (H, W, C) uint8, with what is hidden (H, W) filled in; as it came where nothing shows."""
    try:
        import cv2
    except ImportError as error:
        raise UsageError('This inpainting wants OpenCV: pip install "etviz[app]" brings it.') from error
    return pixels if hidden.all() else cv2.inpaint(pixels, hidden, RADIUS, getattr(cv2, method))


def _fill_each(images: Tensor, mask: Tensor, fill: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Tensor:
    """``fill`` on every image that shows something: pixels (H, W, C) with hidden ones grey, and hidden (H, W)."""
    visible = visible_pixels(images, mask)
    given = torch.where(visible, images, MID_GREY).movedim(1, -1).cpu().double().numpy()
    hidden = ~visible[:, 0].cpu().numpy()
    filled = [pixels if away.all() else fill(pixels, away) for pixels, away in zip(given, hidden, strict=True)]
    return torch.where(visible, images, torch.from_numpy(np.stack(filled)).movedim(-1, 1).to(images))


def _nearest(pixels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    try:
        from scipy.ndimage import distance_transform_edt
    except ImportError as error:
        raise UsageError('Filling with the nearest pixel wants SciPy: pip install "etviz[app]" brings it.') from error
    rows, columns = np.asarray(distance_transform_edt(hidden, return_distances=False, return_indices=True))
    return pixels[rows, columns]


def _biharmonic(pixels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError as error:
        raise UsageError('Biharmonic inpainting wants scikit-image: pip install "etviz[app]" brings it.') from error
    return inpaint_biharmonic(pixels, hidden, channel_axis=-1)
